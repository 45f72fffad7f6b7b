"""Products, memory, transfers and cold files are really worked on, and a wrong or warm one is caught."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from paths import ROOT

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import page_cache
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Load
from dgxcert.workloads import numerics
from dgxcert.workloads.hardware import bandwidth, matmul, transfer, weight_file
from dgxcert.workloads.models import linear_kernels

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and its friends warn about is no finding here

CPU = Device("cpu", 0, "CPU")
GPU = Device("cuda", 0, "NVIDIA A100")


@pytest.fixture
def profile() -> Profile:
    found = profiles.load("cpu")
    changed = {
        "matmul": found.workloads.matmul.model_copy(update={"size": 128, "products": 1, "sweep": (32, 64, 128)}),
        "bandwidth": found.workloads.bandwidth.model_copy(update={"size_mib": 4}),
        "load": Load(size_mib=4),
    }
    return found.model_copy(update={"workloads": found.workloads.model_copy(update=changed)})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def once(_: float) -> bool:
    """A round is enough."""
    return False


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_right_products_pass_and_one_wrong_row_does_not(profile: Profile, precision: str, evidence: Recorder) -> None:
    workload = matmul.Matmul(CPU, precision, 128, 1, profile.peak("matmul.fp32"))
    workload.run_rounds(once)
    workload.verify(evidence)
    with torch.inference_mode():
        workload._product[17] = 0
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


def test_eight_bit_products_are_right_where_torch_has_them_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder
) -> None:
    """The path that a GPU takes, with its columns and scales; only the hardware is another."""
    monkeypatch.setattr(matmul, "require_hardware", lambda *_: None)
    workload = matmul.Matmul(CPU, "fp8", 128, 1, profile.peak("matmul.fp32"))
    workload.run_rounds(once)
    workload.verify(evidence)
    assert evidence.kept[-1].value < 3e-3


def test_the_size_that_is_fastest_is_timed_and_all_of_them_are_told(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder
) -> None:
    seconds = iter([1e-3, 1e-4, 8e-4])  # for 32, 64 and 128: 64 is the fastest
    monkeypatch.setattr(matmul, "fastest_s", lambda run: run() or next(seconds))
    monkeypatch.setattr(matmul, "measured", lambda *_: None)
    matmul._sweep.cache_clear()
    workload = matmul.prepare(CPU, profile, "fp32")
    assert workload.size == 64
    assert workload.work.amount == pytest.approx(8 * 2 * 64**3 / 1e12), "as much work as one product of 128"
    workload.run_rounds(once)
    workload.verify(evidence)
    kept = {each.name: each.value for each in evidence.kept}
    assert kept["size 64"] == max(value for name, value in kept.items() if name.startswith("size"))
    assert kept["plateau"] == pytest.approx(1.0), "128 over 64: eight times the work in eight times the time"
    matmul._sweep.cache_clear()


def test_rates_that_contradict_the_32_bit_rate_have_a_floor(profile: Profile) -> None:
    workload = matmul.prepare(CPU, profile.model_copy(update={"physical": {**profile.physical}}), "bf16")
    assert workload.work.floor is not None
    assert "fp32 matmul of size" in workload.work.floor.source


@pytest.mark.parametrize(("precision", "capability"), [("fp8", (8, 0)), ("tf32", (7, 5)), ("bf16", (7, 5))])
def test_a_precision_that_the_hardware_lacks_is_named_and_left_to_the_profile(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, precision: str, capability: tuple[int, int]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    with pytest.raises(Inconclusive, match=f"NVIDIA A100 has no {precision} matmul: compute capability") as raised:
        matmul.prepare(GPU, profile.model_copy(update={"physical": profiles.load("h200").physical}), precision)
    assert "not_applicable" in raised.value.remedy[0]
    with pytest.raises(Inconclusive, match="a CPU has no fp8 matmul"):
        matmul.require_hardware(CPU, "fp8")


def test_the_hardware_that_has_a_precision_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (8, 9))
    for precision in ("fp32", "tf32", "fp16", "bf16", "fp8"):
        matmul.require_hardware(GPU, precision)


def test_tf32_is_on_for_its_own_products_only() -> None:
    flags = torch.backends.cuda.matmul
    before = flags.allow_tf32
    with numerics.exact_products(tf32=True):
        assert flags.allow_tf32
    with numerics.exact_products():
        assert not flags.allow_tf32
    assert flags.allow_tf32 == before


def test_bf16_products_do_not_pass_as_tf32_nor_tf32_as_fp32() -> None:
    left, right = (torch.randn(64, 2048, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    exact = left.double() @ right.double().T
    rounded = left.bfloat16().double() @ right.bfloat16().double().T
    cut = [(each.view(torch.int32) & ~0x1FFF).view(torch.float32).double() for each in (left, right)]
    assert numerics.relative_error(rounded, exact) > numerics.PRODUCT_ERROR["tf32"][0]
    error = numerics.relative_error(cut[0] @ cut[1].T, exact)
    assert numerics.PRODUCT_ERROR["fp32"][0] < error < numerics.PRODUCT_ERROR["tf32"][0]


def test_a_copy_with_one_wrong_word_is_caught(profile: Profile, evidence: Recorder) -> None:
    workload = bandwidth.prepare_copy(CPU, profile)
    workload.run_rounds(once)
    workload.verify(evidence)
    workload._target[1000] += 1
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_a_sum_is_exact_and_one_that_left_a_value_out_is_caught(profile: Profile, evidence: Recorder) -> None:
    workload = bandwidth.prepare(CPU, profile, "read")
    assert isinstance(workload, bandwidth.Read)
    workload.run_rounds(once)
    workload.verify(evidence)
    assert workload.work.amount == pytest.approx(4 * 2**20 / 1e9)
    assert float(workload._values[:100].abs().sum()) > 0
    workload._values[5] += 1
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_the_ceiling_is_the_faster_of_reading_and_copying(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    seconds = iter([1.0, 1.0])  # a copy moves twice the bytes
    monkeypatch.setattr(bandwidth, "fastest_s", lambda run: next(seconds))
    bandwidth._measure.cache_clear()
    found = bandwidth.measured(CPU, profile)
    bandwidth._measure.cache_clear()
    assert found.value == pytest.approx(2 * 4 * 2**20 / 1e9)
    assert "copy being the faster" in found.source


def test_a_cpu_has_nothing_to_transfer_to(profile: Profile) -> None:
    with pytest.raises(Inconclusive, match="no memory of its own"):
        transfer.prepare(CPU, profile, "to_device")


@pytest.mark.parametrize("way", ["mmap", "read"])
def test_a_cold_file_is_read_from_disk_verified_and_removed(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder, way: str
) -> None:
    where = ROOT / ".pytest_cache"  # a checkout lies on a disk, /tmp may be memory
    where.mkdir(exist_ok=True)
    monkeypatch.setenv("HF_HOME", str(where / "not" / "made" / "yet"))
    workload = weight_file.prepare(CPU, profile, way)
    assert workload.place == where
    before = set(where.iterdir())
    assert page_cache.resident(workload._path) > 0.9, "what was just written lies in memory"
    workload.run_rounds(once)
    workload.verify(evidence)
    assert workload._file.closed
    assert set(where.iterdir()) == before, "it never had a name"
    assert not evidence.violated
    workload._loaded["3"][7] += 1
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_a_file_that_stays_in_memory_says_nothing_about_a_disk(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(page_cache, "drop", lambda path: None)
    workload = weight_file.prepare(CPU, profile, "read")
    with pytest.raises(Inconclusive, match="stayed in memory although it was to be dropped"):
        workload.run_rounds(once)
    assert workload._file.closed, "the file is gone all the same"
    assert not list(tmp_path.iterdir())


def test_what_did_not_come_from_a_disk_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(page_cache, "resident", lambda path: 0.0)
    monkeypatch.setattr(page_cache, "read_bytes", lambda: 4096)
    workload = weight_file.prepare(CPU, profile, "read")
    workload.run_rounds(once)
    with pytest.raises(Inconclusive, match="only 0% of the file came from a disk"):
        workload.verify(Recorder())


def test_a_disk_without_room_is_left_alone(monkeypatch: pytest.MonkeyPatch, profile: Profile, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(weight_file.shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 2**20))
    with pytest.raises(Inconclusive, match=r"has 5 MiB free, 8 wanted"):
        weight_file.prepare(CPU, profile, "mmap")
    assert not list(tmp_path.iterdir())


def test_what_was_read_is_the_kernels_figure() -> None:
    assert page_cache.parse("rchar: 5\nread_bytes: 8192\nwrite_bytes: 1\n") == 8192
    assert page_cache.parse("") is None
