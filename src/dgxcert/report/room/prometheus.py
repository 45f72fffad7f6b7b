"""metrics.prom of a room, for node_exporter's textfile collector on the machine that validated it."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from dgxcert.console import on_one_line
from dgxcert.judgement.verdict import Verdict
from dgxcert.record.room.document import HostResult, Room
from dgxcert.record.room.word import Word

LABEL_CHARS = 200


def render(room: Room) -> str:
    """The room in Prometheus' text format: gauges in base units, without time stamps, which the collector rejects."""
    registry = CollectorRegistry()
    ended = Gauge(
        "dgxcert_room_end_timestamp_seconds", "When the last validation of the room ended.", registry=registry
    )
    ended.set(datetime.fromisoformat(room.ended).timestamp())
    names = {"room": _label(room.name), "suite_version": _label(room.suite.version)}
    Gauge("dgxcert_room_info", "The last validation: always 1.", list(names), registry=registry).labels(**names).set(1)
    _add_hosts(room, registry)
    _add_comparison(room, registry)
    return generate_latest(registry).decode()


def _add_hosts(room: Room, registry: CollectorRegistry) -> None:
    labels = ["host", "profile"]
    verdicts = Gauge("dgxcert_room_verdict", "1 for the verdict of a machine.", [*labels, "verdict"], registry=registry)
    words = Gauge("dgxcert_room_host", "1 for the word of a host.", ["host", "word"], registry=registry)
    figures = Gauge(
        "dgxcert_room_figure", "A headline figure of a machine.", [*labels, "figure", "unit"], registry=registry
    )
    for host in room.hosts:
        for word in Word:
            words.labels(_label(host.name), word.value).set(word is host.word)
        if not host.validated:
            continue
        for verdict in Verdict:
            verdicts.labels(*_of(host), verdict.value).set(verdict is host.verdict)
        for figure in host.figures:
            figures.labels(*_of(host), _label(figure.name), _label(figure.unit)).set(figure.value)


def _add_comparison(room: Room, registry: CollectorRegistry) -> None:
    outliers = Gauge(
        "dgxcert_room_outlier_ratio",
        "How far an outlier is from the median of the room, as a share of it.",
        ["host", "requirement", "quantity"],
        registry=registry,
    )
    for compared in room.compared:
        for outlier in compared.outliers:
            outliers.labels(_label(outlier.host), _label(compared.key), _label(compared.name)).set(outlier.away)
    pairs = Gauge(
        "dgxcert_room_pair", "1 for the outcome of a pair.", ["first", "second", "outcome"], registry=registry
    )
    speed = Gauge("dgxcert_room_pair_bytes_per_second", "all_reduce of a pair.", ["first", "second"], registry=registry)
    for pair in room.pairs:
        ends = tuple(_label(host) for host in pair.hosts)
        pairs.labels(*ends, pair.outcome.value).set(1)
        if pair.gbs is not None:
            speed.labels(*ends).set(pair.gbs * 1e9)


def _of(host: HostResult) -> tuple[str, str]:
    return _label(host.name), _label(host.profile)


def _label(text: str) -> str:
    return on_one_line(text)[:LABEL_CHARS]
