"""Three runs of good machines make a site profile: tighter limits only, and only from runs that prove good machines."""

import dataclasses
import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from suites.certified import SPARK, spark_profile
from suites.example import finished, image_ready, opened, planned, started

from dgxcert.history import site_calibration
from dgxcert.history.site_calibration import Candidate
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.options import Options
from dgxcert.plan.suite import Suite
from dgxcert.profiles import profile as profiles
from dgxcert.profiles import site
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.timings import Timing

SHIPPED = profiles.load("dgx-spark")
COPY = "MEMORY-BANDWIDTH[copy]"
SUITE = Suite(version="0.2.0", commit="abc", modified=False, sha256="52" * 32)
TODAY = date(2026, 11, 30)


def candidate(number: int, rate: float = 230.0, *, machine: int | None = None, **about: Any) -> Candidate:
    """A certified run of one machine, in which copying reached a rate."""
    uuid = f"GPU-{number if machine is None else machine}"
    gpu = Gpu(index=0, product="NVIDIA GB10", uuid=uuid, compute_capability="12.1")
    spark = SPARK.model_copy(update={"gpus": (gpu,), "hostname": f"spark-0{number}"})
    recorder = Recorder()
    limit = about.get("profile", SHIPPED).limits["bandwidth.copy"]
    holds = recorder.record("copy", rate, unit="GB/s", source="30 rounds") >= limit
    ended = about.pop("outcome", Outcome.PASSED if holds else Outcome.FAILED)
    at = f"2026-11-{10 + number}T10:00:0"
    timing = about.pop("timing", Timing(COPY, 1.0, tuple(1 / rate * (1 + step / 1000) for step in range(-5, 6))))
    begun = opened(planned(COPY), **({"profile": SHIPPED, "machine": spark, "suite": SUITE} | about))
    events: list[journal.Event] = [
        begun.model_copy(update={"at": f"{at}0.000Z"}),
        image_ready().model_copy(update={"at": f"{at}0.500Z"}),
        started(COPY).model_copy(update={"at": f"{at}1.000Z", "stage": "container"}),
        finished(COPY, ended, reason="a reason", evidence=tuple(recorder.kept)).model_copy(
            update={"at": f"{at}3.500Z"}
        ),
    ]
    run = runs.assemble(events, f"run-{number}")
    return Candidate(run, events, {COPY: timing}, hashlib.sha256(run.model_dump_json().encode()).hexdigest())


def limits_of(*candidates: Candidate) -> dict[str, Any]:
    limits: dict[str, Any] = yaml.safe_load(site_calibration.make(candidates, "Ada", TODAY).text)["limits"]
    return limits


def test_three_machines_that_agree_tighten_a_limit_to_two_percent_below_the_worst(tmp_path: Path) -> None:
    made = site_calibration.make([candidate(1, 230.0), candidate(2, 230.2), candidate(3, 230.1)], "Ada", TODAY)
    assert not made.warnings
    path = tmp_path / "dgx-spark.yaml"
    path.write_text(made.text, encoding="utf-8")
    held = site.apply(SHIPPED, path)
    assert held.limits["bandwidth.copy"].min == pytest.approx(225, abs=0.6)
    assert held.limits["bandwidth.copy"].source.startswith(
        "measured: 230 and 230.2 and 230.1 GB/s, the lowest less 2 %"
    )
    assert held.site is not None
    assert [run.hostname for run in held.site.runs] == ["spark-01", "spark-02", "spark-03"]
    assert held.site.runs[0].sha256 == candidate(1, 230.0).sha256
    assert (held.site.who, held.site.made, held.site.machines) == ("Ada", TODAY, 3)


def test_machines_that_scatter_need_a_wider_margin() -> None:
    limit = limits_of(candidate(1, 230.0), candidate(2, 232.3), candidate(3, 227.7))["bandwidth.copy"]
    assert limit["margin"] == pytest.approx(10.55 * 0.01, rel=1e-2), "three readings with a deviation of 1 %"
    assert limit["note"] == "the margin is 10.55 standard deviations between runs"


def test_more_machines_need_less_margin() -> None:
    rates = (230.0, 232.3, 227.7, 230.0, 232.3, 227.7)
    limit = limits_of(*(candidate(number, rate) for number, rate in enumerate(rates, start=1)))["bandwidth.copy"]
    assert limit["margin"] < 0.055


def test_runs_of_one_machine_are_named_and_leave_a_wider_margin() -> None:
    made = site_calibration.make([candidate(number, machine=7) for number in (1, 2, 3)], "Ada", TODAY)
    assert made.warnings == ("the runs are of 1 of 3 machines: they do not show how machines differ",)
    assert yaml.safe_load(made.text)["limits"]["bandwidth.copy"]["margin"] == 0.08


def test_a_limit_that_would_be_looser_stays_as_it_ships() -> None:
    with pytest.raises(CannotStart, match="tighten no limit"):
        site_calibration.make([candidate(number, 171.0) for number in (1, 2, 3)], "Ada", TODAY)


def test_scatter_that_would_need_too_wide_a_margin_makes_no_limit() -> None:
    with pytest.raises(CannotStart, match="tighten no limit"):
        site_calibration.make([candidate(1, 300.0), candidate(2, 260.0), candidate(3, 220.0)], "Ada", TODAY)


