"""metrics.prom: a run for node_exporter's textfile collector, so that a machine's last verdict can be alerted on.

Copy it into the collector's folder: `cp metrics.prom /var/lib/node_exporter/dgxcert.prom`.
"""

from datetime import UTC, datetime, time

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from dgxcert.judgement.verdict import Verdict
from dgxcert.record.run import Result, Run
from dgxcert.report.words import printable

LABEL = 200
"""Longest value of a label."""


def render(run: Run) -> str:
    """The run in Prometheus' text format: gauges only, base units, no time stamps, which the collector refuses."""
    registry = CollectorRegistry()
    _about(run, registry)
    _outcomes(run, registry)
    _speeds([result for result in run.results if any(item.rounds_s for item in result.evidence)], registry)
    _waivers(run, registry)
    return generate_latest(registry).decode()


def _about(run: Run, registry: CollectorRegistry) -> None:
    about = {
        "run": run.name,
        "profile": run.profile.name,
        "tier": run.options.tier.value,
        "suite_version": run.suite.version,
        "driver": run.machine.driver or "",
        "image": run.image.id if run.image else "",
    }
    labels = {name: _label(value) for name, value in about.items()}
    Gauge("dgxcert_run_info", "The last run: always 1.", list(labels), registry=registry).labels(**labels).set(1)
    ended = Gauge("dgxcert_run_end_timestamp_seconds", "When the last run ended.", registry=registry)
    ended.set(_seconds(run.ended))
    lasted = Gauge("dgxcert_run_duration_seconds", "How long the last run took.", registry=registry)
    lasted.set(round(_seconds(run.ended) - _seconds(run.started), 3))
    verdicts = Gauge("dgxcert_verdict", "1 for the verdict of the last run.", ["verdict"], registry=registry)
    for verdict in Verdict:
        verdicts.labels(verdict.value).set(verdict is run.judgement.verdict)


def _outcomes(run: Run, registry: CollectorRegistry) -> None:
    counted = Gauge("dgxcert_requirements", "Requirements by outcome.", ["outcome"], registry=registry)
    for outcome, number in run.judgement.counts.items():
        counted.labels(outcome).set(number)
    each = Gauge(
        "dgxcert_requirement_outcome", "1 for how a requirement ended.", ["requirement", "outcome"], registry=registry
    )
    for result in run.results:
        each.labels(_label(result.key), result.outcome.value).set(1)


def _speeds(timed: list[Result], registry: CollectorRegistry) -> None:
    names = ["requirement", "unit"]
    reached = Gauge("dgxcert_speed", "What a benchmark reached, in the unit it is judged in.", names, registry=registry)
    share = Gauge(
        "dgxcert_speed_roofline_ratio", "The same over what physics allows.", ["requirement"], registry=registry
    )
    for result in timed:
        measured = next(item for item in result.evidence if item.rounds_s)
        reached.labels(_label(result.key), _label(measured.unit)).set(float(measured.value))
        if measured.roofline is not None:
            share.labels(_label(result.key)).set(float(measured.value) / measured.roofline.value)


def _waivers(run: Run, registry: CollectorRegistry) -> None:
    ends = Gauge(
        "dgxcert_waiver_expiry_timestamp_seconds",
        "When a waiver that the last run rests on ends.",
        ["requirement", "who"],
        registry=registry,
    )
    for result in run.waived:
        if result.waiver is not None:
            day = datetime.combine(result.waiver.until, time.max, tzinfo=UTC)
            ends.labels(_label(result.key), _label(result.waiver.who)).set(int(day.timestamp()))


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _label(value: str) -> str:
    return printable(value[:LABEL]).replace("\n", " ")
