"""Workloads compute what they claim, and their own verification catches it when they do not."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert import profile as profiles  # noqa: E402 (after the guard above)
from dgxcert.device import Device  # noqa: E402
from dgxcert.evidence import Recorder  # noqa: E402
from dgxcert.outcome import Inconclusive, Wrong  # noqa: E402
from dgxcert.profile import Profile  # noqa: E402
from dgxcert.sizes import Inference, Lora  # noqa: E402
from dgxcert.workloads import bandwidth, inference, kernel, lora, matmul, models, nf4, room, shapes, text  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and its friends warn about is no finding here

CPU = Device("cpu", 0, "CPU")


@pytest.fixture(scope="module")
def profile() -> Profile:
    found = profiles.load("cpu")
    sizes = found.workloads.model_copy(
        update={
            "matmul": found.workloads.matmul.model_copy(update={"size": 128, "products": 1}),
            "bandwidth": found.workloads.bandwidth.model_copy(update={"size_mib": 4}),
            "prefill": Inference(model="llama-tiny", prompt=24),
            "decode": Inference(model="llama-tiny", prompt=12, new_tokens=6),
            "lora": Lora(model="llama-tiny", batch=2, length=32, learning_rate=3e-3),
        }
    )
    return found.model_copy(update={"workloads": sizes})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def decode(profile: Profile) -> inference.Decode:
    return inference.prepare_decode(CPU, profile, "fp32")


@pytest.fixture
def decoded(decode: inference.Decode) -> Iterator[inference.Decode]:
    weights = {name: each.detach().clone() for name, each in decode.model.named_parameters()}
    decode.fill_cache()
    decode.run()
    yield decode
    decode.model.load_state_dict(weights, strict=False)


def test_right_decoding_passes_and_says_what_it_compared(decoded: inference.Decode, evidence: Recorder) -> None:
    decoded.verify(evidence)
    assert [kept.name for kept in evidence.kept] == [
        "tokens written",
        "logits are finite",
        "logits differ by",
        "chosen tokens fall short by",
    ]
    assert not evidence.violated


def test_a_wrong_token_is_caught(decoded: inference.Decode, evidence: Recorder) -> None:
    decoded._tokens[3] = (decoded._tokens[3] + 1) % 8192
    with pytest.raises(Wrong):
        decoded.verify(evidence)


def test_a_missing_token_is_caught(decoded: inference.Decode, evidence: Recorder) -> None:
    decoded._tokens.pop()
    with pytest.raises(Wrong):
        decoded.verify(evidence)


def test_a_nan_is_caught(decoded: inference.Decode, evidence: Recorder) -> None:
    with torch.inference_mode():
        decoded._logits[2][0, 5] = math.nan
    with pytest.raises(Wrong):
        decoded.verify(evidence)


def test_a_cache_that_forgot_is_caught(decode: inference.Decode, evidence: Recorder) -> None:
    decode.fill_cache()
    with torch.inference_mode():
        for layer in decode._cache.layers:
            layer.keys.zero_()
    decode.run()
    with pytest.raises(Wrong):
        decode.verify(evidence)


def test_weights_that_changed_under_way_are_caught(decoded: inference.Decode, evidence: Recorder) -> None:
    with torch.no_grad():
        decoded.model.lm_head.weight[:, :] = decoded.model.lm_head.weight.flip(0)
    with pytest.raises(Wrong):
        decoded.verify(evidence)


def test_decoding_agrees_with_generate(decode: inference.Decode) -> None:
    decode.fill_cache()
    decode.run()
    options: dict[str, Any] = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    generated = decode.model.generate(decode.prompt, attention_mask=torch.ones_like(decode.prompt), **options)
    assert torch.equal(generated[:, 12:], torch.cat(decode._tokens, 1))


def test_right_prefill_passes_and_a_wrong_one_does_not(profile: Profile, evidence: Recorder) -> None:
    workload = inference.prepare_prefill(CPU, profile, "fp32")
    workload.run()
    workload.verify(evidence)
    assert workload._logits is not None
    workload._logits = workload._logits.roll(1, -1)
    with pytest.raises(Wrong):
        workload.verify(Recorder())


@pytest.fixture(scope="module")
def quantised(profile: Profile) -> inference.Decode:
    pytest.importorskip("bitsandbytes", reason="int4 needs bitsandbytes: make setup")
    return inference.prepare_decode(CPU, profile, "int4")


def test_int4_layers_really_hold_four_bits(quantised: inference.Decode) -> None:
    linears = [module for name, module in quantised.model.named_modules() if type(module).__name__ == "Linear4bit"]
    assert len(linears) == 6 * 7
    held = sum(each.weight.numel() * each.weight.element_size() for each in linears)
    assert held == shapes.find("llama-tiny").layer_parameters // 2


def test_int4_decoding_passes_and_a_layer_with_wrong_weights_does_not(
    quantised: inference.Decode, evidence: Recorder
) -> None:
    quantised.fill_cache()
    quantised.run()
    quantised.verify(evidence)
    assert next(kept for kept in evidence.kept if kept.name == "int4 product error").value < 4.5e-3
    sample = quantised.model.nf4_samples[0]
    right, sample.weights = sample.weights, sample.weights.roll(1, 0)
    try:
        assert nf4.error(quantised.model, CPU, "fp32") > 0.1
        with pytest.raises(Wrong):
            quantised.verify(Recorder())
    finally:
        sample.weights = right


@pytest.fixture
def training(profile: Profile) -> lora.Training:
    return lora.prepare(CPU, profile, "fp32")


def test_training_learns(training: lora.Training, evidence: Recorder) -> None:
    for _ in range(6):
        training.run()
    training.verify(evidence)
    assert not evidence.violated


def test_training_that_stands_still_is_caught(training: lora.Training, evidence: Recorder) -> None:
    for group in training._optimizer.param_groups:
        group["lr"] = 0.0
    for _ in range(3):
        training.run()
    with pytest.raises(Wrong):
        training.verify(evidence)


def test_adapters_without_gradients_are_caught(training: lora.Training, evidence: Recorder) -> None:
    for _ in range(6):
        training.run()
    next(iter(training._adapters.values())).grad = None
    with pytest.raises(Wrong):
        training.verify(evidence)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_right_products_pass_and_one_wrong_row_does_not(profile: Profile, precision: str, evidence: Recorder) -> None:
    workload = matmul.Matmul(CPU, precision, 128, 1, profile.peak("matmul.fp32"))
    workload.run()
    workload.verify(evidence)
    workload._product[17] = 0
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_a_copy_with_one_wrong_word_is_caught(profile: Profile, evidence: Recorder) -> None:
    workload = bandwidth.prepare(CPU, profile)
    workload.run()
    workload.verify(evidence)
    workload._target[1000] += 1
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_the_smallest_kernels_are_right_here() -> None:
    assert kernel.product_error(CPU, "fp32") < 1e-5
    assert kernel.product_error(CPU, "bf16") < 2.5e-3
    assert kernel.softmax_error(CPU) < 1e-5


def test_a_model_is_as_large_as_its_shape_says_and_never_zero() -> None:
    shape = shapes.find("llama-tiny")
    model = models.build(CPU, shape, "fp32")
    assert sum(each.numel() for each in model.parameters()) == shape.parameters
    std = float(model.lm_head.weight.std())
    assert std == pytest.approx(0.02, rel=0.02)


def test_nothing_is_built_that_does_not_fit() -> None:
    with pytest.raises(Inconclusive, match="needs"):
        room.require(CPU, 1e15, "a giant")


def test_rows_are_packed_to_their_length_and_read_back_as_prose() -> None:
    rows = text.rows(48, 8192)
    assert all(len(ids) == 48 for ids in rows["input_ids"])
    assert "A machine that trains language models" in text.tokenizer().decode(rows[0]["input_ids"])
