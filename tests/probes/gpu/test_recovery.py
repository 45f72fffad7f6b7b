"""Recovery actions: each is reported by its name, and a driver that reports none asks for nothing."""

import pynvml
import pytest
from suites import example

from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml, recovery
from dgxcert.probes.gpu.recovery import Recovery

CARDS = tuple(
    Gpu(index=index, product="NVIDIA H200", uuid=f"GPU-{index}", compute_capability="9.0") for index in (0, 2)
)
MACHINE = example.MACHINE.model_copy(update={"gpus": CARDS})
ACTIONS = [
    name.removeprefix("NVML_GPU_RECOVERY_ACTION_")
    for name in vars(pynvml)
    if name.startswith("NVML_GPU_RECOVERY_ACTION_")
]


def told(monkeypatch: pytest.MonkeyPatch, *answers: str | int, machine: Machine = MACHINE) -> Recovery:
    """What is read where the GPUs answer with an action, or with NVML's code of a refusal."""
    left = list(answers)

    def ask(index: int, field: str) -> Answers:
        answer = left.pop(0)
        if isinstance(answer, int):
            return Answers(index, {}, {field: {"code": answer, "says": "No"}})
        return Answers(index, {field: answer})

    monkeypatch.setattr(nvml, "ask", ask)
    return recovery.read(machine)


def test_a_gpu_that_wants_to_be_recovered_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch, "NONE", "GPU_RESET")
    assert found.wanted == {2: "GPU_RESET"}
    assert found.source == "NVML: GPU 2: gpu reset"
    assert "sudo nvidia-smi --gpu-reset -i 2" in " ".join(found.remedy)


def test_nothing_is_wanted_of_healthy_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch, "NONE", "NONE")
    assert (found.wanted, found.remedy, found.source) == ({}, (), "NVML: recovery action none")


@pytest.mark.parametrize("code", [2, 3, 13, 25])
def test_a_driver_that_knows_no_actions_asks_for_none(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    found = told(monkeypatch, code, code)
    assert (found.wanted, found.unknown) == ({}, (0, 2))
    assert found.source == "NVML: this driver reports no recovery actions"


def test_a_driver_that_fails_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Inconclusive, match="recovery action of GPU 0"):
        told(monkeypatch, 999, "NONE")


def test_a_machine_without_a_gpu_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Inconclusive, match="lists no GPU"):
        told(monkeypatch, machine=example.MACHINE)


@pytest.mark.parametrize("action", [*ACTIONS, "8"])
def test_every_action_of_the_installed_bindings_has_a_remedy(action: str) -> None:
    asked = " ".join(Recovery({0: action}).remedy)
    assert (action == recovery.NONE) == (asked == "")
    assert action == recovery.NONE or "reboot" in asked or "reset" in asked
    assert action in {recovery.NONE, "8", *recovery.REMEDIES}
