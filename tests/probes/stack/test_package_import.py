"""Package import: in a new process, with the error it ends with; a process that was killed is inconclusive."""

import sys
from pathlib import Path

import pytest
from completed import completed

from dgxcert.command import Completed
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import beside, package_import
from dgxcert.probes.stack.placement import Package, Place


def install(folder: Path, name: str, code: str | None) -> None:
    """Install a distribution of version 1.5 as pip does, with a module of this code, or with none."""
    (folder / f"{name}-1.5.dist-info").mkdir()
    (folder / f"{name}-1.5.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    if code is not None:
        (folder / f"{name}.py").write_text(code)


@pytest.mark.parametrize(
    ("done", "result"),
    [
        (completed("a banner\nat /site/peft/__init__.py\n"), ("/site/peft/__init__.py", "")),
        (completed("", "Traceback\nImportError: no libcuda\n\n", 1), ("", "ImportError: no libcuda")),
        (completed("", "", -11), ("", "the process died by signal 11")),
        (completed("", "", 3), ("", "exit code 3")),
        (completed("", "left early\n", 0), ("", "left early")),
    ],
)
def test_location_or_error_is_read(done: Completed, result: tuple[str, str]) -> None:
    assert package_import.parse(done) == result


@pytest.mark.parametrize(
    ("done", "reason"), [(completed("", "", None), "timed out"), (completed("", "", -9), "was killed")]
)
def test_import_that_did_not_finish_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, done: Completed, reason: str
) -> None:
    monkeypatch.setattr(package_import.command, "run", lambda *_, **__: done)
    with pytest.raises(Inconclusive, match=reason):
        package_import.import_in_new_process("safetensors")


def test_package_of_this_environment_imports() -> None:
    package = package_import.read("safetensors")
    assert package.imports
    assert package.location.endswith("safetensors/__init__.py")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("x = 1", ""),
        ("import no_such_library_below", "ModuleNotFoundError: No module named 'no_such_library_below'"),
        ("raise OSError('libcudart.so.12: cannot open')", "OSError: libcudart.so.12: cannot open"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        (None, "ModuleNotFoundError: No module named 'made_up_6'"),
    ],
    ids=["healthy", "dependency", "library", "syntax", "files missing"],
)
def test_package_is_imported_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, problem: str
) -> None:
    name = "made_up_6"
    install(tmp_path, name, code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    package = package_import.import_in_new_process(name)
    assert (package.version, package.imports) == ("1.5", not problem)
    assert package.problem.startswith(problem)
    assert package.source == f"import {name}, in a fresh process: {package.problem or tmp_path / f'{name}.py'}"
    assert name not in sys.modules


def test_package_that_is_not_installed_does_not_import() -> None:
    package = package_import.read("no-such-distribution")
    assert (package.imports, package.version) == (False, "not installed")
    assert package.problem == "no-such-distribution is not installed"


def test_module_may_have_another_name_than_its_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = package_import.import_in_new_process("nvidia-ml-py")
    assert missing.problem == "ModuleNotFoundError: No module named 'nvidia-ml-py'"
    monkeypatch.setitem(package_import.MODULES, "nvidia-ml-py", "pynvml")
    assert package_import.import_in_new_process("nvidia-ml-py").imports


def test_an_import_that_fails_in_a_package_beside_the_lock_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Package("torchvision", "0.20.1", "/site", Place.ENVIRONMENT, "pip", ("torchvision",))
    monkeypatch.setattr(beside, "of_this_environment", lambda: (guest,))
    for output, steps in (("RuntimeError: operator torchvision::nms does not exist", 2), ("OSError: other", 0)):
        monkeypatch.setattr(package_import.command, "run", lambda *_, output=output, **__: completed("", output, 1))
        package = package_import.import_in_new_process("safetensors")
        assert (package.imports, len(package.remedy)) == (False, steps)
        assert ("the cause is torchvision 0.20.1" in package.problem) is bool(steps)
