"""Results folders with runs of invented machines, for tests of what shows many runs at once."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from suites.certified import GPU, KEYS, SPARK, events, speed
from suites.example import finished

from dgxcert.machine.identity import Machine
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run

FIRST = datetime(2026, 1, 5, 6, tzinfo=UTC)


def machine(number: int, **about: Any) -> Machine:
    """A Spark with a GPU of its own."""
    gpu = GPU.model_copy(update={"uuid": f"GPU-{number:08x}"})
    return SPARK.model_copy(update={"hostname": f"spark-{number:02}", "gpus": (gpu,), **about})


def made(of: Machine, week: int, rate: float = 14.0, *endings: journal.Finished, **about: Any) -> Run:
    """The run of a machine in a week, which decodes at a rate in token/s."""
    at = FIRST + timedelta(weeks=week)
    begun, *rest = events(finished(KEYS[2], evidence=(speed("decode", rate),)), *endings, machine=of, **about)
    begun = begun.model_copy(update={"at": f"{at:%Y-%m-%dT%H:%M:%S}.000Z"})
    return runs.assemble([begun, *rest], f"{at:%Y-%m-%dT%H-%M-%SZ}-{of.hostname[:60]}")


def keep(results: Path, run: Run, name: str = "") -> Path:
    """The folder of a run, with its run.json alone."""
    folder = results / (name or run.name)
    folder.mkdir(parents=True)
    (folder / runs.NAME).write_text(run.model_dump_json(), encoding="utf-8")
    return folder


def fill(results: Path, of: Machine, rates: Iterable[float]) -> list[Path]:
    """A run of a machine in each week, with these rates."""
    return [keep(results, made(of, week, rate)) for week, rate in enumerate(rates)]
