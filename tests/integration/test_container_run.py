"""A run in real containers: a fault costs only its own requirement, and no container outlives its supervisor."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from suites import driver, example

from dgxcert.container import engine
from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.image import Image
from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Result, Run
from dgxcert.runner.lanes.child import INSIDE

MakeImage = Callable[[str], tuple[Image, Path]]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.profile_file(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def contained(make_image: MakeImage) -> tuple[Image, Path]:
    return make_image("contained")


def validate(contained: tuple[Image, Path], *options: object) -> "subprocess.Popen[str]":
    """Start a run of the contained suite in its image."""
    image, checkout = contained
    where = ("--runtime", "docker", "--image", image.reference, "--stack", "tiny", "--base", image.base)
    return driver.start(str(checkout), "validate", *where, *options)


def containers() -> list[str]:
    """Names of the containers of children, running or not."""
    return engine.run("ps", "-a", "--filter", "name=dgxcert-", "--format", "{{.Names}}").stdout.split()


@pytest.fixture(scope="module")
def folder(contained: tuple[Image, Path], profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    process = validate(contained, "--profile", profile, "--results", results)
    (wait_until_measuring(results, "WAITS") / INSIDE / "go").touch()
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 2, printed
    return driver.only_run(results)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return runs.load(folder)


def result(run: Run, key: str) -> Result:
    return next(result for result in run.results if result.key == key)


@pytest.mark.parametrize(
    ("key", "stage"),
    [("HOST-FIRST", "host"), ("IMAGE-SECOND", "image"), ("INSIDE", "container"), ("WAITS", "container")],
)
def test_each_requirement_is_measured_where_it_belongs(run: Run, key: str, stage: str) -> None:
    assert (result(run, key).outcome, result(run, key).stage) == (Outcome.PASSED, stage), result(run, key).reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("HANGS", "timed out after 3 s, its time budget"),
        ("CRASHES", "killed by SIGSEGV"),
        ("KILLED", "killed by SIGKILL"),
    ],
)
def test_a_fault_in_a_container_is_inconclusive_for_its_own_requirement(run: Run, key: str, reason: str) -> None:
    assert result(run, key).outcome is Outcome.INCONCLUSIVE
    assert reason in result(run, key).reason


def test_the_run_names_its_image(run: Run, contained: tuple[Image, Path]) -> None:
    assert run.image == contained[0].model_copy(update={"layers": ()})  # which the record leaves out
    assert run.image is not None
    assert run.image.standin
    assert run.image.base_digest.startswith("sha256:")
    assert run.judgement.verdict is Verdict.INCONCLUSIVE


def test_everything_in_the_run_folder_belongs_to_the_caller(folder: Path) -> None:
    owners = {path.stat().st_uid for path in (folder, *folder.rglob("*"))}
    assert owners == {folder.parent.stat().st_uid}


def test_no_container_is_left_behind(folder: Path) -> None:
    assert folder
    assert containers() == []


def test_a_container_ends_when_its_supervisor_is_killed_and_the_run_can_be_resumed(
    contained: tuple[Image, Path], profile: Path, tmp_path: Path
) -> None:
    supervisor = validate(contained, "--profile", profile, "--results", tmp_path, "--only", "INSIDE,WAITS")
    folder = wait_until_measuring(tmp_path, "WAITS")
    assert len(containers()) == 1
    supervisor.kill()
    supervisor.communicate()
    assert no_container_within(10)
    (folder / INSIDE / "go").touch()
    resumed = driver.run(str(contained[1]), "validate", "--resume", folder)
    run = runs.load(folder)
    waits = result(run, "WAITS")
    assert waits.outcome is Outcome.PASSED, resumed.stdout
    assert ["the run was killed while WAITS" in each.reason for each in waits.earlier_attempts] == [True]
    assert result(run, "INSIDE").outcome is Outcome.PASSED


def test_ctrl_c_ends_the_container_too_and_the_run_can_be_resumed(
    contained: tuple[Image, Path], profile: Path, tmp_path: Path
) -> None:
    supervisor = validate(contained, "--profile", profile, "--results", tmp_path, "--only", "WAITS")
    folder = wait_until_measuring(tmp_path, "WAITS")
    supervisor.terminate()
    printed, _ = supervisor.communicate(timeout=60)
    assert "interrupted: writing the reports of what was measured" in printed
    assert no_container_within(5)
    (folder / INSIDE / "go").touch()
    resumed = driver.run(str(contained[1]), "validate", "--resume", folder)
    assert resumed.returncode == 0, resumed.stdout
    assert result(runs.load(folder), "WAITS").outcome is Outcome.PASSED


def wait_until_measuring(results: Path, key: str) -> Path:
    """Wait until a requirement is being measured; returns the run folder."""
    for _ in range(3):  # building the image, where no other test has built it, takes longer than one wait
        try:
            return driver.wait_until_measuring(results, key)
        except TimeoutError:
            continue
    raise TimeoutError(f"{key} was not started")


def no_container_within(seconds: float) -> bool:
    """Whether all containers of children end within that time."""
    until = time.monotonic() + seconds
    while containers():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def test_a_run_cannot_be_resumed_in_another_image_of_the_same_name(
    contained: tuple[Image, Path], profile: Path, folder: Path, tmp_path: Path
) -> None:
    """All of a run must be measured on the same software."""
    events = journal.read(folder)
    other = contained[0].model_copy(update={"id": "sha256:" + "0" * 64})
    changed = [
        journal.ImageReady(at=event.at, image=other) if isinstance(event, journal.ImageReady) else event
        for event in events
    ]
    kept = [event for event in changed if not (isinstance(event, journal.Finished) and event.key == "WAITS")]
    (tmp_path / "logs").mkdir()
    lines = [event for event in kept if getattr(event, "key", "") != "WAITS"]
    (tmp_path / journal.NAME).write_text(example.record(*lines), encoding="utf-8")
    resumed = driver.run(str(contained[1]), "validate", "--resume", tmp_path)
    assert "is another one; start a new run" in resumed.stdout
    assert result(runs.load(tmp_path), "WAITS").outcome is Outcome.NOT_RUN


def test_a_missing_image_that_may_not_be_built_is_an_error_before_anything_is_written(
    contained: tuple[Image, Path], profile: Path, tmp_path: Path
) -> None:
    where = ("--runtime", "docker", "--image", "dgxcert-test:nowhere", "--stack", "tiny", "--base", contained[0].base)
    refused = driver.run(
        str(contained[1]), "validate", *where, "--no-build", "--profile", profile, "--results", tmp_path / "results"
    )
    assert refused.returncode == 3
    assert "Image dgxcert-test:nowhere does not exist." in refused.stdout
    assert not (tmp_path / "results").exists()


def test_the_run_names_the_interpreter_of_the_image(run: Run) -> None:
    assert run.software["container"].executable != sys.executable
    assert run.software["container"].in_container
