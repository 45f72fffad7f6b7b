"""Subprocesses: output and exit code are returned, a timeout kills the whole process group, and stdin is empty."""

import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from suites import driver

from dgxcert import command

SOON_S = 3.0
"""Long enough for a shell to say what it says, where others work on all cores."""
TWO_SLEEPERS = "echo said; echo complained >&2; sleep 600 & echo $! >pids; echo $$ >>pids; wait"


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_output_and_exit_code_are_returned() -> None:
    completed = command.run(["sh", "-c", "echo said; echo complained >&2; exit 4"], timeout_s=10)
    assert completed == command.Completed(
        ("sh", "-c", "echo said; echo complained >&2; exit 4"), 4, "said\n", "complained\n"
    )
    assert not completed.timed_out


def test_a_complaint_is_one_line_with_the_last_line_of_output() -> None:
    assert command.run(["sh", "-c", "echo a; echo b >&2; exit 4"], timeout_s=10).complaint.endswith("exited with 4: b")
    assert command.run(["sh", "-c", "echo a; exit 4"], timeout_s=10).complaint.endswith("exited with 4: a")
    assert command.run(["false"], timeout_s=10).complaint == "`false` exited with 1: no output"


def test_a_timeout_kills_the_whole_process_group(tmp_path: Path) -> None:
    began = time.monotonic()
    completed = command.run(["sh", "-c", TWO_SLEEPERS], timeout_s=SOON_S, cwd=tmp_path)
    assert time.monotonic() - began < 600
    assert completed.timed_out
    assert "did not answer within its time limit" in completed.complaint
    assert len(pids(tmp_path)) == 2
    assert driver.all_end(pids(tmp_path))


def test_output_before_a_timeout_is_kept(tmp_path: Path) -> None:
    completed = command.run(["sh", "-c", TWO_SLEEPERS], timeout_s=SOON_S, cwd=tmp_path)
    assert (completed.stdout, completed.stderr) == ("said\n", "complained\n")


def test_a_timeout_kills_children_in_other_process_groups(tmp_path: Path) -> None:
    completed = command.run(
        ["sh", "-c", "setsid sleep 600 & sleep 0.1; echo $! >pids; echo $$ >>pids; wait"],
        timeout_s=SOON_S,
        cwd=tmp_path,
    )
    assert completed.timed_out
    assert driver.all_end(pids(tmp_path))


def test_a_command_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    completed = command.run(
        ["sh", "-c", "trap '' INT TERM HUP; echo $$ >pids; sleep 600"], timeout_s=SOON_S, cwd=tmp_path
    )
    assert completed.timed_out
    assert driver.all_end(pids(tmp_path))


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # that is what is tested
def test_a_command_that_survives_its_kill_is_left_running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test cannot provoke a hung driver call, so the kill is made to have no effect."""
    monkeypatch.setattr(command, "end_group", lambda process: False)
    began = time.monotonic()
    completed = command.run(["sh", "-c", "echo $$ >pids; exec sleep 600"], timeout_s=SOON_S, cwd=tmp_path)
    took_s = time.monotonic() - began
    (left,) = pids(tmp_path)
    os.kill(left, signal.SIGKILL)
    assert completed.timed_out
    assert took_s < 600


def test_an_interrupt_of_the_caller_ends_the_command(tmp_path: Path) -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        command.run(["sh", "-c", TWO_SLEEPERS], timeout_s=30, cwd=tmp_path)
    assert driver.all_end(pids(tmp_path))


def test_stdin_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret"))
    assert command.run(["cat"], timeout_s=10) == command.Completed(("cat",), 0, "", "")


def test_a_missing_program_raises_file_not_found() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        command.run(["no-such-program"], timeout_s=10)


def test_output_that_is_not_utf8_is_decoded_with_replacements() -> None:
    assert command.run(["printf", r"\377ok\0"], timeout_s=10).stdout == "\ufffdok\0"


def test_output_larger_than_a_pipe_buffer_does_not_block() -> None:
    completed = command.run(["sh", "-c", "yes | head -c 3000000; yes | head -c 3000000 >&2"], timeout_s=20)
    assert (len(completed.stdout), len(completed.stderr)) == (3_000_000, 3_000_000)


def test_a_started_command_writes_to_its_file_and_is_killed_with_its_group(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = command.start(["sh", "-c", TWO_SLEEPERS], output=log, cwd=tmp_path, env=dict(os.environ))
        while not (tmp_path / "pids").exists() or len(pids(tmp_path)) < 2:
            time.sleep(0.02)
        assert command.end_group(process)
    assert (tmp_path / "log").read_text() == "said\ncomplained\n"
    assert driver.all_end(pids(tmp_path))
    assert process.returncode == -signal.SIGKILL
    assert command.end_group(process), "ending an ended process is no error"


def test_no_other_module_starts_programs() -> None:
    package = Path(command.__file__).parent
    starting = [path.name for path in package.rglob("*.py") if "subprocess.Popen(" in path.read_text(encoding="utf-8")]
    assert sorted(starting) == ["agent.py", "command.py"]  # the former is copied to hosts, and imports nothing of it


def test_follow_passes_lines_on_until_one_is_late() -> None:
    code = "import time\nfor n in range(2):\n    print(n, flush=True)\ntime.sleep(60)"
    lines: list[str] = []
    started = time.monotonic()
    env = dict(os.environ)
    assert not command.follow([sys.executable, "-c", code], env=env, wait_s=lambda: SOON_S, line=lines.append)
    assert lines == ["0", "1"]
    assert time.monotonic() - started < 60
    assert command.follow([sys.executable, "-c", "print(3)"], env=env, wait_s=lambda: 60, line=lines.append)
    assert lines[-1] == "3"
