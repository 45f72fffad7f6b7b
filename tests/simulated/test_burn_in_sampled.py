"""A burn-in on simulated GPUs keeps its samples, and detects heat and other processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from simulated import machine

BURN = """
import dataclasses, json, pathlib, sys
from simulated.silicon import SimulatedGpu
from dgxcert.profiles import profile as profiles
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.burn_in import log, loop, workload

workload.EDGE["cuda"] = 64
shipped = profiles.load("dgx-spark")
sizes = {
    "matmul": shipped.workloads.matmul.model_copy(update={"size": 64, "products": 1}),
    "bandwidth": shipped.workloads.bandwidth.model_copy(update={"size_mib": 1}),
    "burn_in": shipped.workloads.burn_in.model_copy(update={"cycle_s": 0.8, "steps": 1}),
}
profile = shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update=sizes)})
folder, minutes = pathlib.Path(sys.argv[1]), float(sys.argv[2])
loop.MAX_NOT_COUNTED = 2
device = SimulatedGpu("cuda", 0, "NVIDIA GB10", margin_gib=0.1)
said = ""
try:
    loop.run(device, profile, minutes, folder, lambda text: None)
except Inconclusive as error:
    said = error.problem
summary = log.summarise(log.read_log(folder / "burn-in-cuda0.jsonl"))
print(json.dumps({**dataclasses.asdict(summary), "minutes": summary.minutes, "said": said}))
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return machine.build(tmp_path_factory.mktemp("driver"))


def burn(name: str, library: Path, folder: Path, minutes: float = 0.02) -> dict[str, Any]:
    env = {
        **machine.load(name).played(folder, library),
        "SIMULATED_CUDA_FREE_GIB": "16",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(machine.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-c", BURN, str(folder), str(minutes)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(("name", "hottest", "hot"), [("spark-idle", 72, False), ("spark-thermal", 88, True)])
def test_samples_of_the_gpu_are_kept_with_each_cycle(
    library: Path, tmp_path: Path, name: str, hottest: int, hot: bool
) -> None:
    burnt = burn(name, library, tmp_path)
    cycles = burnt["cycles"]
    assert burnt["minutes"] >= 0.02
    assert [cycle["shared"] for cycle in cycles] == [""] * len(cycles)
    assert [cycle["wrong"] for cycle in cycles] == [0] * len(cycles)
    assert max(cycle["hottest"] for cycle in cycles) == hottest
    assert (max(cycle["hot"] for cycle in cycles) > 0.05) == hot
    assert all(2100 < cycle["clock_mhz"] < 2500 for cycle in cycles)
    assert all(0 <= cycle["capped"] <= 1 for cycle in cycles)
    assert burnt["highest_mhz"] == 3003
    samples = (tmp_path / "burn-in-cuda0.samples.jsonl").read_text(encoding="ascii").splitlines()
    assert len(samples) >= 8 * len(cycles), "ten times a second"


def test_other_processes_on_the_gpu_are_detected_in_each_cycle(library: Path, tmp_path: Path) -> None:
    burnt = burn("spark-shared", library, tmp_path)
    assert "GPU 0 was shared: 2 compute processes" in burnt["said"]
    assert [burnt["said"]] * 2 == [cycle["shared"] for cycle in burnt["cycles"]]
    assert burnt["minutes"] == 0
