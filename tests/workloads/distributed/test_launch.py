"""Ranks that die, hang, raise or never arrive are named, and no process is left; with real processes and gloo.

Ranks of most tests are forked; of those that say so torch's launcher starts them.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.machine.device import Device
from dgxcert.outcome import DgxcertError, Inconclusive, Wrong
from dgxcert.workloads.distributed import launch, phase

pytestmark = pytest.mark.usefixtures("planted")
Ranks = tuple[Device, ...]
START_S = 30
"""Two ranks have started after 5 s on two cores, and after 20 s where eight others work on them."""
FORKED_S = 4
"""Forked ones have after 0.3 s."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of ranks are in this test's own folder, by which its processes are told from those of other programs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def left_behind(within_s: float = 5.0) -> list[str]:
    """This test's agents and ranks that live, but for those that are dying: what was killed ends at its next turn."""
    deadline = time.monotonic() + within_s
    while (found := living()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def living() -> list[str]:
    """The processes whose current folder is that of this test's ranks."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if str(path.readlink()).startswith(f"{tempfile.gettempdir()}/dgxcert-ranks-"):
                found.append(f"{path.parent.name} {(path.parent / 'cmdline').read_text()}")
    return found


def ended(ranks: Ranks, kind: str, limit_s: float = 60) -> DgxcertError:
    with pytest.raises((Wrong, Inconclusive)) as raised:
        launch.run("faults", ranks, {"kind": kind}, limit_s=limit_s)
    assert not left_behind()
    error: DgxcertError = raised.value
    return error


def test_torchs_launcher_starts_ranks_whatever_other_networks_are_set(
    ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"GLOO_SOCKET_IFNAME": "eth7", "NCCL_SOCKET_IFNAME": "eth7", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    said = launch.run("faults", ranks, {}, limit_s=60)
    assert [(each["rank"], each["size"], each["total"]) for each in said] == [(0, 2, [2.0] * 4), (1, 2, [2.0] * 4)]
    assert len({each["pid"] for each in said} | {os.getpid()}) == 3
    assert not left_behind()


def test_one_rank_alone_works(ranks: Ranks, forked: None) -> None:
    assert launch.run("faults", ranks[:1], {}, limit_s=60)[0]["total"] == [1.0] * 4


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("ends", r"^rank 1 ended, last at: computing"),
        ("exits", r"^rank 1 ended with exit code 3, last at: computing"),
        ("crashes", r"^rank 1 was killed by signal 11, last at: computing"),
        ("raises", r"^rank 1 met an error at: computing: ValueError: not today"),
        ("inconclusive", r"^rank 1: no data$"),
    ],
)
def test_a_rank_that_dies_is_named_with_its_phase(ranks: Ranks, forked: None, kind: str, named: str) -> None:
    began = time.monotonic()
    error = ended(ranks, kind)
    assert isinstance(error, Inconclusive)
    assert re.search(named, error.problem), error.problem
    assert time.monotonic() - began < 45  # far from its limit: nobody waits for the dead


def test_what_torchs_launcher_says_of_a_rank_that_was_killed_is_named(ranks: Ranks) -> None:
    problem = ended(ranks, "killed").problem
    assert problem.startswith("rank 1 was killed by signal 9, last at: computing"), problem


def test_a_rank_that_finds_something_wrong_fails_by_name(ranks: Ranks, forked: None) -> None:
    error = ended(ranks, "wrong")
    assert isinstance(error, Wrong)
    assert (error.problem, error.remedy) == ("rank 1: element 3 is 4", ("Look at element 3.",))


def test_a_rank_that_hangs_is_named_within_the_limit(ranks: Ranks, forked: None) -> None:
    began = time.monotonic()
    error = ended(ranks, "hangs", limit_s=FORKED_S)
    assert error.problem.startswith(f"rank 1 did not end within {FORKED_S} s, last at: computing (faults.py:")
    assert "while rank 0 waited at: adding" in error.problem
    assert time.monotonic() - began < FORKED_S + launch.GRACE_S + 5


def test_a_rank_that_ignores_signals_is_ended_with_torchs_launcher(
    ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its limit is over as soon as both have come so far, which takes longer on a busy machine."""

    def ends(process: "subprocess.Popen[bytes]", limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while [*map(last_phase, (0, 1))] != ["adding", "computing"] and time.monotonic() < deadline:
            time.sleep(0.05)
        return process.poll() is not None

    monkeypatch.setattr(command, "ends", ends)
    problem = ended(ranks, "ignores").problem
    assert problem.startswith("rank 1 did not end within 60 s, last at: computing (faults.py:")


def last_phase(rank: int) -> str:
    """What a rank is at, by its file."""
    for path in Path(tempfile.gettempdir()).glob(f"dgxcert-ranks-*/rank-{rank}.phases"):
        names = [each.name for each in phase.parse(path.read_text(encoding="utf-8"))]
        return names[-1] if names else ""
    return ""


def test_a_rank_that_never_arrives_is_named(ranks: Ranks, forked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", "never arrives")
    problem = ended(ranks, "", limit_s=FORKED_S).problem
    assert problem.startswith(f"rank 1 did not end within {FORKED_S} s, last at: loading the work (faults.py:")
    assert "while rank 0 waited at: joining the others" in problem


def test_what_the_ranks_printed_is_kept(ranks: Ranks, forked: None, capfd: pytest.CaptureFixture[str]) -> None:
    ended(ranks, "raises")
    said = capfd.readouterr().err
    assert "--- rank 1 printed:" in said
    assert "the reason stands here" in said


def test_no_process_outlives_a_parent_that_is_killed(ranks: Ranks) -> None:
    program = (
        "from dgxcert.machine.device import Device; from dgxcert.workloads.distributed import launch; "
        "launch.PACKAGE = 'planted'; ranks = [Device('cpu', i, 'CPU') for i in range(2)]; "
        "launch.run('faults', ranks, {'kind': 'ignores'}, limit_s=60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + START_S
    while len(left_behind()) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(left_behind()) == 3
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 5
    while left_behind() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left_behind()
