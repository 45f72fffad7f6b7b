"""A CUDA error costs the requirement in which it was raised, and no other: the rest is measured in a fresh process."""

from pathlib import Path

from suites import driver, example

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record import run as runs


def test_what_follows_a_cuda_error_is_measured_in_a_fresh_process(tmp_path: Path) -> None:
    profile = example.profile_file(tmp_path)
    ended = driver.run("poisoned", "validate", "--profile", profile, "--results", tmp_path / "results")
    run = runs.load(driver.only_run(tmp_path / "results"))
    outcomes = {result.key: result.outcome for result in run.results}
    assert outcomes == {"POISONS": Outcome.INCONCLUSIVE, "AFTER": Outcome.PASSED, "LAST": Outcome.PASSED}
    assert run.judgement.verdict is Verdict.INCONCLUSIVE
    assert ended.returncode == 2
    logs = {result.key: result.log for result in run.results}
    assert logs["POISONS"] != logs["AFTER"] == logs["LAST"]


def test_a_profile_of_ones_own_is_named_on_every_face(tmp_path: Path) -> None:
    profile = example.profile_file(tmp_path)
    ended = driver.run("poisoned", "validate", "--profile", profile, "--results", tmp_path / "results")
    said = "profile any-suite is not one that ships with dgxcert, so it certifies nothing"
    assert said in " ".join(ended.stdout.split())
    assert said in (driver.only_run(tmp_path / "results") / "summary.md").read_text(encoding="utf-8")
