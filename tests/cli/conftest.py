"""The command run in this process, and an environment in which torch must not be imported."""

import os
import sys
from pathlib import Path

import pytest
from suites import driver
from suites.commands import Result

from dgxcert import cli
from dgxcert.plan import suite
from dgxcert.plan.selection import any_gpu


@pytest.fixture
def dgxcert(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run the command in this process, in an empty folder."""

    def run(*arguments: object) -> Result:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["dgxcert", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Result(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def own_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small suite in place of dgxcert's own."""
    monkeypatch.setattr(suite, "root", lambda: driver.SUITES / "calm")


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing torch, or a package that needs it, raises."""
    for name in ("torch", "transformers", "datasets", "peft"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemError('{name} was imported')")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


@pytest.fixture(scope="module")
def requirements() -> list[str]:
    return [any_gpu(entry.key) for entry in suite.collect(suite.root(), gpus=1)]
