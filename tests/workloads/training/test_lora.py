"""Both paths of LoRA train as a plain loop does, and the tuned path's own faults are caught."""

from collections.abc import Callable
from typing import Any

import pytest

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.rounds import Rounds
from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.training import lora

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here


@pytest.mark.parametrize("case", ["fp32-stock-course", "fp32-tuned-course", "fp32-stock-small", "fp32-tuned-small"])
def test_both_paths_train_as_a_plain_loop_does(
    profile: Profile, evidence: Recorder, trained: Callable[..., Any], case: str
) -> None:
    training = trained(profile, case)
    training.verify(evidence)
    training.record_use(evidence, Rounds((1.0, 1.0, 1.0)))
    assert not evidence.violated
    values = {quantity.name: quantity.value for quantity in evidence.kept}
    assert values["difference of the first loss"] < 1e-5
    assert values["difference of later losses"] < 1e-5
    assert values["tokens"] == training.setup.tokens, "padding is not counted"
    assert values["MFU"] == pytest.approx(training.setup.flops / profile.peak("matmul.fp32").value / 1e12)


@pytest.mark.parametrize("path", ["stock", "tuned"])
def test_nf4_models_train_on_both_paths(
    profile: Profile, evidence: Recorder, trained: Callable[..., Any], path: str
) -> None:
    pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")
    training = trained(profile, f"nf4-{path}-large")
    training.verify(evidence)
    assert "Linear4bit" in {type(module).__name__ for module in training.model.modules()}
    assert not evidence.violated


def test_rows_that_attend_to_each_other_are_caught(
    cpu: Device, profile: Profile, evidence: Recorder, steps: Callable[[int], Any]
) -> None:
    training = lora.prepare(cpu, profile, Case("fp32", "tuned", "small"))
    assert isinstance(training, lora.TunedTraining)
    training.model.get_base_model().set_attn_implementation("sdpa")
    training._options = {}  # with a cache, transformers ignores that positions restart
    training.run_rounds(steps(8))
    with pytest.raises(Wrong):
        training.verify(evidence)
    assert evidence.violated[0][0].name == "difference of the first loss"


def test_another_order_of_batches_is_caught(
    cpu: Device, profile: Profile, evidence: Recorder, steps: Callable[[int], Any]
) -> None:
    training = lora.prepare(cpu, profile, Case("fp32", "tuned", "course"))
    assert isinstance(training, lora.TunedTraining)
    training._inputs.reverse()
    training.run_rounds(steps(8))
    with pytest.raises(Wrong):
        training.verify(evidence)
    assert evidence.violated[0][0].name == "difference of the first loss"
