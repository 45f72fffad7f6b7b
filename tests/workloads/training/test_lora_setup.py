"""A set-up knows before anything is built what a step costs, whether it fits, and whether it recomputes activations."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import allocation
from dgxcert.workloads.models import seeded
from dgxcert.workloads.training import lora, lora_batches, lora_setup, lora_training

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here


def test_activations_are_recomputed_only_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, cpu: Device, profile: Profile, evidence: Recorder, steps: Callable[[int], Any]
) -> None:
    monkeypatch.setattr(allocation, "allowed_bytes", lambda device: 2**40)
    assert not lora_setup.find(cpu, profile, Case("fp32", "tuned", "small")).recomputes_activations
    monkeypatch.setattr(allocation, "allowed_bytes", lambda device: 2**10)
    tuned = lora_setup.find(cpu, profile, Case("fp32", "tuned", "small"))
    assert tuned.recomputes_activations
    assert tuned.extra_bytes < tuned.activation_bytes
    assert not lora_setup.find(cpu, profile, Case("fp32", "stock", "small")).recomputes_activations
    training = lora.TunedTraining(tuned, profile)
    training.run_rounds(steps(8))
    training.verify(evidence)
    assert not evidence.violated
    assert training.model.get_base_model().is_gradient_checkpointing


def test_a_training_that_does_not_fit_is_inconclusive_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, cpu: Device, profile: Profile
) -> None:
    available = memory.Memory(total_gib=8, available_gib=1.2, swap_gib=0, swap_used_gib=0)
    monkeypatch.setattr(memory, "read", lambda: available)
    monkeypatch.setattr(seeded, "_fill", None)
    lora_training._reference.cache_clear()
    with pytest.raises(Inconclusive, match=r"1\.2 GiB are available"):
        lora.prepare(cpu, profile, Case("fp32", "stock", "small"))


@pytest.mark.parametrize("setting", ["small", "course"])
def test_a_step_takes_the_operations_that_its_bound_counts(cpu: Device, profile: Profile, setting: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    setup = lora_setup.find(cpu, profile, Case("fp32", "tuned", setting))
    model = setup.build()
    collate = lora_batches.padded if setup.is_classifier else lora_batches.packed
    options = {} if setup.is_classifier else {"use_cache": False}
    with FlopCounterMode(display=False) as counter:
        model(**collate(setup.batches[0]), **options).loss.backward()
    counted = counter.get_total_flops()
    assert 0.6 * counted < setup.cost.flops <= counted, "a bound must not claim more than the work takes"
