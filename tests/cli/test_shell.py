"""The shell is opened where the work is done: in this environment, or in a container of the image."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from dgxcert.cli import app
from dgxcert.container import engine, handover


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], dict[str, str]]]:
    """What this process would have become."""
    calls: list[tuple[str, list[str], dict[str, str]]] = []

    def become(program: str, args: list[str], environment: dict[str, str]) -> NoReturn:
        calls.append((program, list(args), environment))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execvpe", become)
    monkeypatch.setattr(engine, "compose", lambda: ("docker", "compose"))
    monkeypatch.setattr(engine, "environment", lambda **settings: settings)
    return calls


def test_native_work_has_its_python_first(started: list[tuple[str, list[str], dict[str, str]]]) -> None:
    assert CliRunner().invoke(app, ["shell", "--runtime", "native"]).exit_code == 0
    program, args, environment = started[0]
    assert (program, args) == ("bash", ["bash", "--norc"])
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


@pytest.mark.parametrize(("profile", "service"), [("auto", "gpu"), ("cpu", "cpu")])
def test_work_in_the_container_gets_a_shell_in_one_of_its_image(
    started: list[tuple[str, list[str], dict[str, str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    profile: str,
    service: str,
) -> None:
    monkeypatch.setattr(handover, "offer_after_exec", lambda given: Path("/exchange", given.environment["HTTPS_PROXY"]))
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    options = ["--runtime", "docker", "--profile", profile, "--stack", "current", "--results", str(tmp_path / "runs")]
    assert CliRunner().invoke(app, ["shell", *options]).exit_code == 0
    _, args, environment = started[0]
    assert args[-4:] == ["run", "--rm", service, "shell"]
    assert environment["DGXCERT_IMAGE"] == "dgxcert:current"
    assert environment["DGXCERT_RESULTS"] == str(tmp_path / "runs")
    assert environment["DGXCERT_EXCHANGE"] == "/exchange/proxy:3128"
    assert (tmp_path / "runs").is_dir()
