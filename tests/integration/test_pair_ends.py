"""Two ends in network namespaces, joined by a cable, work together; each of them ends in time whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from needs import missing

from dgxcert.probes.links.pair import counters
from dgxcert.record.room import pair_answer
from dgxcert.record.room.pair_answer import PairAnswer
from dgxcert.workloads.pairs import lifeline

SPACES, PORTS = ("dgxcert-a", "dgxcert-b"), ("cable0", "cable1")
ADDRESSES, HOSTS = ("192.168.217.1", "192.168.217.2"), ("spark-01", "spark-02")
WHOLE_S = 240
"""What both ends may take together on cores with other work; 25 s on two quiet ones."""


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[None]:
    """Two namespaces with an interface each, and nothing else than the cable between them."""
    if os.geteuid() != 0:
        missing("root, to make network namespaces")
    remove()
    for space in SPACES:
        ip("netns", "add", space)
    try:
        ip("link", "add", PORTS[0], "netns", SPACES[0], "type", "veth", "peer", "name", PORTS[1], "netns", SPACES[1])
        for space, port, address in zip(SPACES, PORTS, ADDRESSES, strict=True):
            ip("-n", space, "address", "add", f"{address}/24", "dev", port)
            for name in ("lo", port):
                ip("-n", space, "link", "set", name, "up")
        yield
    finally:
        remove()


def remove() -> None:
    for space in SPACES:
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


@dataclass
class End:
    """One end that works."""

    rank: int
    folder: Path
    process: "subprocess.Popen[bytes]"
    began_s: float

    @property
    def phases(self) -> str:
        """What its rank was at so far."""
        found = list(self.folder.glob(f"dgxcert-pair-*/ranks/rank-{self.rank}.phases"))
        return found[0].read_text(encoding="utf-8") if found else ""

    def await_phase(self, name: str) -> None:
        deadline = time.monotonic() + WHOLE_S
        while name not in self.phases:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.phases
            time.sleep(0.05)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def answer(self) -> PairAnswer:
        """What it answered at its end."""
        self.process.wait(WHOLE_S)
        return pair_answer.load(self.folder / "answer.json")

    def processes(self) -> list[int]:
        """All that it has started and that lives, with itself."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"TMPDIR={self.folder}\0".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found


@pytest.fixture
def ends(cable: None, tmp_path: Path) -> Iterator[list[End]]:
    """Both ends, just started; whatever is left of them is ended."""
    started = [start(rank, tmp_path) for rank in (0, 1)]
    try:
        yield started
    finally:
        for end in started:
            for pid in end.processes():
                os.kill(pid, signal.SIGKILL)
            end.process.wait(30)


def start(rank: int, tmp_path: Path) -> End:
    folder = tmp_path / HOSTS[rank]
    folder.mkdir()
    args = ["ip", "netns", "exec", SPACES[rank], sys.executable, "-P", "-m", "dgxcert", "pair-end"]
    args += ["--rank", str(rank), "--peer", ADDRESSES[1 - rank], "--interface", PORTS[rank], "--profile", "cpu"]
    args += ["--host", HOSTS[rank], "--peer-host", HOSTS[1 - rank], "--out", str(folder / "answer.json")]
    args += ["--limit", str(WHOLE_S), "--runtime", "native"]
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    return End(rank, folder, process, time.monotonic())


def test_two_ends_work_together_over_their_cable(ends: list[End]) -> None:
    first, second = (end.answer() for end in ends)
    for end, answer in zip(ends, (first, second), strict=True):
        assert answer.stopped is None, answer.stopped
        assert answer.complete
        assert end.processes() == []
        carried = counters.carried_bytes(answer.before, answer.after)
        assert carried[PORTS[end.rank]] > 100 * 2**20
        assert carried["lo"] < 2**20
        assert answer.environment["GLOO_SOCKET_IFNAME"] == PORTS[end.rank]
        assert [port.interface for port in answer.facts.ports if port.asked] == [PORTS[end.rank]]
    assert first.exactness is not None
    assert second.exactness is not None
    assert (first.exactness.wrong, second.exactness.wrong) == (0, 0)
    assert first.exactness.bits == second.exactness.bits
    assert first.peer_versions == second.versions == first.versions
    assert first.training is not None
    assert second.training is not None
    assert first.training.weights == second.training.weights != {}
    assert (first.training.wrong, second.training.wrong) == (False, False)
    assert all(speed.gbs and speed.gbs > 0.001 and speed.wrong == 0 for speed in first.speeds)


def kill(end: End) -> None:
    for pid in end.processes():
        os.kill(pid, signal.SIGKILL)


def stop(end: End) -> None:
    for pid in end.processes():
        os.kill(pid, signal.SIGSTOP)


def pull(end: End) -> None:
    ip("-n", SPACES[end.rank], "link", "set", PORTS[end.rank], "down")


@pytest.mark.parametrize(
    ("happens", "how", "within_s"),
    [
        (kill, "ended without a word", 15),
        (stop, "has been silent for 20 s", lifeline.SILENT_S + 20),
        (pull, "has been silent for 20 s", lifeline.SILENT_S + 20),
    ],
    ids=["killed", "stopped", "cable pulled"],
)
def test_an_end_says_what_became_of_the_other_one_and_when(
    ends: list[End], happens: Callable[[End], None], how: str, within_s: float
) -> None:
    first, second = ends
    first.await_phase("timed in rounds")
    happened = time.monotonic()
    happens(second)
    answer = first.answer()
    assert time.monotonic() - happened < within_s + 15  # on cores with other work
    assert answer.stopped is not None
    assert answer.stopped.kind == "inconclusive"
    assert answer.stopped.problem.startswith(f"spark-02 {how}"), answer.stopped
    assert "last at: " in answer.stopped.problem
    assert answer.exactness is not None
    assert answer.training is None
    assert not answer.complete
    assert first.processes() == []
