"""A process of another lane is no stranger on this GPU; one that no lane has started is."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from dgxcert.probes.gpu.sharing import outside_view, siblings


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def test_what_the_supervisor_started_and_not_this_lane_is_left_out(
    sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_view, "OF_THE_HOST", os.readlink("/proc/self/ns/pid"))
    assert siblings.without([1, sleeper]) == [1, sleeper], "no lane works here"
    monkeypatch.setenv(siblings.VARIABLE, f"{os.getpid()} 999999999")
    assert siblings.without([1, sleeper]) == [1]
    monkeypatch.setenv(siblings.VARIABLE, f"{os.getpid()} {sleeper}")
    assert siblings.without([1, sleeper]) == [1, sleeper], "it is this lane's own"
    monkeypatch.setattr(outside_view, "OF_THE_HOST", "pid:[1]")
    monkeypatch.setenv(siblings.VARIABLE, f"{os.getpid()} 999999999")
    assert siblings.without([sleeper]) == [sleeper], "in a namespace the numbers mean nothing"
