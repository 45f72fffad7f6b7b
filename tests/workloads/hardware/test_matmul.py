"""Results are verified, the fastest size is timed, and hardware without a precision is refused."""

import itertools
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import numerics
from dgxcert.workloads.hardware import matmul
from dgxcert.workloads.models import linear_kernels

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch are no finding

CPU = Device("cpu", 0, "CPU")
GPU = Device("cuda", 0, "NVIDIA A100")


Spoil = Callable[..., None]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Changes the results of a matmul, in each of the calls from `since` on."""

    def spoil(change: Callable[[torch.Tensor], None], since: int = 1) -> None:
        real, calls = matmul.Matmul._multiply, itertools.count(1)

        def multiply(workload: matmul.Matmul) -> None:
            real(workload)
            if next(calls) >= since:
                change(workload._result)

        monkeypatch.setattr(matmul.Matmul, "_multiply", multiply)

    return spoil


def rounds(number: int) -> Callable[[float], bool]:
    """So many rounds."""
    left = itertools.count(number - 1, -1)
    return lambda _: next(left) > 0


def run(profile: Profile, precision: str, size: int = 128, number: int = 3) -> matmul.Matmul:
    workload = matmul.Matmul(CPU, precision, size, 1, profile.peak("matmul.fp32"))
    workload.run_rounds(rounds(number))
    return workload


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_right_results_pass(profile: Profile, precision: str, evidence: Recorder) -> None:
    run(profile, precision).verify(evidence)
    assert not evidence.violated
    assert evidence.kept[-1].source == "the last results of 2 rounds, bit for bit"


def zero_tile(result: torch.Tensor) -> None:
    result[112:128, 504:512] = 0


def zero_row(result: torch.Tensor) -> None:
    result[17] = 0


def zero_column(result: torch.Tensor) -> None:
    result[:, 300] = 0


def largest_zero(result: torch.Tensor) -> None:
    result.view(-1)[result.float().abs().argmax()] = 0


def sixth_of_typical(result: torch.Tensor) -> None:
    result[200, 100] += result.shape[0] ** 0.5 / 6


@pytest.mark.catches(
    "MATMUL-SPEED",
    "one value of a product of any size off by a sixth of the root mean square of all of them; one value, one row, one "
    "column or one 16 x 8 tile set to 0",
    unseen="one value off by less than this part of the root mean square: 5e-4 in fp32, 0.015 in fp16, 0.072 in tf32, "
    "0.12 in bf16 (of values set to 0 one in ten is that small), 0.96 in fp8, whose own error may be 2 %",
)
@pytest.mark.parametrize("change", [zero_tile, zero_row, zero_column, largest_zero, sixth_of_typical])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_fault_in_every_result_is_caught(
    profile: Profile, precision: str, spoil: Spoil, change: Callable[[torch.Tensor], None], evidence: Recorder
) -> None:
    """The first result is wrong as well, so that only fp64 can tell."""
    spoil(change)
    with pytest.raises(Wrong):
        run(profile, precision, 512, 2).verify(evidence)
    assert "product error" in evidence.violated[0][0].name


@pytest.mark.catches("MATMUL-SPEED", "the last bit of one value of the last product of one round")
@pytest.mark.parametrize("since", [2, 3])
def test_one_bit_that_differs_from_the_first_result_is_caught(
    profile: Profile, spoil: Spoil, evidence: Recorder, since: int
) -> None:
    spoil(lambda result: result.view(torch.int32)[5, 7].__ixor__(1), since)
    with pytest.raises(Wrong):
        run(profile, "fp32").verify(evidence)
    assert [(kept.name, kept.value) for kept, _ in evidence.violated] == [
        ("values that differ from the first result", 4 - since)
    ]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_ceiling_of_a_cpu_is_measured_with_the_kernel_that_models_use(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, kind: object
) -> None:
    """A ceiling from a slower kernel would be none: models reached 1.5 of it."""
    multiplied: list[object] = []

    dense = linear_kernels.dense

    def recorded(device: Device, dtype: object) -> linear_kernels.LinearKernel:
        def kernel(inputs: object, weights: linear_kernels.Weights) -> object:
            multiplied.append(dtype)
            return dense(device, dtype)(inputs, weights)

        return kernel

    monkeypatch.setattr(linear_kernels, "dense", recorded)
    name = {torch.float32: "fp32", torch.bfloat16: "bf16"}[kind]
    matmul.Matmul(CPU, name, 64, 3, profile.peak("matmul.fp32")).run()
    assert multiplied == [kind] * 3


def test_fp8_results_are_right_where_torch_has_them_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder
) -> None:
    """The code path of a GPU, with a column-major matrix and scales, on a CPU."""
    monkeypatch.setattr(matmul, "require_hardware", lambda *_: None)
    run(profile, "fp8").verify(evidence)
    assert evidence.kept[0].value < 3e-3


@pytest.mark.catches("MATMUL-SPEED[fp8]", "one 16 x 8 tile of a product of any size set to 0")
def test_a_zero_tile_of_an_fp8_product_is_caught(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, spoil: Spoil, evidence: Recorder
) -> None:
    monkeypatch.setattr(matmul, "require_hardware", lambda *_: None)
    spoil(zero_tile)
    workload = run(profile, "fp8", 512, 1)  # takes seconds on a CPU
    with pytest.raises(Wrong):
        workload.verify(evidence)
    assert workload.error().worst > 1.5 * (numerics.part_tolerance("fp8").max or 0.0)


def test_the_fastest_size_is_timed_and_all_of_them_are_recorded(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder
) -> None:
    seconds = iter([1e-3, 1e-4, 8e-4])  # for 32, 64 and 128: 64 is the fastest
    monkeypatch.setattr(matmul, "fastest_s", lambda run: run() or next(seconds))
    monkeypatch.setattr(matmul, "measured", lambda *_: None)
    matmul._sweep.cache_clear()
    workload = matmul.prepare(CPU, profile, "fp32")
    assert workload.size == 64
    assert workload.work.amount == pytest.approx(8 * 2 * 64**3 / 1e12), "as much work as one matmul of 128"
    workload.run_rounds(rounds(1))
    workload.verify(evidence)
    kept = {quantity.name: quantity.value for quantity in evidence.kept}
    assert kept["size 64"] == max(value for name, value in kept.items() if name.startswith("size"))
    assert kept["plateau"] == pytest.approx(1.0), "128 over 64: eight times the work in eight times the time"
    matmul._sweep.cache_clear()


def test_the_fp32_rate_is_the_floor_of_other_precisions(profile: Profile) -> None:
    workload = matmul.prepare(CPU, profile.model_copy(update={"physical": {**profile.physical}}), "bf16")
    assert workload.work.floor is not None
    assert "fp32 matmul of size" in workload.work.floor.source


@pytest.mark.parametrize(("precision", "capability"), [("fp8", (8, 0)), ("tf32", (7, 5)), ("bf16", (7, 5))])
def test_a_precision_that_the_hardware_lacks_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, precision: str, capability: tuple[int, int]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    with pytest.raises(Inconclusive, match=f"NVIDIA A100 has no {precision} matmul: compute capability") as raised:
        matmul.prepare(GPU, profile.model_copy(update={"physical": profiles.load("h200").physical}), precision)
    assert "not_applicable" in raised.value.remedy[0]
    with pytest.raises(Inconclusive, match="a CPU has no fp8 matmul"):
        matmul.require_hardware(CPU, "fp8")


def test_hardware_with_a_precision_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (8, 9))
    for precision in ("fp32", "tf32", "fp16", "bf16", "fp8"):
        matmul.require_hardware(GPU, precision)
