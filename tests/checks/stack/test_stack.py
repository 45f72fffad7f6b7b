"""The checks of the stack pass where all is well, and each of their comparisons fails alone."""

import dataclasses
from collections.abc import Callable
from typing import Any

import check_file
import paths
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.machine.software import STACK
from dgxcert.probes.gpu import nvml
from dgxcert.probes.stack import base_image, cuda_libraries, lockfile, package_import, packages, pip_check
from dgxcert.probes.stack.base_image import Base
from dgxcert.probes.stack.cuda_libraries import Libraries
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.package_import import Package
from dgxcert.probes.stack.packages import Finding, Place
from dgxcert.workloads.correctness import nf4_reference
from dgxcert.workloads.stack import accelerator, adapters, dataset_cache, encoding, metric, tensor_file

CHECKS = paths.CHECKS / "stack"
CPU = Device("cpu", 0, "CPU")
LOCK = StackLock("course", "the lock", {"peft": "0.18.1"})
PEFT = Finding("peft", "0.1", "0.18.1")


def check(name: str, test: str) -> Callable[..., None]:
    module = check_file.load(f"stack/test_{name}")
    found: Callable[..., None] = getattr(module, f"test_{test}")
    return found


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.fixture(autouse=True)
def _locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockfile, "read", lambda: LOCK)
    monkeypatch.setattr(packages, "place", lambda: Place("/work", ("/work", "/site")))


def judge(test: Callable[..., None], evidence: Recorder, fault: str | None, *arguments: object) -> None:
    """Run a check: all its comparisons hold, or exactly the quantity named fails."""
    if fault is None:
        test(*arguments, evidence)
        assert evidence.compared
        assert not evidence.violated
        return
    with pytest.raises(AssertionError):
        test(*arguments, evidence)
    assert [kept.name for kept, _ in evidence.violated] == [fault]


@pytest.mark.parametrize(("problem", "fault"), [("", None), ("ImportError: no libcuda", "peft imports")])
def test_a_package_must_import(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, problem: str, fault: str | None
) -> None:
    monkeypatch.setattr(package_import, "read", lambda name: Package(name, "1.0", "/site", problem))
    judge(check("imports", "the_package_imports"), evidence, fault, "peft")
    assert problem in evidence.kept[0].source


def test_every_package_of_the_stack_is_imported() -> None:
    marks = check("imports", "the_package_imports").pytestmark  # type: ignore[attr-defined]
    assert [mark.args for mark in marks if mark.name == "parametrize"] == [("name", STACK)]


PACKAGES = {
    "every_package_has_the_version_of_the_lock": ("other_versions", "packages in another version"),
    "no_package_is_installed_twice": ("duplicates", "packages installed twice"),
}


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("test", PACKAGES)
def test_a_package_that_is_not_as_locked_is_named(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, test: str, wrong: bool
) -> None:
    asked, fault = PACKAGES[test]
    monkeypatch.setattr(packages, asked, lambda lock, where: [PEFT] if wrong else [])
    judge(check("packages", test), evidence, fault if wrong else None)
    if wrong:
        assert evidence.violated[0][0].value == "peft: found 0.1, wanted 0.18.1"
        assert any("peft==0.18.1" in step for step in evidence.advice)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_package_hidden_by_a_file_is_named(monkeypatch: pytest.MonkeyPatch, evidence: Recorder, hidden: bool) -> None:
    found = [Finding("torch", "/work/torch.py", "/site/torch")] if hidden else []
    monkeypatch.setattr(packages, "shadowed", lambda where: found)
    test = check("packages", "no_file_is_imported_in_place_of_a_package")
    judge(test, evidence, "packages hidden by a file" if hidden else None)
    assert any("mv /work/torch.py /work/my_torch.py" in step for step in evidence.advice) is hidden


@pytest.mark.parametrize(
    ("found", "size", "fault"), [([], 3e8, None), ([PEFT], 3e8, "altered packages"), ([], 9e7, "looked at")]
)
def test_an_altered_file_is_named_and_a_look_at_nothing_is_none(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, found: list[Finding], size: float, fault: str | None
) -> None:
    monkeypatch.setattr(packages, "altered", lambda lock, where: (found, size))
    judge(check("packages", "the_files_of_the_stack_are_as_they_were_installed"), evidence, fault)


@pytest.mark.parametrize(
    ("conflicts", "fault"),
    [([], None), (["peft 0.1 requires torch, which is not installed."], "packages that disagree")],
)
def test_packages_that_disagree_are_named(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, conflicts: list[str], fault: str | None
) -> None:
    monkeypatch.setattr(pip_check, "read", lambda lock: conflicts)
    judge(check("packages", "installed_packages_agree"), evidence, fault)
    if fault:
        assert any("install --no-deps --force-reinstall peft==0.18.1" in step for step in evidence.advice)


@pytest.mark.parametrize(
    ("torch", "changed", "fault"),
    [
        ("2.10.0a0+b558.nv25.11", "nothing", None),
        ("2.10.0", "nothing", "torch of the base image ends in"),
        ("2.10.0a0+b558.nv25.11", "numpy was 2.1 and is 2.4 now", "changed since"),
    ],
)
def test_torch_must_be_the_base_images_own(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, torch: str, changed: str, fault: str | None
) -> None:
    monkeypatch.setattr(base_image, "read", lambda: Base(torch, "nv25.11", changed))
    judge(check("base_image", "torch_is_the_base_images_own_build"), evidence, fault)


