"""The real nvidia-ml-py meets a simulated driver: each machine is judged by the requirement meant for its fault."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from simulated import machine
from simulated.machine import Machine
from suites import driver

from dgxcert import run as runs
from dgxcert.run import Run

READ = (
    "import dataclasses, json; from dgxcert.probes import nvml; found = nvml.read();"
    "print(json.dumps({**dataclasses.asdict(found), 'gpus': [gpu.model_dump() for gpu in found.gpus]}))"
)

Judge = Callable[[str, str], Run]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return machine.build(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def read(library: Path, tmp_path: Path) -> Callable[[str], dict[str, object]]:
    """What the probe reads of a machine."""

    def ask(name: str) -> dict[str, object]:
        env = machine.load(name).played(tmp_path, library)
        done = subprocess.run([sys.executable, "-c", READ], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return ask


@pytest.fixture
def judge(library: Path, tmp_path: Path) -> Judge:
    """A real run of what looks at the driver, on a machine."""

    def validate(name: str, profile: str) -> Run:
        env = machine.load(name).played(tmp_path, library)
        command = [sys.executable, "-m", "dgxcert", "validate", "--profile", profile, "--runtime", "native"]
        command += ["--results", str(tmp_path / "results"), "--only", "GPU-PRESENT,DRIVER-BRANCH,HOST-GPU-IDLE"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in {0, 1, 2, 3}, done.stderr
        return runs.load(driver.only_run(tmp_path / "results"))

    return validate


def test_a_healthy_sparks_driver_has_no_figure_for_memory(read: Callable[[str], dict[str, object]]) -> None:
    found = read("spark-idle")
    assert (found["version"], found["cuda"], found["lost"]) == ("580.142", "13.0", [])
    (gpu,) = found["gpus"]
    assert (gpu["product"], gpu["compute_capability"], gpu["memory_gib"]) == ("NVIDIA GB10", "12.1", None)
    assert read("spark-memory-zero")["gpus"][0]["memory_gib"] is None


def test_one_lost_gpu_hides_no_other(read: Callable[[str], dict[str, object]]) -> None:
    found = read("h100-one-lost")
    assert found["lost"] == [3]
    assert [gpu["index"] for gpu in found["gpus"]] == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("name", "profile", "key", "outcome", "said"),
    [
        ("spark-idle", "dgx-spark", "DRIVER-BRANCH", "passed", ""),
        ("spark-idle", "dgx-spark", "HOST-GPU-IDLE", "passed", ""),
        ("spark-memory-zero", "dgx-spark", "DRIVER-BRANCH", "passed", ""),
        ("h100-idle", "generic-nvidia", "HOST-GPU-IDLE", "passed", ""),
        ("spark-driver-too-old", "dgx-spark", "DRIVER-BRANCH", "failed", "570"),
        ("spark-shared", "dgx-spark", "HOST-GPU-IDLE", "inconclusive", "somebody else computes"),
        ("spark-torn-firmware", "dgx-spark", "GPU-PRESENT", "failed", ""),
        ("h100-one-lost", "generic-nvidia", "GPU-PRESENT", "failed", ""),
        ("spark-half-updated", "dgx-spark", "DRIVER-BRANCH", "inconclusive", "mismatch"),
    ],
)
def test_a_fault_is_caught_by_the_requirement_meant_for_it(
    judge: Judge, name: str, profile: str, key: str, outcome: str, said: str
) -> None:
    result = next(result for result in judge(name, profile).results if result.key == key)
    assert result.outcome.value == outcome, result.reason
    assert said in result.reason


def test_a_driver_that_takes_its_caller_along_is_named(library: Path, tmp_path: Path) -> None:
    env = machine.load("spark-driver-crashes").played(tmp_path, library)
    command = [sys.executable, "-m", "dgxcert", "validate", "--profile", "dgx-spark", "--results", str(tmp_path / "r")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "whoever asks the NVIDIA driver is killed by signal 11" in done.stderr + done.stdout
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("path", sorted(machine.MACHINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_machine_can_be_played_and_says_where_it_comes_from(path: Path) -> None:
    found = machine.load(path.stem)
    assert found.table()
    assert found.fields["summary"]
    assert found.fields["sources"]


def test_a_field_that_the_driver_does_not_play_is_refused() -> None:
    with pytest.raises(ValueError, match="no such field: temperature_of_the_room"):
        Machine("strange", {"temperature_of_the_room": 21}).table()
