"""COURSE-PADDING: each comparison fails alone, and an attention or a tokenizer with a wrong mask is caught."""

import dataclasses
from collections.abc import Callable
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.course import padding
from dgxcert.workloads.course.padding import PaddingResult
from dgxcert.workloads.models import text

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

PADDING = check_file.load("course/test_padding").test_padding_does_not_change_the_logits
RIGHT = PaddingResult(0, 222, 1e-6, 2.0)


def test_a_healthy_result_passes(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device) -> None:
    monkeypatch.setattr(padding, "compare", lambda device, side: RIGHT)
    passes(PADDING, cpu, "left")


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"wrong_values": 1}, "wrong token ids and mask values"),
        ({"with_mask": 0.5}, "difference with the mask"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, wrong: dict[str, Any], by: str
) -> None:
    monkeypatch.setattr(padding, "compare", lambda device, side: dataclasses.replace(RIGHT, **wrong))
    fails(PADDING, cpu, "left", by=by)


def test_a_comparison_with_an_insensitive_model_is_inconclusive(monkeypatch: pytest.MonkeyPatch, cpu: Device) -> None:
    monkeypatch.setattr(padding, "compare", lambda device, side: PaddingResult(0, 222, 1e-6, 1e-5))
    with pytest.raises(Inconclusive, match="insensitive to padding"):
        PADDING(cpu, "left", Recorder())


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("side", ["right", "left"])
def test_transformers_models_pass(passes: Callable[..., Recorder], cpu: Device, side: str) -> None:
    passes(PADDING, cpu, side)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("side", ["right", "left"])
def test_an_attention_that_ignores_the_mask_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, side: str
) -> None:
    from torch.nn import functional

    original = functional.scaled_dot_product_attention

    def unmasked(query: Any, key: Any, value: Any, attn_mask: Any = None, **options: Any) -> Any:
        causal = side == "left"
        repeats = query.shape[1] // key.shape[1]
        keys, values = (heads.repeat_interleave(repeats, 1) for heads in (key, value))
        return original(query, keys, values, is_causal=causal, scale=options.get("scale"))

    monkeypatch.setattr(functional, "scaled_dot_product_attention", unmasked)
    fails(PADDING, cpu, side, by="difference with the mask")


@pytest.mark.usefixtures("torch")
def test_a_tokenizer_that_marks_padding_as_text_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    original = text.tokenizer

    def all_ones() -> Any:
        tokenizer = original()
        call = type(tokenizer).__call__

        class AllOnes(type(tokenizer)):  # type: ignore[misc]
            def __call__(self, *args: Any, **options: Any) -> Any:
                batch = call(self, *args, **options)
                if options.get("return_tensors"):
                    batch["attention_mask"][:] = 1
                return batch

        tokenizer.__class__ = AllOnes
        return tokenizer

    monkeypatch.setattr(text, "tokenizer", all_ones)
    fails(PADDING, cpu, "right", by="wrong token ids and mask values")


@pytest.mark.usefixtures("torch")
def test_a_model_that_hardly_attends_is_inconclusive(monkeypatch: pytest.MonkeyPatch, cpu: Device) -> None:
    monkeypatch.setattr(padding, "_largest_difference", lambda *_: 1e-5)
    with pytest.raises(Inconclusive, match="insensitive to padding"):
        PADDING(cpu, "right", Recorder())
