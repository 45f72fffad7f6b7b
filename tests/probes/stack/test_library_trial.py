"""Library trial: a package beside the lock that breaks a library is named, one that breaks nothing is not."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import missing

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import library_trial, lockfile, packages
from dgxcert.probes.stack.library_trial import MARK, Problem, Tried
from dgxcert.probes.stack.placement import Package, Place

Library = Callable[..., None]

GATES = """
import importlib.metadata, importlib.util

def is_torchvision_available():
    return importlib.util.find_spec("torchvision") is not None

def is_torchao_available():
    if importlib.util.find_spec("torchao") is None:
        return False
    if importlib.metadata.version("torchao") < "0.16":
        raise ImportError("Found an incompatible version of torchao.")
    return True

def is_flash_attn_2_available():
    return importlib.util.find_spec("flash_attn") is not None

def is_of_two_available(first, second):
    raise AssertionError("a gate that needs arguments is not called")
"""
LAZY = """
import importlib

def __getattr__(name):
    if name == "Trainer":
        import torchaudio
    if name == "pipeline":
        import os; os.abort()
    return name
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Libraries of the names of the stack that import at once, and come before the installed ones."""
    for name in library_trial.LIBRARIES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("def __getattr__(name): return name\n", encoding="utf-8")
    (tmp_path / "transformers" / "utils").mkdir()
    (tmp_path / "transformers" / "utils" / "__init__.py").write_text("from . import import_utils\n", encoding="utf-8")
    (tmp_path / "transformers" / "utils" / "import_utils.py").write_text(GATES, encoding="utf-8")
    imports = "from .utils import import_utils\ndef __getattr__(name): return name\n"
    (tmp_path / "transformers" / "__init__.py").write_text(imports, encoding="utf-8")
    source = Path(library_trial.__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (tmp_path, source))))
    return tmp_path


@pytest.fixture
def guest(folder: Path) -> Callable[..., Package]:
    """Install a package beside the lock, with the code of its module."""

    def install(name: str, code: str = "", version: str = "0.15.0") -> Package:
        module = name.replace("-", "_")
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text(code, encoding="utf-8")
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        return Package(name, version, str(folder), Place.ENVIRONMENT, "pip", (module,))

    return install


def test_without_a_package_beside_the_lock_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "run", lambda *_, **__: pytest.fail("a process was started"))
    tried = library_trial.read(())
    assert (tried.summary, tried.remedy) == ("nothing", ())


def test_a_package_that_breaks_nothing_is_quiet(guest: Callable[..., Package]) -> None:
    tried = library_trial.read((guest("torchvision"), guest("wandb", "raise ImportError('never asked for')")))
    assert (tried.problems, tried.noted) == ((), ())


def test_a_gate_that_raises_names_the_package(guest: Callable[..., Package]) -> None:
    tried = library_trial.read((guest("torchao"), guest("wandb")))
    (problem,) = tried.problems
    assert problem.what == "transformers.utils.import_utils.is_torchao_available()"
    assert problem.guilty is not None
    assert problem.guilty.name == "torchao"
    assert tried.without == ()
    assert "python -m pip uninstall -y torchao" in tried.remedy[0]
    assert "(the cause is torchao 0.15.0)" in tried.summary


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        ("torchvision", "raise RuntimeError('operator torchvision::nms does not exist')", "torchvision::nms"),
        ("flash-attn", "raise ImportError('undefined symbol: _ZN3c10')", "undefined symbol"),
        ("torchvision", "import os; os.abort()", "the process ended with -6"),
        ("torchvision", "raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_package_that_a_library_claims_to_have_and_that_does_not_import_is_named(
    guest: Callable[..., Package], name: str, code: str, error: str
) -> None:
    tried = library_trial.read((guest(name, code), guest("xformers", "raise ImportError('no GPU')")))
    (problem,) = tried.problems
    assert problem.guilty is not None
    assert (problem.guilty.name, error in problem.error) == (name, True)
    assert tried.noted == ("import xformers: ImportError: no GPU",)
    assert "xformers" in tried.source


def test_a_name_of_a_notebook_that_does_not_import_names_the_package(
    folder: Path, guest: Callable[..., Package]
) -> None:
    (folder / "transformers" / "__init__.py").write_text(LAZY, encoding="utf-8")
    tried = library_trial.read((guest("torchaudio", "raise OSError('libtorch_cuda.so')"),))
    found = {problem.what: problem.guilty.name if problem.guilty else None for problem in tried.problems}
    assert found["from transformers import pipeline"] is None  # it ended the process, and no file is known
    assert "make setup" in " ".join(tried.remedy) or "not dgxcert's" in " ".join(tried.remedy)
    (folder / "transformers" / "__init__.py").write_text(
        LAZY.replace("import os; os.abort()", "pass"), encoding="utf-8"
    )
    tried = library_trial.read((guest("torchao", version="0.17"), *_of(tried)))
    assert [str(problem.what) for problem in tried.problems] == ["from transformers import Trainer"]


def _of(tried: Tried) -> tuple[Package, ...]:
    return tuple(problem.guilty for problem in tried.problems if problem.guilty)


def test_a_library_that_is_broken_by_itself_is_not_blamed_on_a_guest(
    folder: Path, guest: Callable[..., Package]
) -> None:
    (folder / "peft" / "__init__.py").write_text("raise ImportError('broken')\n", encoding="utf-8")
    tried = library_trial.read((guest("torchvision"), guest("wandb")))
    assert [(problem.what, problem.guilty) for problem in tried.problems] == [("import peft", None)]
    assert tried.without == ("import peft: ImportError: broken",)
    assert tried.remedy == lockfile.advice()


def test_a_process_that_does_not_end_is_inconclusive(
    guest: Callable[..., Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (guest("torchvision"),)
    line = MARK + json.dumps({"at": "import transformers"})
    monkeypatch.setattr(command, "run", lambda *_, **__: command.Completed(("python",), None, line, ""))
    with pytest.raises(Inconclusive, match="import transformers did not end"):
        library_trial.read(found)


def test_many_problems_are_cut() -> None:
    tried = Tried(tuple(Problem(f"import {number}", "ImportError") for number in range(9)))
    assert tried.summary.endswith("import 5: ImportError; and 3 more")


def test_the_installed_libraries_name_an_old_torchao_and_a_broken_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version, code in (
        ("torchvision", "0.20.1", "raise RuntimeError('operator torchvision::nms does not exist')"),
        ("wandb", "0.1", ""),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code, encoding="utf-8")
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    if not (Path(sys.prefix) / lockfile.NATIVE).is_file():
        missing(f"the lock of the stack in {sys.prefix}", "Set it up: make setup")
    source = Path(library_trial.__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (tmp_path, source))))
    from dgxcert.probes.stack import beside

    found = beside.read(lockfile.read(), packages.search_path())
    problems, _ = library_trial.parse(library_trial._run(found, ()), found)
    assert any("is_torchvision_available() is True" in problem.what for problem in problems)
    assert {problem.guilty.name for problem in problems if problem.guilty} == {"torchvision"}
