"""The versions of the stack are those that are installed, read without importing a package."""

import subprocess
import sys
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from dgxcert.machine import software


def test_each_package_has_its_installed_version_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "STACK", ("pytest", "no-such-distribution"))
    monkeypatch.setattr(software, "OTHERS", ("pydantic",))
    read = software.read()
    assert read.packages == {
        "pytest": pytest.__version__,
        "no-such-distribution": None,
        "pydantic": metadata.version("pydantic"),
    }
    assert read.executable == sys.executable


def test_no_package_of_the_stack_is_imported() -> None:
    """Importing torch takes seconds, and a broken package must not keep its version from being reported."""
    program = (
        "import sys; from dgxcert.machine import software; software.read(); "
        "print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


@pytest.fixture
def torch_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The version.py of an installed torch, not yet written."""
    spec = ModuleSpec("torch", None, origin=str(tmp_path / "torch" / "__init__.py"))
    (tmp_path / "torch").mkdir()
    monkeypatch.setattr(software.util, "find_spec", lambda name: spec if name == "torch" else None)
    return tmp_path / "torch" / "version.py"


@pytest.mark.parametrize(
    ("line", "cuda"),
    [
        ("cuda: Optional[str] = '13.0'", "13.0"),
        ("cuda = '12.6'", "12.6"),
        ("cuda: Optional[str] = None", None),
        ("debug = False\nhip: Optional[str] = '6.4'", None),
    ],
    ids=["NVIDIA's", "PyPI's", "CPU build", "ROCm build"],
)
def test_the_cuda_of_torch_is_that_of_its_build(torch_version: Path, line: str, cuda: str | None) -> None:
    torch_version.write_text(f"from typing import Optional\n\n__version__ = '2.10.0a0'\n{line}\n", encoding="utf-8")
    assert software.read().cuda == cuda


def test_without_torch_or_its_version_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch, torch_version: Path) -> None:
    assert not torch_version.exists()
    assert software.read().cuda is None
    monkeypatch.setattr(software.util, "find_spec", lambda name: None)
    assert software.read().cuda is None


def test_the_base_image_is_named_by_nvidias_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_PYTORCH_VERSION", "25.11")
    monkeypatch.setenv("NVIDIA_BUILD_ID", "231036453")
    assert software.read().base_image == "nvidia pytorch 25.11 build 231036453"
    monkeypatch.delenv("NVIDIA_PYTORCH_VERSION")
    assert software.read().base_image is None
