"""Exact gradients are those of transformers and PEFT, whatever attention these use, and NF4 is dequantised right."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.course import distillation
from dgxcert.workloads.models import nf4
from dgxcert.workloads.training import exact_gradients, gradients, lora_batches, lora_setup

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here


@pytest.mark.parametrize("case", ["fp32-stock-small", "fp32-stock-course", "nf4-stock-large"])
def test_they_are_those_of_transformers_and_peft(cpu: Device, profile: Profile, case: str) -> None:
    if "nf4" in case:
        pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")
    setup = lora_setup.find(cpu, profile, Case(*case.split("-")))
    model, inputs = setup.build(), lora_batches.padded(setup.batches[0])
    rows = exact_gradients.rows_of(inputs)
    if setup.is_classifier:
        exact = exact_gradients.of_classifier(model, rows, inputs["labels"])
    else:
        exact = exact_gradients.of_causal(model, rows)
    trained = {name: values for name, values in model.named_parameters() if values.requires_grad}
    assert all(values.grad is None for values in trained.values()), "the model is left as it was"
    assert all(bool(values.any()) for values in exact.values()), "A has a gradient too, since B is not zero"
    model(**inputs).loss.backward()
    agreement = gradients.compare(gradients.kept(trained), exact)
    assert agreement.angle_deg < 1e-3
    assert agreement.size == pytest.approx(1, abs=1e-5)
    assert agreement.tensors == len(trained)


def test_a_students_gradients_are_those_of_its_distillation_loss(cpu: Device, profile: Profile) -> None:
    sizes = profile.workloads.distillation.model_copy(update={"hidden": 64, "intermediate": 64, "length": 16})
    teacher, student = distillation.models(cpu, sizes)
    ids = distillation.random_ids(cpu, sizes)
    with torch.no_grad():
        target = distillation.standardised(teacher(input_ids=ids).logits)
    exact = exact_gradients.of_student(student, list(ids), target, distillation.TEMPERATURE)
    distillation.loss(student(input_ids=ids).logits, target).backward()
    agreement = gradients.compare(gradients.kept(dict(student.named_parameters())), exact)
    assert agreement.angle_deg < 1e-3, "the bias of a key has no gradient, and none is compared"
    assert agreement.size == pytest.approx(1, abs=1e-5)


def test_nf4_weights_are_dequantised_by_definition(cpu: Device) -> None:
    pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")
    for sample, _ in nf4.samples(cpu)[-1:]:
        weights = exact_gradients.dequantised(sample.layer.weight.data, sample.layer.weight.quant_state)
        torch.testing.assert_close(weights, sample.weights, rtol=1e-6, atol=0)


def test_weights_quantised_in_another_way_are_inconclusive() -> None:
    class State:
        quant_type, blocksize, nested = "fp4", 64, False

    state: Any = State()
    with pytest.raises(Inconclusive, match="fp4"):
        exact_gradients.dequantised(torch.zeros(32, 1, dtype=torch.uint8), state)
