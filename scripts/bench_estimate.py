"""How near the time left comes to the truth, replayed from kept runs: `make bench-estimate`."""

import argparse
import io
import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import performance_page
import replayed_run
from rich.console import Console

from dgxcert.history import run_index
from dgxcert.plan.catalogue import Entry
from dgxcert.runner.progress import Progress

SHARES = (0.25, 0.5, 0.75)
WANTED = "within 30 % at the half"


def errors(run: Mapping[str, Any], known: Mapping[str, float], catalogue: list[Entry]) -> list[float]:
    """By how much the time left was wrong at each of SHARES of a run, as a share of the truth."""
    measured = replayed_run.endings(run)
    whole_s = measured[-1].began_s + measured[-1].took_s - measured[0].began_s
    said: dict[float, float] = {}

    def look(now_s: float, progress: Progress) -> None:
        for share in SHARES:
            if now_s >= share * whole_s:
                said.setdefault(share, progress.seconds_left / (whole_s - now_s) - 1)

    planned = replayed_run.plan(run, catalogue)
    replayed_run.play(run, planned, known, Console(file=io.StringIO()), look)
    return [said[share] for share in SHARES]


def durations(*runs: Mapping[str, Any]) -> dict[str, float]:
    """What requirements took in earlier runs, as an estimate knows it: the median of each."""
    took: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for ending in replayed_run.endings(run):
            if not ending.again:
                took[ending.key].append(ending.took_s)
    return {key: statistics.median(seconds) for key, seconds in took.items()}


def rows() -> list[tuple[str, str, str]]:
    """Each kept run as if it were the first of its machine, and after earlier ones of the same kind where they are."""
    catalogue = replayed_run.catalogue()
    runs = replayed_run.kept()
    made = []
    for name, run in runs.items():
        made.append((f"{name}, {_length(run)}, as declared", _said(errors(run, {}, catalogue)), WANTED))
        earlier = [each for each in runs.values() if _kind(each) == _kind(run) and each["started"] < run["started"]]
        if known := durations(*earlier[-run_index.TIMED_RUNS :]):
            row = f"{name}, after {len(earlier)} earlier run{'' if len(earlier) == 1 else 's'}"
            made.append((row, _said(errors(run, known, catalogue)), WANTED))
    return made


def _kind(run: Mapping[str, Any]) -> tuple[str, str, str]:
    """Machine, profile and runtime: what `run_index.durations` compares."""
    return run["machine"]["hostname"], run["profile"]["name"], run["options"]["runtime"]


def _length(run: Mapping[str, Any]) -> str:
    measured = replayed_run.endings(run)
    return f"{measured[-1].began_s + measured[-1].took_s - measured[0].began_s:.0f} s"


def _said(wrong: list[float]) -> str:
    return ", ".join(f"{100 * each:+.0f} %" for each in wrong)


def main() -> None:
    """Replay, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    about = "time left against the truth at a quarter, the half and three quarters of each kept run"
    performance_page.show("bench-estimate", rows(), about, keep=parser.parse_args().write)


if __name__ == "__main__":
    main()
