"""metrics.prom is accepted by promtool, follows Prometheus' naming conventions, and escapes hostile text."""

import shutil
import subprocess

import pytest
from needs import missing
from prometheus_client.parser import text_string_to_metric_families
from suites.certified import KEYS, SPARK, run
from suites.example import finished

from dgxcert.outcome import Outcome
from dgxcert.report import prometheus

HOSTILE = 'a"b\\c\nd\x00\x1b[2J{}'


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_verdict_outcomes_and_speeds_are_gauges() -> None:
    values = samples(prometheus.render(run(finished("DISK-SPACE", Outcome.FAILED, reason="full"))))
    assert values["dgxcert_verdict", (("verdict", "REJECTED"),)] == 1
    assert values["dgxcert_verdict", (("verdict", "CERTIFIED"),)] == 0
    assert values["dgxcert_requirements", (("outcome", "failed"),)] == 1
    assert values["dgxcert_requirement_outcome", (("outcome", "failed"), ("requirement", "DISK-SPACE"))] == 1
    assert values["dgxcert_speed", (("requirement", KEYS[2]), ("unit", "token/s"))] == 14
    assert values["dgxcert_speed_roofline_ratio", (("requirement", KEYS[2]),)] == pytest.approx(0.7)
    assert values["dgxcert_run_end_timestamp_seconds", ()] == pytest.approx(1795459212)


def test_names_follow_the_conventions() -> None:
    text = prometheus.render(run())
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_total", "_count", "_bucket"))
        assert family.name.startswith("dgxcert_")
    assert not [line for line in text.splitlines() if not line.startswith("#") and len(line.rsplit(" ", 1)) != 2]


def test_promtool_accepts_it() -> None:
    if shutil.which("promtool") is None:
        missing("promtool", "Run: sudo scripts/system-packages")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=prometheus.render(run()), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hostile_text_stays_in_its_label() -> None:
    made = run(machine=SPARK.model_copy(update={"driver": HOSTILE}))
    text = prometheus.render(made)
    assert "\x1b" not in text
    labels = [dict(labels) for (name, labels) in samples(text) if name == "dgxcert_run_info"]
    assert labels[0]["driver"] == 'a"b\\c\\nd\\x00\\x1b[2J{}'
