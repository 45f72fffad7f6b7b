"""A round of Trainer lasts from step to step, and Trainer stops when no more rounds are wanted."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.training import lora, lora_batches, lora_trainer

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here


def test_time_between_two_steps_counts_and_trainer_stops_after_the_wanted_rounds(
    monkeypatch: pytest.MonkeyPatch, cpu: Device, profile: Profile, steps: Callable[[int], Any]
) -> None:
    original = lora_batches.padded

    def slow(rows: Any, width: int | None = None) -> Any:
        time.sleep(0.05)
        return original(rows, width)

    training = lora.prepare(cpu, profile, Case("fp32", "stock", "course"))
    monkeypatch.setattr(lora_trainer.lora_batches, "padded", slow)
    three = steps(3)
    training.run_rounds(three)
    assert len(three.seconds) == 3
    assert min(three.seconds) > 0.05, "the collator's sleep is between two steps"
    assert len(training.losses) == 5, "a first step that starts the first round, and a last one for its gradients"
