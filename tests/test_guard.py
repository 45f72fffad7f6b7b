"""The guard of the image: NVIDIA's packages stay as they are, and a build that would change them fails by name."""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NVIDIA = "2.10.0a0+b558c986e8.nv25.11"


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "container"))
    return importlib.import_module("guard")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A package index in a folder: NVIDIA's alpha of torch, its public release, and something that wants the latter."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel(folder, "torch", NVIDIA)
    wheel(folder, "torch", "2.10.0")
    wheel(folder, "wants-torch", "1.0", requires="torch>=2.10")
    return folder


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}.py", "")
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def resolve(index: Path, *options: str) -> subprocess.CompletedProcess[str]:
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--ignore-installed", "--no-index"]
    command = [*pip, f"--find-links={index}", *options, "wants-torch"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_constraints_pip_replaces_nvidias_alpha_which_sorts_below_its_release(index: Path) -> None:
    done = resolve(index)
    assert done.returncode == 0
    assert "torch-2.10.0 " in done.stdout.replace("\n", " ") + " "


def test_with_the_guards_constraints_pip_refuses(guard: ModuleType, index: Path, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(guard.constraints({"torch": NVIDIA, "requests": "2.0"}), encoding="utf-8")
    done = resolve(index, f"--constraint={constraints}")
    assert done.returncode != 0
    assert "ResolutionImpossible" in done.stderr
    assert "wants-torch" in done.stderr


def test_only_what_is_nvidias_is_pinned(guard: ModuleType) -> None:
    packages = {"torch": NVIDIA, "numpy": "2.1.0", "nvidia-cublas": "13", "flash-attn": "2.7", "transformers": "4"}
    assert guard.constraints(packages) == f"flash-attn==2.7\nnumpy==2.1.0\nnvidia-cublas==13\ntorch=={NVIDIA}\n"


def test_an_untouched_base_draws_no_complaint(guard: ModuleType) -> None:
    base = guard.Base(NVIDIA, "abc", {"torch": NVIDIA}, ["old 1 requires older"])
    assert guard.complaints(base, {"torch": NVIDIA, "peft": "0.18.1"}, "abc", ["old 1 requires older"]) == []


@pytest.mark.parametrize(
    ("packages", "torch_sha256", "conflicts", "said"),
    [
        ({"torch": "2.10.0"}, "abc", [], "torch was 2.10.0a0+b558c986e8.nv25.11 in the base image and is 2.10.0 now"),
        ({}, "abc", [], "and is gone now"),
        ({"torch": NVIDIA}, "other", [], "files of torch"),
        ({"torch": NVIDIA}, "abc", ["wants-torch 1.0 has requirement torch>=2.10"], "new conflict: wants-torch 1.0"),
        ({"torch": NVIDIA, "peft": "0.21.2", "torchao": "0.14.0+git"}, "abc", [], "refuses to attach LoRA"),
    ],
)
def test_what_an_installation_must_not_do_is_named(
    guard: ModuleType, packages: dict[str, str], torch_sha256: str, conflicts: list[str], said: str
) -> None:
    base = guard.Base(NVIDIA, "abc", {"torch": NVIDIA}, [])
    assert any(said in line for line in guard.complaints(base, packages, torch_sha256, conflicts))


@pytest.mark.parametrize(
    ("peft", "torchao", "in_the_way"),
    [
        ("0.18.1", "0.14.0+git", False),
        ("0.19.1", "0.14.0+git", True),
        ("0.21.2", "0.17.0", False),
        ("0.21.2", "", False),
    ],
)
def test_a_torchao_that_keeps_peft_from_lora_is_found(
    guard: ModuleType, peft: str, torchao: str, in_the_way: bool
) -> None:
    packages = {"peft": peft, **({"torchao": torchao} if torchao else {})}
    assert guard.torchao_in_the_way(packages) is in_the_way


def test_removing_torchao_is_the_one_thing_that_may_change(guard: ModuleType) -> None:
    base = guard.Base(NVIDIA, "abc", {"torch": NVIDIA, "torchao": "0.14.0+git"}, [])
    assert guard.complaints(base, {"torch": NVIDIA, "peft": "0.21.2"}, "abc", []) == []


def test_a_base_that_is_not_nvidias_is_refused(guard: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no NVIDIA PyTorch image"):
        guard.wanted_tag({})
    assert guard.wanted_tag({"NVIDIA_PYTORCH_VERSION": "25.11"}) == "nv25.11"


def test_one_changed_byte_of_torch_changes_its_hash(guard: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libtorch.so").write_bytes(b"weights")
    before = guard.hash_of_torch(tmp_path)
    (tmp_path / "lib" / "libtorch.so").write_bytes(b"weighty")
    assert guard.hash_of_torch(tmp_path) != before
