"""The engine's clients are a `docker` that can build and a `compose`, or the message names what is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dgxcert.container import engine
from dgxcert.outcome import CannotStart

VERSION = 'if [ "$1" = --version ]; then echo "Docker version {}, build 1"; else exit {}; fi'


@pytest.fixture(autouse=True)
def _forget_clients() -> Iterator[None]:
    for cached in (engine.docker, engine.compose, engine.endpoint):
        cached.cache_clear()
    yield
    for cached in (engine.docker, engine.compose, engine.endpoint):
        cached.cache_clear()


def program(folder: Path, name: str, text: str) -> str:
    """A shell script of that name; returns its path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return str(folder / name)


def test_a_cli_that_cannot_build_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "new", "docker", VERSION.format("28.2.2", 1))
    old = program(tmp_path / "old", "docker", VERSION.format("20.10.24+dfsg1", 1))
    monkeypatch.setenv("PATH", f"{tmp_path / 'new'}:{tmp_path / 'old'}:/usr/bin:/bin")
    assert engine.docker() == old


def test_a_cli_without_buildx_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path, "docker", VERSION.format("28.2.2", 1))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStart, match=f"found {path} without buildx"):
        engine.docker()


def test_a_client_reports_its_version_without_waiting_for_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's CLI contacts the engine whatever the command; an unresponsive one would cost 15 seconds."""
    contacting = 'case "$DOCKER_HOST" in *no-engine) ;; *) exit 1;; esac; echo "Docker version 20.10.24, build 1"'
    path = program(tmp_path, "docker", contacting)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///unresponsive")
    assert engine.docker() == path
    assert engine.compose() == (path, "compose")


def test_the_compose_plugin_is_preferred_to_the_older_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = program(tmp_path, "docker", "exit 0")
    older = program(tmp_path, "docker-compose", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.compose() == (docker, "compose")
    program(tmp_path, "docker", "exit 1")
    engine.compose.cache_clear()
    assert engine.compose() == (older,)


def test_without_any_compose_the_message_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStart, match="apt install docker-compose-plugin"):
        engine.compose()


def test_clients_use_one_endpoint_and_no_settings_of_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/mine.sock")
    monkeypatch.setenv("COMPOSE_FILE", "other.yaml")
    environment = engine.environment(DGXCERT_UID="1000")
    assert (environment["DOCKER_HOST"], environment["DGXCERT_UID"]) == ("unix:///run/mine.sock", "1000")
    assert "COMPOSE_FILE" not in environment
