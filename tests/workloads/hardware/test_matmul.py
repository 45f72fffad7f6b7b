"""Results are verified, the fastest size is timed, and hardware without a precision is refused."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import matmul
from dgxcert.workloads.models import linear_kernels

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch are no finding

CPU = Device("cpu", 0, "CPU")
GPU = Device("cuda", 0, "NVIDIA A100")


def once(_: float) -> bool:
    """One round is enough."""
    return False


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_right_results_pass_and_one_wrong_row_fails(profile: Profile, precision: str, evidence: Recorder) -> None:
    workload = matmul.Matmul(CPU, precision, 128, 1, profile.peak("matmul.fp32"))
    workload.run_rounds(once)
    workload.verify(evidence)
    with torch.inference_mode():
        workload._result[17] = 0
    with pytest.raises(Wrong):
        workload.verify(Recorder())


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
    workload = matmul.Matmul(CPU, "fp8", 128, 1, profile.peak("matmul.fp32"))
    workload.run_rounds(once)
    workload.verify(evidence)
    assert evidence.kept[-1].value < 3e-3


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
    workload.run_rounds(once)
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
