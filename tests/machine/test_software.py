"""The versions of the stack are those that are installed, read without importing a package."""

import hashlib
import subprocess
import sys
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

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


APPORT = """# install the apport exception handler if available
try:
    import apport_python_hook
except ImportError:
    pass
else:
    apport_python_hook.install()
"""


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder of packages that there is, without startup code."""
    monkeypatch.setattr(software.site, "getsitepackages", lambda: [str(tmp_path)])
    monkeypatch.setattr(software.site, "ENABLE_USER_SITE", None)
    for name in ("sitecustomize", "usercustomize"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def with_module(monkeypatch: pytest.MonkeyPatch, path: Path, code: str) -> None:
    path.write_text(code, encoding="utf-8")
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, path.stem, module)


@pytest.mark.parametrize("name", ["sitecustomize", "usercustomize"])
def test_code_that_python_runs_at_its_start_is_named(
    monkeypatch: pytest.MonkeyPatch, packages: Path, name: str
) -> None:
    with_module(monkeypatch, packages / f"{name}.py", "import torch\ntorch.matmul = None\n")
    assert software.read().startup_code == (str(packages / f"{name}.py"),)


@pytest.mark.parametrize(
    "code", [APPORT, "# Empty, to avoid a dangling link\n", ""], ids=["Ubuntu's", "Debian's", "empty"]
)
def test_the_module_of_the_distribution_is_not_named(
    monkeypatch: pytest.MonkeyPatch, packages: Path, code: str
) -> None:
    with_module(monkeypatch, packages / "sitecustomize.py", code)
    assert software.startup_code() == ()


def test_the_module_of_the_distribution_with_one_line_more_is_named(
    monkeypatch: pytest.MonkeyPatch, packages: Path
) -> None:
    with_module(monkeypatch, packages / "sitecustomize.py", APPORT + "import faster\n")
    assert software.startup_code() == (str(packages / "sitecustomize.py"),)


@pytest.mark.parametrize("line", ["import faster", "import\tfaster", "import os; exec('1')"])
def test_a_pth_file_with_code_is_named_unless_a_package_owns_it(packages: Path, line: str) -> None:
    (packages / "folder.pth").write_text("/opt/more\n", encoding="utf-8")
    (packages / "faster.pth").write_text(f"/opt/more\n{line}\n", encoding="utf-8")
    assert software.startup_code() == (str(packages / "faster.pth"),)
    owner = packages / "faster-1.0.dist-info"
    owner.mkdir()
    (owner / "METADATA").write_text("Metadata-Version: 2.1\nName: faster\nVersion: 1.0\n", encoding="utf-8")
    (owner / "RECORD").write_text("faster.pth,sha256=abc,12\n", encoding="utf-8")
    assert software.startup_code() == ()


def test_a_pth_file_of_debian_is_not_named_unless_it_was_changed(
    monkeypatch: pytest.MonkeyPatch, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, debian = packages / "distutils-precedence.pth", tmp_path_factory.mktemp("info")
    path.write_text("import os; __import__('_distutils_hack')\n", encoding="utf-8")
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    (debian / "python3-setuptools.md5sums").write_text(f"{digest}  {path.as_posix()[1:]}\n", encoding="utf-8")
    monkeypatch.setattr(software, "DEBIAN", debian)
    assert software.startup_code() == ()
    path.write_text("import os; __import__('faster')\n", encoding="utf-8")
    assert software.startup_code() == (str(path),)
