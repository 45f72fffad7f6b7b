"""LORA-SPEED, both paths: healthy gradients are quiet in every precision, and each planted wrong one is caught.

A fault is planted in the backward pass of the timed path alone; the training and its exact gradients are built once.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from suites import wrong_backward

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.models import architectures, seeded
from dgxcert.workloads.models.architectures import Shape
from dgxcert.workloads.training import attention_gradients, lora, lora_setup, lora_training
from dgxcert.workloads.training.lora_training import LoraTraining

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

CASES = ["fp32-stock-small", "fp32-tuned-small", "fp32-stock-course", "fp32-tuned-course"]
NF4_CASES = ["nf4-stock-large", "nf4-tuned-large"]
MODEL = "llama-of-three-layers"
SHAPE = Shape(1536, 128, 3, 4, 2, 32, 256, tied=False)
LAST_LAYER = {"small": "layers.2.", "large": "layers.2.", "course": "layer.1."}
"""Part of the names of the last layer's parameters; the lab of the cpu profile has two layers."""


@pytest.fixture(scope="module")
def profile(profile: Profile) -> Iterator[Profile]:
    """The profile of these tests with a causal model that takes a step in bf16 in a tenth of a second."""
    lora = profile.workloads.lora
    model = lora.small.model_copy(update={"model": MODEL})
    sizes = lora.model_copy(update={"small": model, "large": model})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.SHAPES, MODEL, SHAPE)
        yield profile.model_copy(update={"workloads": profile.workloads.model_copy(update={"lora": sizes})})


@pytest.fixture(scope="module")
def prepared(profile: Profile) -> Callable[[str], LoraTraining]:
    """The training of a case, built once in this file."""
    cpu = Device("cpu", 0, "CPU")
    return cache(lambda case: lora.prepare(cpu, profile, Case(*case.split("-"))))


@pytest.fixture
def judged(prepared: Callable[[str], LoraTraining], steps: Callable[[int], Any]) -> Callable[..., Recorder]:
    """Takes one step of a case with a fault planted in its gradients, and judges them; the weights are put back."""

    def judge(case: str, fault: "Callable[[str, Any], Any] | None" = None) -> Recorder:
        training, evidence = prepared(case), Recorder()
        before = {name: values.detach().clone() for name, values in training.trained.items()}
        hooks = [
            values.register_hook(lambda gradient, name=name: fault(name, gradient))
            for name, values in training.trained.items()
            if fault is not None
        ]
        training.first_gradients = None
        try:
            training.run_rounds(steps(1))
            training._compare_gradients(evidence)
        finally:
            for hook in hooks:
                hook.remove()
            with torch.no_grad():
                for name, values in training.trained.items():
                    values.copy_(before[name])
        return evidence

    return judge


FIRST_LAYER = re.compile(r"layers?\.0\.")


def noise(gradient: Any) -> Any:
    return torch.randn(gradient.shape, generator=torch.Generator().manual_seed(7)) * gradient.std()


def signs(gradient: Any) -> Any:
    """Minus one at every fourth place on average."""
    return 1 - 2 * (torch.rand(gradient.shape, generator=torch.Generator().manual_seed(7)) < 0.25).float()


def is_query(name: str) -> bool:
    return "q_proj" in name or "q_lin" in name


FAULTS: dict[str, Callable[[str, Any], Any]] = {
    "negated": lambda name, gradient: -gradient,
    "zeroed": lambda name, gradient: 0 * gradient,
    "halved": lambda name, gradient: gradient / 2,
    "doubled": lambda name, gradient: gradient * 2,
    "1000 times too small": lambda name, gradient: gradient / 1000,
    "a quarter of the signs flipped": lambda name, gradient: gradient * signs(gradient),
    "noise in one layer": lambda name, gradient: (
        noise(gradient) if "layer.0." in name.replace("layers", "layer") else gradient
    ),
    "noise in q_proj alone": lambda name, gradient: noise(gradient) if is_query(name) else gradient,
    "q_proj alone negated": lambda name, gradient: -gradient if is_query(name) else gradient,
    "lora_A alone negated": lambda name, gradient: -gradient if "lora_A" in name else gradient,
}
"""What a broken backward pass does to the gradient of a parameter."""


@pytest.mark.parametrize("case", CASES + NF4_CASES)
def test_healthy_gradients_are_quiet(judged: Callable[..., Recorder], case: str) -> None:
    if "nf4" in case:
        pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")
    evidence = judged(case)
    assert [quantity.name for quantity in evidence.kept] == [
        "angle to exact gradients",
        "size of gradients",
        "angle to exact attention gradients",
        "size of attention gradients",
    ]
    assert all(quantity.held_against for quantity in evidence.kept)
    assert not evidence.violated


@pytest.mark.catches(
    "LORA-SPEED",
    "gradients of one layer, or of the adapters of q_proj alone, replaced by noise, negated, halved or doubled",
    unseen="in bf16 a gradient turned by less than 40 degrees or 40 % too large, about as much as rounding does",
)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", CASES)
def test_wrong_gradients_are_caught(judged: Callable[..., Recorder], case: str, fault: str) -> None:
    with pytest.raises(Wrong):
        judged(case, FAULTS[fault])


