"""The runs of thousands of machines for `scripts/bench_room.py runs`: certified, each with a record that proves it."""

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from suites import certified, merged_room  # noqa: E402 (the folder has just been named)
from suites.example import finished  # noqa: E402

from dgxcert.judgement.benchmark_cases import DECODE, LORA, MATMUL, PREFILL  # noqa: E402
from dgxcert.judgement.evidence import Recorder  # noqa: E402
from dgxcert.judgement.limit import Roofline  # noqa: E402
from dgxcert.plan import suite  # noqa: E402
from dgxcert.plan.suite import Suite  # noqa: E402
from dgxcert.record import journal  # noqa: E402
from dgxcert.record import run as runs  # noqa: E402
from dgxcert.record.chain import Chain  # noqa: E402
from dgxcert.record.journal import Finished  # noqa: E402

LIMIT_S, LIMIT_MIB = 10, 500
SLOW, SLOWER = 17, 0.91
"""The one machine that is slower in everything."""
ROOFLINE = 1024.0
Row = tuple[str, str, str]


class Sample:
    """The record and the run.json of one machine, with a mark for each number that another has otherwise."""

    def __init__(self) -> None:
        self.values: list[float] = []
        made = certified.whole(*self._speeds(), machine=merged_room.spark(0))
        self._lines = [event.model_dump_json().encode() for event in made]
        read = [journal.parse(line) for line in self._lines]
        run = runs.assemble([event for event in read if event is not None], merged_room.NAME.format(host="spark-00"))
        self._run = run.model_dump_json().encode()

    def _speeds(self) -> Iterator[Finished]:
        """The ending of each benchmark that the Spark's profile limits, a third above its limit."""
        cases = [("DECODE", "decode", each.limit("decode"), str(each)) for each in DECODE]
        cases += [("PREFILL", "prefill", each.limit("prefill"), str(each)) for each in PREFILL]
        cases += [("LORA", "LoRA", each.limit("lora"), str(each)) for each in LORA]
        cases += [("MATMUL", f"{each} matmul", f"matmul.{each}", each) for each in MATMUL]
        for work, name, limit_name, case in cases:
            limit = merged_room.SPARK.limits.get(limit_name)
            if limit is None or limit.min is None:
                continue
            share = limit.unit.startswith("of ")
            value = 1.3 * limit.min * (ROOFLINE if share else 1.0) + len(self.values) * 1e-7
            evidence, unit = Recorder(), "token/s" if share else limit.unit
            bound = Roofline(value=ROOFLINE, unit=unit, source="273 GB/s", intensity=1.0, tflops=0.27)
            measured = evidence.record(name, value, unit=unit, source="9 rounds", roofline=bound, ceiling=bound)
            if measured >= limit:
                self.values.append(value)
                yield finished(f"{work}-SPEED[{case}]", evidence=tuple(evidence.kept))

    def write(self, folder: Path, number: int, chance: random.Random) -> int:
        """The run of another machine; return its bytes."""
        name = f"spark-{number:05}"
        place = folder / name / merged_room.NAME.format(host=name)
        place.mkdir(parents=True)
        swaps = {"spark-00": name, "GPU-5b1f0000": f"GPU-5b1f{number:05}", "1420525000000": f"142052{number:07}"}
        swaps["b007-0"] = f"b007-{number}"
        for value in self.values:
            other = value * chance.gauss(1, 0.01) * (SLOWER if number == SLOW else 1.0)
            swaps |= {repr(value): repr(other), repr(value / ROOFLINE): repr(other / ROOFLINE)}
        links = Chain()
        record = b"".join(links.link(_swapped(line, swaps)) + b"\n" for line in self._lines)
        run = _swapped(self._run, swaps)
        (place / journal.NAME).write_bytes(record)
        (place / runs.NAME).write_bytes(run)
        return len(record) + len(run)


def _swapped(content: bytes, swaps: dict[str, str]) -> bytes:
    for old, new in swaps.items():
        content = content.replace(old.encode(), new.encode())
    return content


def fill(folder: Path, machines: int) -> tuple[int, int]:
    """Write the runs of so many machines; return how many quantities each has and how many bytes one run takes."""
    chance = random.Random(1)  # noqa: S311 (the same runs each time, and nothing secret)
    sample = Sample()
    size = [sample.write(folder, number, chance) for number in range(machines)]
    return len(sample.values), sum(size) // machines


def merge(folder: Path) -> None:
    """In this process: merge and print what it took."""
    from dgxcert.room.merge import merge_folders  # its import is part of the memory that is measured

    began = time.monotonic()
    room = merge_folders([folder], folder, datetime.now(UTC))
    took_s = time.monotonic() - began
    named = {outlier.host for compared in room.compared for outlier in compared.outliers}
    said = {"took_s": took_s, "hosts": len(room.hosts), "quantities": len(room.compared), "outliers": sorted(named)}
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    processor_s = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    said |= {"peak_mib": _peak_mib(), "of_each_mib": others.ru_maxrss / 1024, "processor_s": processor_s}
    print(json.dumps(said))


def _peak_mib() -> float:
    """The highest resident memory of this process alone."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in status if "VmHWM" in line) / 1024


def measured(folder: Path) -> dict[str, float]:
    """One merge, in a process of its own."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said: dict[str, float] = json.loads(process.communicate()[0])
    return said


def part_runs(machines: int, place: Path) -> list[Row]:
    """Merge the runs of many machines twice: rebuilt from their records, and as they are known from before."""
    folder = place / "results"
    quantities, size = fill(folder, machines)
    first, second = measured(folder), measured(folder)
    shutil.rmtree(folder)
    if first["hosts"] != machines or f"spark-{SLOW:05}" not in str(first["outliers"]):
        raise SystemExit(f"not every machine is in the room, or the slow one is not named: {first}")
    beside = f"and {first['of_each_mib']:.0f} MiB in each of {os.cpu_count()} processes"
    return [
        (f"{machines:,} runs of {quantities} speeds and {size / 1024:.0f} KiB", "", "for comparison"),
        ("first merge, each rebuilt from its record", f"{first['took_s']:.0f} s", "for comparison"),
        ("its processor time for one run", f"{1000 * first['processor_s'] / machines:.0f} ms", "for comparison"),
        ("its highest memory", f"{first['peak_mib']:.0f} MiB, {beside}", f"under {LIMIT_MIB} MiB"),
        ("compared again, as the runs are known", f"{second['took_s']:.1f} s", f"under {LIMIT_S} s"),
        ("its processor time", f"{second['processor_s']:.1f} s", "for comparison"),
        ("its highest memory", f"{second['peak_mib']:.0f} MiB", f"under {LIMIT_MIB} MiB"),
        ("machines named as outliers; one is 9 % slower", f"{len(str(second['outliers']).split(','))}", "at least 1"),
    ]


def _as_if_committed() -> None:
    """Let this very checkout, as if it were committed, be what the runs are said to be made by."""
    mine: Suite = certified.ours()

    def identity(suite: Path) -> Suite:  # noqa: ARG001 (the name that its callers know)
        return mine

    suite.identity = identity


if __name__ == "__main__":
    _as_if_committed()
    merge(Path(sys.argv[1]))
