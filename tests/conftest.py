"""Fixtures for every test: pytester, which runs small suites of requirements, and one thread for torch."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dgxcert.plan.catalogue import Entry

pytest_plugins = ["pytester"]

# A shell ignores these for commands in the background, and nohup keeps it: the tests of Ctrl-C would wait for nothing.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# `make test` is a make above those that tests start: they would take its mode and its messages from it.
for name in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"):
    os.environ.pop(name, None)

KEPT = {"SHELL", "NO_COLOR", "GITHUB_ACTIONS"}
"""Variables that say nothing about a download."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """One thread for torch, in every test after the first that imports it: several wait for each other by spinning.

    On two cores that have other work the tests of numerics took ten times as long with two threads.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: on a busy machine two that wait for each other take ten times as long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plain_hub_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without variables for the Hub's client, and with an empty HF_HOME."""
    from dgxcert.probes.hub import addresses, http_request
    from dgxcert.probes.hub.variables import known

    for name in known.kinds():
        if name not in KEPT:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", "/dev/null")
    http_request.resolve.cache_clear()
    addresses.forget()


@pytest.fixture(scope="session")
def committed() -> Iterator[None]:
    """The suite of this checkout as if all of it were committed: `certified.folder` makes runs by it."""
    from suites import certified

    from dgxcert.plan import suite

    mine, every, root = certified.ours(), certified.catalogue(), suite.root()
    identity, collect = suite.identity, suite.collect

    def collected(where: Path, gpus: int, without: tuple[int, ...] = (), own: Path | None = None) -> "list[Entry]":
        known = (where, gpus, tuple(without), own) == (root, 1, (), None)
        return list(every) if known else collect(where, gpus, without=without, own=own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite, "identity", lambda where: mine if where == root else identity(where))
        patch.setattr(suite, "collect", collected)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A TMPDIR of these tests: one validation at a time measures on a machine, and another test session is no machine.

    Its path is short, since sockets are made below it.
    """
    tmp_path_factory.getbasetemp()  # stays where it is
    with tempfile.TemporaryDirectory(prefix="dgxcert-t-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setenv("DGXCERT_TEST_COLLECTED", tempfile.mkdtemp(prefix="collected-", dir=folder))
        patch.setattr(tempfile, "tempdir", None)
        yield