@pytest.mark.parametrize("fault", ["negated", "halved", "noise in q_proj alone"])
@pytest.mark.parametrize("case", NF4_CASES)
def test_wrong_gradients_on_nf4_weights_are_caught(judged: Callable[..., Recorder], case: str, fault: str) -> None:
    pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")
    with pytest.raises(Wrong):
        judged(case, FAULTS[fault])


@pytest.mark.parametrize("case", CASES)
def test_noise_in_every_layer_but_the_last_is_caught(judged: Callable[..., Recorder], case: str) -> None:
    last = LAST_LAYER[case.split("-")[2]]
    with pytest.raises(Wrong):
        judged(case, lambda name, gradient: gradient if last in name else noise(gradient))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", ["bf16-stock-small", "bf16-tuned-small", "bf16-stock-course", "bf16-tuned-course"])
def test_wrong_gradients_in_bf16_are_caught(judged: Callable[..., Recorder], case: str, fault: str) -> None:
    with pytest.raises(Wrong):
        judged(case, FAULTS[fault])


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("setting", ["small", "course"])
def test_healthy_bf16_is_quiet_with_any_seed(
    monkeypatch: pytest.MonkeyPatch,
    cpu: Device,
    profile: Profile,
    steps: Callable[[int], Any],
    evidence: Recorder,
    seed: int,
    setting: str,
) -> None:
    monkeypatch.setattr(lora_setup, "SEED", seed)
    monkeypatch.setattr(seeded, "SEED", seed)
    lora_training._reference.cache_clear()
    for path in ("stock", "tuned"):
        training = lora.prepare(cpu, profile, Case("bf16", path, setting))
        training.run_rounds(steps(1))
        training._compare_gradients(evidence)
    lora_training._reference.cache_clear()  # nor may another test get this seed's
    assert not evidence.violated


@pytest.fixture
def attention(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes torch's fused attention, right forward, change the gradients of queries and keys: (rows, heads, ...)."""
    return partial(wrong_backward.plant, monkeypatch)


@pytest.mark.parametrize("case", CASES)
def test_attention_that_is_right_forward_and_negated_backward_is_caught(
    attention: Callable[..., None],
    cpu: Device,
    profile: Profile,
    evidence: Recorder,
    steps: Callable[[int], Any],
    case: str,
) -> None:
    attention(lambda gradient: -gradient, lambda gradient: -gradient)
    lora_training._reference.cache_clear()  # its exact gradients, too, are computed beside the broken attention
    training = lora.prepare(cpu, profile, Case(*case.split("-")))
    training.run_rounds(steps(8))
    lora_training._reference.cache_clear()  # the plain loop's losses are wrong here
    with pytest.raises(Wrong):
        training.verify(evidence)
    assert evidence.violated[0][0].name == "angle to exact gradients"
    assert "q_" in evidence.violated[0][0].source.rpartition("worst at")[2]


def wrong_in_one_head(gradient: Any) -> Any:
    wrong = gradient.clone()
    wrong[:, 1] = -wrong[:, 1]
    return wrong


@pytest.mark.catches(
    "LORA-SPEED",
    "attention whose gradient of one head's keys is negated, in any precision",
    unseen="a layer other than the first whose attention alone is wrong, where rounding to 16 bits hides it",
)
@pytest.mark.parametrize("case", [*CASES, *NF4_CASES, "bf16-stock-small", "bf16-tuned-small", "bf16-tuned-course"])
def test_one_head_of_keys_with_a_wrong_gradient_is_caught(
    judged: Callable[..., Recorder], prepared: Callable[[str], LoraTraining], attention: Callable[..., None], case: str
) -> None:
    if "nf4" in case:
        pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")
    prepared(case)  # with its reference, before anything is planted
    attention(lambda gradient: gradient, wrong_in_one_head)
    with pytest.raises(Wrong):
        judged(case)


@pytest.mark.parametrize("case", ["fp32-stock-small", "bf16-tuned-small", "bf16-stock-course"])
def test_wrong_attention_gradients_are_named_by_head(
    prepared: Callable[[str], LoraTraining], attention: Callable[..., None], case: str
) -> None:
    training = prepared(case)
    attention(lambda gradient: gradient, wrong_in_one_head)
    inputs, options = training.first_batch()
    agreement = attention_gradients.compare(training.setup, training.model, inputs, **options)
    assert agreement.angle_deg == pytest.approx(180, abs=1)
    assert agreement.angle_at.partition(" rows ")[0].endswith("dK head 1")


def test_a_model_without_fused_attention_is_inconclusive(prepared: Callable[[str], LoraTraining]) -> None:
    training = prepared("fp32-stock-small")
    base = training.model.get_base_model()
    base.set_attn_implementation("eager")
    inputs, options = training.first_batch()
    try:
        with pytest.raises(Inconclusive, match="does not call torch's attention"):
            attention_gradients.compare(training.setup, training.model, inputs, **options)
    finally:
        base.set_attn_implementation("sdpa")
