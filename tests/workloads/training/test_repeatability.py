"""Repeatability: the training runs in a process of its own, and its hashes show a single flipped bit."""

import dataclasses
import json
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert import command
from dgxcert.command import Completed
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.training import repeatability
from dgxcert.workloads.training.gradients import Agreement
from dgxcert.workloads.training.repeatability import Repeats

CPU = Device("cpu", 0, "CPU")
REPEATS = Repeats("a", "a", "b", 4, Agreement(1e-4, "lora_A", 1.0, "lora_B", tensors=12), "fp32")


def test_the_module_runs_as_a_program_and_refuses_an_unknown_kind_of_device() -> None:
    args = [sys.executable, "-P", "-m", "dgxcert.workloads.training.repeatability", "tpu", "0"]
    completed = command.run(args, timeout_s=60)
    assert (completed.returncode, "known: cuda, cpu" in completed.stderr) == (1, True)


@pytest.mark.parametrize(
    ("completed", "reason"),
    [
        (Completed(("python",), 1, "", "Traceback\nRuntimeError: CUDA error: an illegal access"), "an illegal access"),
        (Completed(("python",), None, "", ""), "did not answer within its time limit"),
        (Completed(("python",), 0, "", ""), "printed no result"),
        (Completed(("python",), 0, "{}", ""), "printed no result"),
        (Completed(("python",), 0, '{"gradients": {}}', ""), "printed no result"),
    ],
)
def test_a_training_that_ends_early_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, completed: Completed, reason: str
) -> None:
    monkeypatch.setattr(command, "run", lambda args, **_: completed)
    with pytest.raises(Inconclusive, match=reason):
        repeatability.run(CPU)


def test_the_training_process_starts_with_a_fixed_cublas_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, Any] = {}

    def run(args: list[str], **options: Any) -> Completed:
        started.update(options, args=args)
        return Completed(tuple(args), 0, json.dumps(dataclasses.asdict(REPEATS)), "")

    monkeypatch.setattr(command, "run", run)
    assert repeatability.run(CPU) == REPEATS
    assert started["env"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert started["args"][1:] == ["-P", "-m", "dgxcert.workloads.training.repeatability", "cpu", "0"]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_flip_changes_one_bit_of_one_weight_and_the_hash(kind: Any) -> None:
    before = torch.randn(4, 4).to(kind)
    after = before.clone()
    repeatability.flip_lowest_bit(after)
    assert int((before != after).sum()) == 1
    assert (before - after).abs().max() <= before[1, 1].abs() * 2.0**-7
    assert repeatability.digest({"a": before}) != repeatability.digest({"a": after})
    assert repeatability.digest({"a": before}) == repeatability.digest({"a": before.clone()})
    assert repeatability.digest({"a": before}) != repeatability.digest({"b": before})
