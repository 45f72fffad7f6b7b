"""A load is sampled by a process of its own; one that hangs, crashes or refuses makes the load inconclusive."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import sampler

ONE_SAMPLE = """
import json, pathlib, signal, sys, time
file = pathlib.Path(sys.argv[-1])
def write(**entry):
    with file.open("a") as lines:
        lines.write(json.dumps({"t": time.monotonic(), **entry}) + "\\n")
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
write(at=1.0, hertz=1, refused={}, counters={})
write(clock=2411)
"""
"""A sampling process up to its first sample."""
SAMPLES = f"""{ONE_SAMPLE}
for _ in range(8):
    write(clock=2411)
while not stopped:
    time.sleep(0.01)
"""
LAST_LINE = "write(counters={}, cpu_s=0.01)"
CALL = 'print("nvmlDeviceGetClockInfo", file=sys.stderr, flush=True)'
CRASH = "import os; os.kill(os.getpid(), signal.SIGKILL)"
REFUSE = 'sys.exit("NVMLError_GpuIsLost 15: GPU is lost")'
HANG = "time.sleep(60)"


@dataclass(frozen=True)
class Start:
    """The start of a sampling process: the command that was asked for, and the process that runs instead."""

    command: list[str]
    process: "subprocess.Popen[bytes]"


Plant = Callable[[str], list[Start]]


@pytest.fixture
def sampling_process(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Sets the program of the sampling process; returns its starts."""
    monkeypatch.setattr(sampler, "ANSWER_S", 5.0)
    start = command.start

    def plant(program: str) -> list[Start]:
        starts: list[Start] = []

        def start_planted(args: list[str], **options: Any) -> "subprocess.Popen[bytes]":
            process = start([sys.executable, "-c", program, *args], **options)
            starts.append(Start(args, process))
            return process

        monkeypatch.setattr(command, "start", start_planted)
        return starts

    return plant


def test_the_samples_of_the_body_are_there_after_it(sampling_process: Plant, tmp_path: Path) -> None:
    starts = sampling_process(f"{SAMPLES}{LAST_LINE}")
    kept = tmp_path / "kept.jsonl"
    for _ in range(2):
        with sampler.sampling(3, hertz=20.0, keep=kept) as samples:
            pass
        assert samples().median("clock") == 2411
    assert starts[0].command[1:-1] == ["-P", "-m", "dgxcert.probes.gpu.driver_samples", "3", "20.0"]
    assert kept.read_text(encoding="ascii").count('"cpu_s"') == 2, "each load is appended"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            f"import sys, signal; {CALL}; {CRASH}",
            r"crashes the calling process, by signal 9 \(nvmlDeviceGetClockInfo\)",
        ),
        (f"import sys; {CALL}; {REFUSE}", r"refuses \(nvmlDeviceGetClockInfo\): GPU is lost"),
        (
            "import sys; sys.exit('ImportError: no pynvml')",
            r"could not be queried: ImportError: no pynvml \(the first call\)",
        ),
        ("raise SystemExit(7)", r"could not be queried: its process ended with 7 \(the first call\)"),
    ],
    ids=["crashes", "refuses", "does not import", "ends"],
)
def test_without_a_first_sample_the_body_does_not_run(sampling_process: Plant, program: str, message: str) -> None:
    sampling_process(program)
    expected = pytest.raises(Inconclusive, match=f"the NVIDIA driver, asked under load, {message}")
    with expected, sampler.sampling(0):
        pytest.fail("the body ran without samples")


def test_a_driver_that_hangs_before_the_body_is_given_up(
    sampling_process: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "ANSWER_S", 1.0)
    sampling_process(f"import sys, time; {CALL}; {HANG}")
    with pytest.raises(Inconclusive, match=r"did not answer within 1 s \(") as raised, sampler.sampling(0):
        pytest.fail("the body ran without samples")
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (CRASH, "crashes the calling process, by signal 9"),
        (REFUSE, "refuses"),
        (HANG, "did not answer within 1 s"),
    ],
    ids=["crashes", "refuses", "hangs"],
)
def test_a_driver_that_fails_during_the_body_is_inconclusive(
    sampling_process: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str, message: str
) -> None:
    monkeypatch.setattr(sampler, "ANSWER_S", 1.0)
    starts = sampling_process(f"{ONE_SAMPLE}{CALL}\n{end}")
    kept = tmp_path / "kept.jsonl"

    def sample() -> None:
        with sampler.sampling(0, keep=kept):
            if end != HANG:
                starts[0].process.wait(timeout=60)

    with pytest.raises(Inconclusive, match=rf"{message} \(nvmlDeviceGetClockInfo\)"):
        sample()
    assert not kept.exists(), "samples of a driver that failed are no record of the load"


def test_the_process_ends_with_a_body_that_raises(sampling_process: Plant) -> None:
    starts = sampling_process(SAMPLES)
    with pytest.raises(ZeroDivisionError), sampler.sampling(0):
        _ = 1 / 0
    assert starts[0].process.poll() is not None
