"""Ranks on several machines: each starts its own, returns what that did, and waits for nobody without end."""

import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import DgxcertError, Inconclusive, Wrong
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.distributed.task import Job, Meeting

pytestmark = pytest.mark.usefixtures("planted")
Ranks = tuple[Device, ...]
Done = tuple[list[launch.Said], DgxcertError | None]
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"}
HOSTS = ("spark-01", "spark-02")


def one(
    ranks: Ranks, folder: Path, mine: int, port: int, gives_up: Callable[[], bool] = lambda: False, **settings: Any
) -> Done:
    """What one machine's end returned."""
    folder.mkdir()
    meeting = Meeting("127.0.0.1", port, HOSTS, mine, "127.0.0.1")
    jobs = [Job("faults", settings)]
    return launch.with_others(jobs, ranks, meeting, folder, limit_s=60, variables=LOOPBACK, gives_up=gives_up)


def both(ranks: Ranks, tmp_path: Path, **settings: Any) -> list[Done]:
    port = free_port()
    with ThreadPoolExecutor() as pool:
        ends = [pool.submit(one, ranks, tmp_path / HOSTS[mine], mine, port, **settings) for mine in (0, 1)]
        return [end.result() for end in ends]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_each_machine_returns_what_its_own_rank_did(ranks: Ranks, tmp_path: Path) -> None:
    for mine, (said, error) in enumerate(both(ranks, tmp_path)):
        assert error is None
        (answers,) = said
        assert [(each["rank"], each["size"], each["total"]) for each in answers] == [(mine, 2, [2.0] * 4)]


def test_what_is_wrong_on_one_machine_has_its_name(ranks: Ranks, forked: None, tmp_path: Path) -> None:
    (_, first), (_, second) = both(ranks, tmp_path, kind="wrong")
    assert isinstance(second, Wrong)
    assert second.problem == "spark-02: element 3 is 4"
    assert isinstance(first, Inconclusive)
    assert re.match(r"spark-01 met an error at: adding: RuntimeError: .*(closed|reset)", first.problem)


def test_an_end_whose_partner_never_comes_gives_up_when_it_is_told(ranks: Ranks, tmp_path: Path) -> None:
    began = time.monotonic()
    said, error = one(ranks, tmp_path / "a", 1, free_port(), gives_up=lambda: time.monotonic() > began + 4)
    assert said == []
    assert isinstance(error, Inconclusive)
    assert error.problem.startswith("spark-02 ended without an answer, last at: not started")
    assert time.monotonic() - began < 25
