"""COURSE-MEMORY: each comparison fails alone, weights in more bits are caught, and the evidence names the shape."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import numerics
from dgxcert.workloads.course import weights_memory
from dgxcert.workloads.course.weights_memory import WeightsMemory
from dgxcert.workloads.models import architectures, loading, nf4

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

CHECKS = check_file.load("course/test_weights_memory")
MEMORY = CHECKS.test_a_parameter_takes_two_bytes_in_fp16_and_half_a_byte_in_four_bits

PIECE = architectures.find("llama-2-7b-piece")
RIGHT = WeightsMemory(
    PIECE, False, 2 * PIECE.parameters, int(0.5625 * PIECE.layer_parameters) + 7, 7, "bytes of all tensors"
)


def test_healthy_weights_pass(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    monkeypatch.setattr(weights_memory, "measure", lambda device, model: RIGHT)
    passes(MEMORY, cpu, profile)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"fp16_bytes": 4 * PIECE.parameters}, "fp16"),
        ({"fp16_bytes": PIECE.parameters}, "fp16"),
        ({"nf4_bytes": 2 * PIECE.layer_parameters}, "NF4 layers, scales included"),
        ({"nf4_bytes": PIECE.layer_parameters // 4}, "NF4 layers, scales included"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    cpu: Device,
    profile: Profile,
    wrong: dict[str, int],
    by: str,
) -> None:
    monkeypatch.setattr(weights_memory, "measure", lambda device, model: dataclasses.replace(RIGHT, **wrong))
    fails(MEMORY, cpu, profile, by=by)


def test_the_evidence_states_both_sizes_of_7_b_and_the_measured_shape(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    monkeypatch.setattr(weights_memory, "measure", lambda device, model: RIGHT)
    kept = {quantity.name: quantity for quantity in passes(MEMORY, cpu, profile).kept}
    assert kept["7 B parameters in fp16"].value == 14.0
    assert kept["7 B parameters in NF4"].value == pytest.approx(3.94, abs=0.01)
    assert "14 GB in FP16 and 3.5 GB in INT4" in kept["7 B parameters in NF4"].source
    assert "1 layers of width 1024" in kept["fp16"].source
    assert "a smaller shape than 7 B" in kept["fp16"].source


@pytest.mark.usefixtures("torch")
def test_the_model_of_the_profile_passes(passes: Callable[..., Recorder], cpu: Device, profile: Profile) -> None:
    passes(MEMORY, cpu, profile)


def test_fp16_weights_that_are_stored_in_32_bits_are_caught(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    torch: ModuleType,
    cpu: Device,
    profile: Profile,
) -> None:
    original = numerics.dtype
    monkeypatch.setattr(numerics, "dtype", lambda name: torch.float32 if name == "fp16" else original(name))
    assert fails(MEMORY, cpu, profile, by="fp16").kept[0].value == pytest.approx(4.0, rel=0.01)


@pytest.mark.usefixtures("torch")
def test_nf4_layers_that_stay_in_32_bits_are_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    def unquantised(model: Any, config: Any, device: Device, generator: Any, std: float) -> None:
        nf4._fill_other_weights(model, device, generator, std)
        model.model.rotary_emb = type(model.model.rotary_emb)(config)

    monkeypatch.setattr(nf4, "materialise", unquantised)
    fails(MEMORY, cpu, profile, by="NF4 layers, scales included")


@pytest.mark.parametrize(("peak", "by"), [(150, None), (151, "peak memory while loading")])
def test_weights_that_take_more_memory_while_they_are_loaded_fail(
    monkeypatch: pytest.MonkeyPatch,
    passes: Callable[..., Recorder],
    fails: Callable[..., Recorder],
    cpu: Device,
    profile: Profile,
    peak: int,
    by: str | None,
) -> None:
    monkeypatch.setattr(loading, "measure", lambda device, layers: loading.Loading(100, peak, 0, "cpu"))
    check = CHECKS.test_loading_a_checkpoint_takes_the_memory_of_its_weights_once
    if by is None:
        passes(check, cpu, profile)
    else:
        fails(check, cpu, profile, by=by)
