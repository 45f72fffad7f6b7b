"""A run works in the container, unless somebody asked otherwise or says why not."""

from pathlib import Path

import pytest

from dgxcert.machine import runtime
from dgxcert.machine.runtime import Runtime, RuntimeChoice, resolve


@pytest.fixture(autouse=True)
def _a_bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No container, no engine, no client, whatever is on the machine that runs the tests."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    marks = (tmp_path / ".dockerenv", tmp_path / ".containerenv")
    monkeypatch.setattr(runtime, "CONTAINER_MARKS", marks)


def test_a_machine_works_in_the_container_whatever_the_state_of_its_engine() -> None:
    """There is no engine here at all; that is a finding of the host stage, and no reason to measure something else."""
    assert resolve(RuntimeChoice.AUTO, "dgx-spark") == (Runtime.DOCKER, "")
    assert resolve(RuntimeChoice.AUTO, "auto") == (Runtime.DOCKER, "")


def test_a_rehearsal_works_here_and_says_how_to_do_otherwise() -> None:
    place, why = resolve(RuntimeChoice.AUTO, "cpu")
    assert place is Runtime.NATIVE
    assert "RUNTIME=docker" in why


@pytest.mark.parametrize("mark", [".dockerenv", ".containerenv"])
def test_in_a_container_a_run_works_here_though_the_engines_socket_is_lent_to_it(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).touch()
    assert runtime.inside_container()
    assert resolve(RuntimeChoice.AUTO, "dgx-spark") == (Runtime.NATIVE, "this is a container already")


def test_a_pod_is_a_container_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not runtime.inside_container()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert runtime.inside_container()
    assert resolve(RuntimeChoice.AUTO, "dgx-spark")[0] is Runtime.NATIVE


@pytest.mark.parametrize("profile", ["cpu", "dgx-spark"])
@pytest.mark.parametrize("asked", [RuntimeChoice.DOCKER, RuntimeChoice.NATIVE])
def test_what_somebody_asked_for_is_done_and_needs_no_reason(
    tmp_path: Path, asked: RuntimeChoice, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(asked, profile) == (Runtime(asked.value), "")
    (tmp_path / ".dockerenv").touch()
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert resolve(asked, profile) == (Runtime(asked.value), "")


def test_everything_that_may_be_asked_for_is_a_runtime_or_auto() -> None:
    assert {asked.value for asked in RuntimeChoice} - {"auto"} == {place.value for place in Runtime}
