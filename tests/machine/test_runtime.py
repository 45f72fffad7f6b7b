"""A run works in the container, unless the user chose otherwise or there is a reason not to."""

from pathlib import Path

import pytest

from dgxcert.machine import runtime
from dgxcert.machine.runtime import Runtime, RuntimeChoice, resolve


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No container, no engine and no client, whatever the machine that runs the tests has."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    files = (tmp_path / ".dockerenv", tmp_path / ".containerenv")
    monkeypatch.setattr(runtime, "CONTAINER_FILES", files)


def test_a_machine_works_in_the_container_whatever_the_state_of_its_engine() -> None:
    """There is no engine at all: the host stage reports that, and nothing else is measured instead."""
    assert resolve(RuntimeChoice.AUTO, "dgx-spark") == (Runtime.DOCKER, "")
    assert resolve(RuntimeChoice.AUTO, "auto") == (Runtime.DOCKER, "")


def test_a_rehearsal_works_natively_and_explains_how_to_change_that() -> None:
    place, reason = resolve(RuntimeChoice.AUTO, "cpu")
    assert place is Runtime.NATIVE
    assert "RUNTIME=docker" in reason


@pytest.mark.parametrize("name", [".dockerenv", ".containerenv"])
def test_in_a_container_a_run_works_natively_even_with_the_engines_socket_mounted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert runtime.inside_container()
    assert resolve(RuntimeChoice.AUTO, "dgx-spark") == (Runtime.NATIVE, "this process already runs in a container")


def test_a_pod_is_a_container_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not runtime.inside_container()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert runtime.inside_container()
    assert resolve(RuntimeChoice.AUTO, "dgx-spark")[0] is Runtime.NATIVE


@pytest.mark.parametrize("profile", ["cpu", "dgx-spark"])
@pytest.mark.parametrize("choice", [RuntimeChoice.DOCKER, RuntimeChoice.NATIVE])
def test_the_users_choice_is_kept_and_needs_no_reason(
    tmp_path: Path, choice: RuntimeChoice, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(choice, profile) == (Runtime(choice.value), "")
    (tmp_path / ".dockerenv").touch()
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert resolve(choice, profile) == (Runtime(choice.value), "")


def test_every_choice_is_a_runtime_or_auto() -> None:
    assert {choice.value for choice in RuntimeChoice} - {"auto"} == {place.value for place in Runtime}
