"""The sampler: a GPU's clock, power, temperature, utilisation and event reasons while something else keeps it busy.

It runs as a process of its own (`driver_samples`), so that a driver that hangs or crashes under load is a finding and
not our end.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dgxcert import command
from dgxcert.machine.driver_query import RESTART
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.nvml import ANSWER_S
from dgxcert.probes.gpu.samples import Samples

HERTZ = 10.0
POLL_S = 0.01


@contextmanager
def sampling(index: int, hertz: float = HERTZ, keep: Path | None = None) -> Iterator[Callable[[], Samples]]:
    """Sample one GPU while the body works; afterwards what is yielded gives the samples.

    `keep` names a file to which every sample is appended. Raises Inconclusive where the driver does not answer when
    the body would begin, or stops answering while it works.
    """
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as folder:
        path = Path(folder) / "samples.jsonl"
        log = path.with_suffix(".log")
        with log.open("wb") as output:
            arguments = [str(index), str(hertz), str(path)]
            asking = [sys.executable, "-P", "-m", "dgxcert.probes.gpu.driver_samples", *arguments]
            process = command.start(asking, output=output, cwd=Path(folder), env=dict(os.environ))
        taken: list[Samples] = []
        try:
            _wait(lambda: _has_sample(path) or process.poll() is not None)
            if not _has_sample(path):
                raise _silent(process.poll(), log)
            yield lambda: taken[0]
            if process.poll() is None:
                command.signal_group(process, signal.SIGTERM)
            _wait(lambda: process.poll() is not None)
            if process.returncode != 0:
                raise _silent(process.returncode, log)
            text = path.read_text(encoding="ascii")
            taken.append(Samples.parse(text))
            if keep is not None:
                with keep.open("a", encoding="ascii") as file:
                    file.write(text)
        finally:
            command.end_group(process, grace_s=1.0)


def _has_sample(path: Path) -> bool:
    """Whether the counters and the first sample are on file, both lines whole."""
    return path.exists() and path.read_bytes().count(b"\n") > 1


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWER_S
    while not until() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _silent(code: int | None, log: Path) -> Inconclusive:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    call = next((line for line in reversed(lines) if line.startswith("nvml")), "the first call")
    last = lines[-1] if lines else ""
    refuses = "refuses" if "NVMLError" in last else "could not be asked"
    how = {None: f"did not answer within {ANSWER_S:.0f} s", 1: f"{refuses}: {last}"}
    words = how.get(code, f"takes whoever asks along, by signal {-code}" if code and code < 0 else f"ended with {code}")
    return Inconclusive(f"the NVIDIA driver, asked while the GPU works, {words} ({call})", *RESTART)
