"""Checks that forge results: each costs itself, by name, and changes the result of no other."""

from pathlib import Path

from suites import driver, example

from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs

REASONS = {
    "APPENDS": "something wrote into records.jsonl",
    "SPEAKS": "it was not said with the secret of this child",
    "FLOODS": "it is longer than",
    "FINISHES-ANOTHER": "'VICTIM' is not being measured",
    "PASSES-ITSELF": "passed and nothing was compared",
}


def test_no_forged_result_counts(tmp_path: Path) -> None:
    profile = example.profile_file(tmp_path)
    ended = driver.run("forging", "validate", "--profile", profile, "--results", tmp_path / "results")
    folder = driver.only_run(tmp_path / "results")
    results = {result.key: result for result in runs.load(folder).results}
    assert results["VICTIM"].outcome is Outcome.FAILED, results["VICTIM"].reason
    assert results["HONEST"].outcome is Outcome.PASSED, results["HONEST"].reason
    for key, reason in REASONS.items():
        assert results[key].outcome is Outcome.INCONCLUSIVE, key
        assert reason in results[key].reason
    assert ended.returncode == 1, ended.stdout
    refused = [event for event in journal.read(folder) if isinstance(event, journal.Refused)]
    assert len(refused) == len(REASONS)
