"""With a real engine, an inside that does its worst changes nothing outside of its own folder and cannot pass."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attacks import matrix
from suites import driver, example

from dgxcert.container import engine
from dgxcert.files import untrusted
from dgxcert.machine.image import Image
from dgxcert.outcome import Outcome
from dgxcert.record import run as runs
from dgxcert.record.run import Run

MakeImage = Callable[[str], tuple[Image, Path]]
TOKEN = "hf_between_us_and_nobody_else"


def test_every_attack_from_inside_a_container_fails(make_image: MakeImage) -> None:
    make_image("contained")
    found = matrix.tally("container", seed=1, quick=False)
    assert (found.missing, found.harmed) == ("", [])
    assert found.tried > 100


@pytest.fixture(scope="module")
def results(make_image: MakeImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results of a run of the hostile suite, beside a file that is nobody's business."""
    image, checkout = make_image("hostile")
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "precious").write_text("precious")
    (folder / "another-run").mkdir()
    (folder / "another-run" / "records.jsonl").write_text("precious")
    where = ("--runtime", "docker", "--image", image.reference, "--stack", "tiny", "--base", image.base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        profile = example.profile_file(tmp_path_factory.mktemp("profile"))
        options = ("--profile", profile, "--results", folder)
        done = driver.run(str(checkout), "validate", *where, *options)
    assert "Traceback" not in done.stdout
    assert done.returncode in {1, 2}, done.stdout
    yield folder
    assert engine.run("ps", "-aq", "--filter", "name=dgxcert-").stdout == ""


@pytest.fixture(scope="module")
def folder(results: Path) -> Path:
    (found,) = (path.parent for path in results.glob("2*/records.jsonl"))
    return found


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return runs.load(folder)


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("FORGES", {Outcome.FAILED, Outcome.INCONCLUSIVE}),
        ("PLANTS", {Outcome.INCONCLUSIVE}),
        ("KILLS", {Outcome.INCONCLUSIVE}),
        ("PRINTS", {Outcome.FAILED, Outcome.INCONCLUSIVE}),
        ("NEVER", {Outcome.INCONCLUSIVE}),
        ("HONEST", {Outcome.PASSED}),
    ],
)
def test_only_the_honest_requirement_passes(run: Run, key: str, allowed: set[Outcome]) -> None:
    result = next(result for result in run.results if result.key == key)
    assert result.outcome in allowed, result.reason


def test_nothing_outside_of_its_own_folder_changed(results: Path, folder: Path) -> None:
    assert (results / "precious").read_text() == "precious"
    assert (results / "another-run" / "records.jsonl").read_text() == "precious"
    own = {"inside", "logs", "records.jsonl", "run.json", "benchmark.json", "report.html"}
    assert {path.name for path in folder.iterdir()} <= own | {"summary.md", "junit.xml", "metrics.prom"}
    for path in folder.rglob("*"):
        if "inside" not in path.relative_to(folder).parts:
            assert stat.S_ISREG(path.lstat().st_mode) or stat.S_ISDIR(path.lstat().st_mode), path
            assert path.stat().st_uid == results.stat().st_uid


def test_the_logs_are_what_was_printed_and_hold_no_token(folder: Path) -> None:
    logs = sorted((folder / "logs").iterdir())
    assert len(logs) > 3
    for log in logs:
        assert TOKEN not in untrusted.read_text(log, at_most=10 * untrusted.MIB)


def test_the_run_can_be_shown_and_packed_with_what_was_planted(folder: Path) -> None:
    shown = driver.run("contained", "show", folder)
    assert "Traceback" not in shown.stdout
    assert shown.returncode in {0, 1, 2}, shown.stdout
