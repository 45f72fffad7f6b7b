"""A daemon that a script starts keeps no descriptor of its caller: a pipe of the caller ends with the caller."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT

ENDS_S = 10
"""Far below the daemon's own 60 s: a pipe that it holds open shows as a time limit."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A daemon started by a caller whose output is a pipe and who has two more open; its id, and one pipe's end."""
    reading, writing = os.pipe()
    high = os.dup2(writing, 77, inheritable=True)
    pid = tmp_path / "pid"
    command = [
        ROOT / "scripts" / "start-daemon",
        tmp_path / "log",
        "sh",
        "-c",
        f"echo $$ >{pid}; echo up; exec sleep 60",
    ]
    try:
        done = subprocess.run(
            command, pass_fds=(writing, high), input="", capture_output=True, text=True, timeout=ENDS_S, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        while not pid.is_file() or not pid.read_text(encoding="ascii").strip():
            time.sleep(0.01)
    finally:
        os.close(writing)
        os.close(high)
    started = int(pid.read_text(encoding="ascii"))
    yield started, reading
    os.close(reading)
    os.kill(started, signal.SIGKILL)


def test_every_pipe_of_the_caller_ends_although_the_daemon_runs(daemon: tuple[int, int], tmp_path: Path) -> None:
    pid, reading = daemon
    os.set_blocking(reading, False)  # a pipe that is held open would raise BlockingIOError
    assert os.read(reading, 1) == b""
    descriptors = {path.name: os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    log = str(tmp_path / "log")
    assert descriptors == {"0": "/dev/null", "1": log, "2": log}
    assert (tmp_path / "log").read_text(encoding="utf-8") == "up\n"


def test_the_daemon_has_a_session_of_its_own(daemon: tuple[int, int]) -> None:
    pid, _ = daemon
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_the_container_engine_is_started_that_way() -> None:
    text = (ROOT / "scripts" / "system-packages").read_text(encoding="utf-8")
    assert '"$HERE/start-daemon" "$LOG" dockerd' in text
