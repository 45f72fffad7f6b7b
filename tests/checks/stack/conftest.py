"""Fixtures of the tests of checks/stack: a lock, a search path, and a judge that runs one check."""

from collections.abc import Callable

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.probes.stack import lockfile, packages
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.packages import SearchPath

Judge = Callable[..., Recorder]


@pytest.fixture
def cpu() -> Device:
    return Device("cpu", 0, "CPU")


@pytest.fixture(autouse=True)
def _locked(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = StackLock("course", "the lock", {"peft": "0.18.1"})
    monkeypatch.setattr(lockfile, "read", lambda: lock)
    monkeypatch.setattr(packages, "search_path", lambda: SearchPath("/work", ("/work", "/site")))


@pytest.fixture
def judge() -> Judge:
    """Run a check: all its comparisons hold, or exactly the one of the quantity `fault` fails."""

    def run(check: Callable[..., None], fault: str | None, *arguments: object) -> Recorder:
        evidence = Recorder()
        if fault is None:
            check(*arguments, evidence)
            assert evidence.compared
            assert not evidence.violated
        else:
            with pytest.raises(AssertionError):
                check(*arguments, evidence)
            assert [kept.name for kept, _ in evidence.violated] == [fault]
        return evidence

    return run
