"""The sampler: a GPU's clock, power, temperature, utilisation and event reasons while a workload keeps it busy.

It is a process of its own (`driver_samples`): a driver that hangs or crashes under load does not end this process.
"""

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dgxcert import command
from dgxcert.machine import driver_query
from dgxcert.machine.nvml_errors import RESTART
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.nvml import ANSWER_S
from dgxcert.probes.gpu.samples import Samples

HERTZ = 10.0
POLL_S = 0.01


@contextmanager
def sampling(index: int, hertz: float = HERTZ, keep: Path | None = None) -> Iterator[Callable[[], Samples]]:
    """Sample one GPU during the body; the yielded function returns the samples after it.

    With `keep`, every sample is also appended to that file. Raises Inconclusive where the driver does not answer before
    the body, or stops answering during it.

        with sampling(gpu.index) as samples:
            matmul.run()
        clock = samples().median("clock")
    """
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as folder:
        path = Path(folder) / "samples.jsonl"
        log = path.with_suffix(".log")
        with log.open("wb") as output:
            arguments = [str(index), str(hertz), str(path)]
            program = [sys.executable, "-P", "-m", "dgxcert.probes.gpu.driver_samples", *arguments]
            process = command.start(program, output=output, cwd=Path(folder), env=dict(os.environ))
        parsed: list[Samples] = []
        try:
            # The body starts with the first sample: a start of Python takes longer than a short workload.
            _wait(lambda: _has_sample(path) or process.poll() is not None)
            if not _has_sample(path):
                raise _unanswered(process.poll(), log, index)
            yield lambda: parsed[0]
            if process.poll() is None:
                command.signal_group(process, signal.SIGTERM)
            _wait(lambda: process.poll() is not None)
            if process.returncode != 0:
                raise _unanswered(process.returncode, log, index)
            text = path.read_text(encoding="ascii")
            parsed.append(Samples.parse(text))
            if keep is not None:
                with keep.open("a", encoding="ascii") as file:
                    file.write(text)
        finally:
            command.end_group(process, grace_s=1.0)


def _has_sample(path: Path) -> bool:
    """Whether the file has the counters and the first sample, each a whole line."""
    return path.exists() and path.read_bytes().count(b"\n") > 1


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWER_S
    while not until() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _unanswered(code: int | None, log: Path, index: int) -> Inconclusive:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    call = next((line for line in reversed(lines) if line.startswith("nvml")), "the first call")
    last = lines[-1] if lines else ""
    refused = re.match(r"NVMLError\w* (\d+): (.*)", last)
    if code == 1 and refused:
        answer = {"code": int(refused.group(1)), "says": refused.group(2)}
        return driver_query.refusal(f"the NVIDIA driver, asked under load, refuses ({call}): ", answer, index)
    if code is None:
        problem = f"did not answer within {ANSWER_S:.0f} s"
    elif code < 0:
        problem = f"crashes the calling process, by signal {-code}"
    elif code == 1:
        problem = f"could not be queried: {last}"
    else:
        problem = f"could not be queried: its process ended with {code}"
    return Inconclusive(f"the NVIDIA driver, asked under load, {problem} ({call})", *RESTART)