@dataclasses.dataclass(frozen=True)
class Driver:
    cuda_major: int
    source: str = "CUDA 13.0"


@pytest.mark.parametrize(
    ("library", "driver", "fault"),
    [
        ("libbitsandbytes_cuda130.so", 13, None),
        ("libbitsandbytes_cuda130.so", 14, None),
        ("libbitsandbytes_cuda128.so", 13, "CUDA of bitsandbytes"),
        ("libbitsandbytes_cpu.so", 13, "CUDA of bitsandbytes"),
        ("libbitsandbytes_cuda130.so", 12, "CUDA of the driver"),
    ],
)
def test_torch_bitsandbytes_and_driver_must_be_for_one_cuda(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, library: str, driver: int, fault: str | None
) -> None:
    monkeypatch.setattr(cuda_libraries, "read", lambda: Libraries("13.0", library, ""))
    monkeypatch.setattr(nvml, "require_loaded", lambda: Driver(driver))
    judge(check("cuda_libraries", "torch_bitsandbytes_and_the_driver_are_for_one_cuda"), evidence, fault)


ATTACHED = adapters.Attached(1536, 1536, 0, 0, 1e-6, 2.4)
MAPPED = dataset_cache.Mapped(dataset_cache.PROCESSES, 0, dataset_cache.ROWS, 0, True)
SCORES = metric.Scores(metric.ACCURACY, metric.MACRO_F1, metric.ACCURACY, metric.MACRO_F1)
FILE = tensor_file.TensorFile("none", "as promised", tensor_file.KEPT, 0.004)
ENCODED = encoding.Encoding(True, "fast", "1 2", "1 2", True, 0, 64, 1e5)
ACCELERATED = accelerator.Accelerated("cpu", 1, ", ".join(accelerator.PARTS))
LORA = ("adapters", "lora_is_attached_learns_alone_and_merges", adapters, ATTACHED, True)
TAKES = ("accelerator", "accelerate_takes_the_device_and_passes_its_own_test", accelerator, ACCELERATED, True)
NF4 = ("nf4", "nf4_layer_computes_the_reference_result", nf4_reference, nf4_reference.FourBit(1.6e-3, 4.0), True)
DATA = ("data_sets", "a_data_set_is_mapped_by_several_processes_and_kept", dataset_cache, MAPPED, False)
SCORE = ("metric", "a_known_score_is_computed", metric, SCORES, False)
KEPT = ("tensor_file", "tensors_come_back_byte_for_byte", tensor_file, FILE, False)
TOKENS = ("tokenizer", "the_tokenizer_is_the_fast_one_and_right", encoding, ENCODED, False)


@pytest.mark.parametrize(
    ("about", "changed", "fault"),
    [
        (LORA, {}, None),
        (LORA, {"trainable": 1537}, "trainable parameters"),
        (LORA, {"without_gradient": 1}, "adapters without a gradient"),
        (LORA, {"others_with_gradient": 1}, "other weights with a gradient"),
        (LORA, {"moved": 0.0}, "what adapters change"),
        (LORA, {"merge_difference": 0.5}, "change by merging"),
        (TAKES, {}, None),
        (TAKES, {"device": "cuda:0"}, "device of accelerate"),
        (TAKES, {"parts": accelerator.PARTS[0]}, "parts of its own test"),
        (NF4, {}, None),
        (NF4, {"error": 0.1}, "NF4 matmul error"),
        (NF4, {"bits": 8.0}, "bits of a weight"),
        (DATA, {}, None),
        (DATA, {"processes": 1}, "processes"),
        (DATA, {"wrong": 1}, "wrong rows"),
        (DATA, {"calls": 399}, "calls of the function"),
        (DATA, {"calls_again": 1}, "calls the second time"),
        (DATA, {"same_fingerprint": False}, "same fingerprint"),
        (SCORE, {}, None),
        (SCORE, {"sklearn_f1": 0.5}, "difference from scikit-learn"),
        (SCORE, {"f1": 0.5, "sklearn_f1": 0.5}, "difference from the values by hand"),
        (KEPT, {}, None),
        (KEPT, {"changed": "bfloat16"}, "changed tensors"),
        (KEPT, {"layout": "unaligned"}, "layout of the file"),
        (KEPT, {"metadata": "format=pt"}, "metadata"),
        (KEPT, {"piece_mib": 1024.0}, "memory for a piece"),
        (TOKENS, {}, None),
        (TOKENS, {"fast": False}, "fast tokenizer"),
        (TOKENS, {"ids": "1 3"}, "token ids"),
        (TOKENS, {"read_back": False}, "reads back as it was"),
        (TOKENS, {"differing": 1}, "texts with other ids among many"),
    ],
)
def test_each_comparison_about_what_a_package_computes_fails_alone(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, about: Any, changed: dict[str, object], fault: str | None
) -> None:
    name, test, workload, well, on_device = about
    monkeypatch.setattr(workload, "run", lambda *_: dataclasses.replace(well, **changed))
    judge(check(name, test), evidence, fault, *([CPU] if on_device else []))
