"""How near the time left comes to the truth, replayed from kept runs: `make bench-estimate`."""

import argparse
import io
from collections.abc import Mapping
from typing import Any

import performance_page
import replayed_run
from rich.console import Console

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
    """What requirements took in earlier runs; the last one counts."""
    return {ending.key: ending.took_s for run in runs for ending in replayed_run.endings(run)}


def rows() -> list[tuple[str, str, str]]:
    """Each kept run without a history, and where there is another of the same machine, with that as history."""
    catalogue = replayed_run.catalogue()
    folders = sorted(path.parent for path in replayed_run.MEASUREMENTS.rglob("run.json"))
    runs = {folder: replayed_run.read(folder) for folder in folders}
    made = []
    for folder, run in runs.items():
        name = folder.relative_to(replayed_run.MEASUREMENTS)
        made.append((f"{name}, {_length(run)}, as declared", _said(errors(run, {}, catalogue)), WANTED))
        others = [other for path, other in runs.items() if path != folder and path.parent == folder.parent]
        known = durations(*others)
        if known.keys() & durations(run).keys():
            made.append((f"{name}, after the other run beside it", _said(errors(run, known, catalogue)), WANTED))
    return made


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
