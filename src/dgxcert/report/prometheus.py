"""metrics.prom: a run for node_exporter's textfile collector, to alert on a machine's last verdict.

Copy it into the collector's folder: `cp metrics.prom /var/lib/node_exporter/dgxcert.prom`.
"""

from datetime import UTC, datetime, time

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from dgxcert.console import on_one_line
from dgxcert.judgement.verdict import Verdict
from dgxcert.record.run import Result, Run

LABEL_CHARS = 200


def render(run: Run) -> str:
    """The run in Prometheus' text format: gauges in base units, without time stamps, which the collector rejects."""
    registry = CollectorRegistry()
    _add_run(run, registry)
    _add_outcomes(run, registry)
    _add_speeds([result for result in run.results if any(item.rounds_s for item in result.evidence)], registry)
    _add_waivers(run, registry)
    return generate_latest(registry).decode()


def _add_run(run: Run, registry: CollectorRegistry) -> None:
    info = {
        "run": run.name,
        "profile": run.profile.name,
        "site_sha256": run.profile.site.sha256 if run.profile.site else "",
        "tier": run.options.tier.value,
        "suite_version": run.suite.version,
        "driver": run.machine.driver or "",
        "image": run.image.id if run.image else "",
    }
    labels = {name: _label(value) for name, value in info.items()}
    Gauge("dgxcert_run_info", "The last run: always 1.", list(labels), registry=registry).labels(**labels).set(1)
    ended = Gauge("dgxcert_run_end_timestamp_seconds", "When the last run ended.", registry=registry)
    ended.set(_seconds(run.ended))
    duration = Gauge("dgxcert_run_duration_seconds", "How long the last run took.", registry=registry)
    duration.set(round(_seconds(run.ended) - _seconds(run.started), 3))
    verdicts = Gauge("dgxcert_verdict", "1 for the verdict of the last run.", ["verdict"], registry=registry)
    for verdict in Verdict:
        verdicts.labels(verdict.value).set(verdict is run.judgement.verdict)


def _add_outcomes(run: Run, registry: CollectorRegistry) -> None:
    counts = Gauge("dgxcert_requirements", "Requirements by outcome.", ["outcome"], registry=registry)
    for outcome, number in run.judgement.counts.items():
        counts.labels(_label(outcome)).set(number)
    limits = Gauge("dgxcert_limits", "Limits that results were compared with, by basis.", ["basis"], registry=registry)
    for basis, number in (run.limits or {}).items():
        limits.labels(_label(basis)).set(number)
    outcomes = Gauge(
        "dgxcert_requirement_outcome",
        "1 for the outcome of a requirement.",
        ["requirement", "outcome"],
        registry=registry,
    )
    for result in run.results:
        outcomes.labels(_label(result.key), result.outcome.value).set(1)


def _add_speeds(timed: list[Result], registry: CollectorRegistry) -> None:
    labels = ["requirement", "unit"]
    speed = Gauge("dgxcert_speed", "Result of a benchmark, in the unit of its limit.", labels, registry=registry)
    share = Gauge(
        "dgxcert_speed_roofline_ratio",
        "Result of a benchmark as a share of its roofline.",
        ["requirement"],
        registry=registry,
    )
    for result in timed:
        measured = next(item for item in result.evidence if item.rounds_s)
        speed.labels(_label(result.key), _label(measured.unit)).set(float(measured.value))
        if measured.roofline is not None:
            share.labels(_label(result.key)).set(float(measured.value) / measured.roofline.value)


def _add_waivers(run: Run, registry: CollectorRegistry) -> None:
    expiry = Gauge(
        "dgxcert_waiver_expiry_timestamp_seconds",
        "When a waiver that the last run depends on expires.",
        ["requirement", "who"],
        registry=registry,
    )
    for result in run.waived:
        if result.waiver is not None:
            last_second = datetime.combine(result.waiver.until, time.max, tzinfo=UTC)
            expiry.labels(_label(result.key), _label(result.waiver.who)).set(int(last_second.timestamp()))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _label(value: str) -> str:
    return on_one_line(value)[:LABEL_CHARS]