def test_the_factors_are_those_of_a_tolerance_interval() -> None:
    """By their definition: of 100 samples of n readings, 95 leave 99 % of the population above mean - k s."""
    import random
    import statistics

    chance = random.Random(11)
    for number in (3, 6, 10):
        factor, covered = site_calibration.TOLERANCE[number], 0
        for _ in range(4000):
            sample = [chance.gauss(0, 1) for _ in range(number)]
            covered += statistics.fmean(sample) - factor * statistics.stdev(sample) < -2.3263
        assert covered / 4000 == pytest.approx(0.95, abs=0.012)


WAIVER = Waiver(requirement=COPY, machine="spark-02", reason="none", who="Ada", until=date(2099, 1, 1))
SPOILED = Timing(COPY, 1.0, (1.0,) * 6, "other processes used 40% of the CPU")

UNFIT: dict[str, tuple[Callable[[], Candidate], str]] = {
    "failed": (lambda: candidate(2, 100.0), "its verdict is REJECTED, not CERTIFIED"),
    "inconclusive": (lambda: candidate(2, outcome=Outcome.INCONCLUSIVE), "its verdict is INCONCLUSIVE"),
    "waived": (lambda: candidate(2, 100.0, waivers=(WAIVER,)), "did not pass and is waived"),
    "modified": (lambda: candidate(2, suite=SUITE.model_copy(update={"modified": True})), "its verdict is REHEARSED"),
    "of an unknown suite": (
        lambda: candidate(2, suite=SUITE.model_copy(update={"modified": None})),
        "its verdict is REHEARSED",
    ),
    "partial": (lambda: candidate(2, options=Options(profile="dgx-spark", only=("gpu",))), "its verdict is PARTIAL"),
    "disturbed": (lambda: candidate(2, timing=SPOILED), "other processes used 40% of the CPU"),
    "of another profile": (lambda: candidate(2, profile=spark_profile()), "is not the one that ships here"),
    "of a user's own profile": (
        lambda: candidate(2, profile=SHIPPED.model_copy(update={"own": True, "certifies": False})),
        "is not the one that ships here",
    ),
    "edited": (
        lambda: Candidate(candidate(2).run.model_copy(update={"ended": "2026-12-01T00:00:00Z"}), *_rest(candidate(2))),
        "its run.json is not what its record gives",
    ),
}


def _rest(of: Candidate) -> tuple[list[journal.Event], dict[str, Timing], str]:
    return of.events, of.timings, of.sha256


@pytest.mark.parametrize("kind", UNFIT)
def test_an_unfit_run_is_refused_by_name(kind: str) -> None:
    make, reason = UNFIT[kind]
    with pytest.raises(CannotStart) as caught:
        site_calibration.make([candidate(1), make(), candidate(3)], "Ada", TODAY)
    assert "run-2: " in str(caught.value)
    assert reason in str(caught.value)


def test_two_runs_are_too_few_and_one_run_counts_once() -> None:
    with pytest.raises(CannotStart, match="2 runs do not show"):
        site_calibration.make([candidate(1), candidate(2)], "Ada", TODAY)
    with pytest.raises(CannotStart, match="are the same one"):
        site_calibration.make([candidate(1), candidate(2), candidate(2)], "Ada", TODAY)


def test_runs_of_two_suites_make_no_site_profile() -> None:
    other = candidate(3, suite=SUITE.model_copy(update={"sha256": "53" * 32}))
    with pytest.raises(CannotStart, match="of 2 suites"):
        site_calibration.make([candidate(1), candidate(2), other], "Ada", TODAY)


def test_runs_that_were_held_to_a_site_profile_may_make_the_next(tmp_path: Path) -> None:
    path = tmp_path / "dgx-spark.yaml"
    path.write_text(
        site_calibration.make([candidate(1), candidate(2), candidate(3)], "Ada", TODAY).text, encoding="utf-8"
    )
    fourth = candidate(4, profile=site.apply(SHIPPED, path))
    assert fourth.run.judgement.verdict.value == "CERTIFIED"
    assert "bandwidth.copy" in limits_of(candidate(1), candidate(2), candidate(3), fourth)


@pytest.mark.parametrize("first", ["0b46f4", "0x46f4", "0o1234", "12e456", "012345"])
def test_a_hash_that_looks_like_a_number_is_read_back(first: str, tmp_path: Path) -> None:
    """One hash in 256 begins with 0b, which a reader of YAML may take for a binary number."""
    three = [dataclasses.replace(candidate(number), sha256=f"{number}{'7' * 63}") for number in (1, 2, 3)]
    digest = first.replace("x", "b").replace("o", "b").ljust(64, "1")
    three[0] = dataclasses.replace(three[0], sha256=digest)
    path = tmp_path / "dgx-spark.yaml"
    path.write_text(site_calibration.make(three, first, TODAY).text, encoding="utf-8")
    tightened = site.apply(SHIPPED, path)
    assert tightened.site is not None
    assert (tightened.site.runs[0].sha256, tightened.site.who) == (digest, first)
