"""Ranks of several tests are forked from one process that has torch loaded."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from suites import forked_ranks

from dgxcert import command


@pytest.fixture(scope="session")
def loaded() -> Iterator[Callable[..., Any]]:
    """What starts ranks in place of `command.start`, from a process that stays for the session."""
    pytest.importorskip("torch")
    with forked_ranks.loaded() as start:
        yield start


@pytest.fixture
def forked(loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranks that `launch` starts are forked."""
    monkeypatch.setattr(command, "start", loaded)
