"""Training together on real ranks: a right one agrees with one device, and each planted fault is named."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import check_file
import pytest

pytest.importorskip("torch", reason="the workloads need torch: make setup")

from paths import ROOT
from suites import data_parallel_faults
from suites.judged import judge

from dgxcert import command
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.training.data_parallel import comparison
from dgxcert.workloads.training.data_parallel.shards import SIZES

DEVICES = tuple(Device("cpu", index, "CPU") for index in range(2))
NAMES = ("rank 0", "rank 1")
FAULTS: dict[str, tuple[str | None, str]] = {
    "Training": (None, ""),
    "IgnoresTheOthers": ("gradients that differ between ranks", "rank 1 differs from rank 0"),
    "Sums": ("size of exchanged gradients", "against exact gradients"),
    "StartsElsewhere": ("weights that differ at the start", "rank 1 differs from rank 0: layers.0.q_proj.lora_A"),
    "TakesRowsOfAnother": ("ranks with rows of another", "rank 1 trained on rows of rank 0"),
    "SaysOtherRows": ("difference of a rank's first loss", "step 1 on rank 1"),
    "NeverClears": ("size of exchanged gradients", "against exact gradients"),
    "WeighsRanksAlike": ("size of exchanged gradients", "against exact gradients"),
    "EndsElsewhere": ("weights that differ at the end", "rank 1 differs from rank 0: layers.1.v_proj.lora_B"),
    "StepsTwice": ("size of updates", "3 steps"),
    "UsesTheUnused": ("gradients that differ between ranks", "rank 1 differs from rank 0: step 1 unused"),
}
"""Each planted fault: the quantity that fails, and what its source says."""


@pytest.fixture(scope="module")
def planted(loaded: Callable[..., Any]) -> Iterator[None]:
    """A context in which ranks, which are forked, run the module of planted faults."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "start", loaded)
        patch.setattr(launch, "PACKAGE", "suites")
        patch.setenv("PYTHONPATH", str(ROOT / "tests"))
        yield


@pytest.fixture(scope="module")
def answers(planted: None) -> tuple[Mapping[str, Any], ...]:
    """What two gloo ranks computed with each fault."""
    settings = {"sizes": dataclasses.asdict(SIZES["cpu"]), "faults": list(data_parallel_faults.FAULTS)}
    return launch.run("data_parallel_faults", DEVICES, settings, limit_s=240)


@pytest.mark.catches(
    "DATA-PARALLEL-CORRECT",
    "one rank keeps its own gradients, or one bit of one weight differs on it; gradients summed or of the step before; "
    "ranks weighed alike whatever their tokens; the rows of another rank",
)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_training_together_is_named(
    answers: tuple[Mapping[str, Any], ...], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    quantity, said = FAULTS[fault]
    check: ModuleType = check_file.load("gpu/test_data_parallel")
    found = comparison.of([answer[fault] for answer in answers], NAMES, SIZES["cpu"])
    monkeypatch.setattr(comparison, "run", lambda devices: found)
    evidence = judge(
        check.test_training_together_computes_what_one_device_computes, DEVICES, profiles.load("cpu"), fault=quantity
    )
    if quantity is not None:
        assert said in evidence.violated[0][0].source


@pytest.mark.parametrize(
    ("fault", "limit_s", "said"),
    [
        ("Dies", 120.0, "rank 1 ended with exit code 3, last at: step 2"),
        ("NeverExchanges", 8.0, r"rank 1 did not end within 8 s, last at: step 2 \(data_parallel_faults.py"),
    ],
)
def test_a_rank_that_dies_or_hangs_is_named(planted: None, fault: str, limit_s: float, said: str) -> None:
    settings = {"sizes": dataclasses.asdict(SIZES["cpu"]), "faults": [fault]}
    with pytest.raises(Inconclusive, match=said):
        launch.run("data_parallel_faults", DEVICES, settings, limit_s=limit_s)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_loss_that_is_no_number_is_the_largest_difference(rank: int) -> None:
    told = [{"losses": [2.0]}, {"losses": [2.0]}]
    told[rank] = {"losses": [float("nan")]}
    assert comparison._apart(0, told, [2.0, 2.0], NAMES) == comparison.Apart(1e300, f"step 1 on rank {rank}")
