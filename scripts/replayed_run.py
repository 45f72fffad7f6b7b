"""A kept run, played to the progress display again: event by event, by the clock of that time."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from dgxcert.judgement.requirement import Stage
from dgxcert.machine.identity import Machine
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import Outcome
from dgxcert.plan import selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.estimate import Estimate
from dgxcert.plan.options import WORKING, Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles import profile as profiles
from dgxcert.record.journal import Finished
from dgxcert.runner.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
MEASUREMENTS = ROOT / "docs" / "measurements"
MOMENT = "2026-11-30T00:00:00Z"


class Ending:
    """One attempt at a requirement in a kept run."""

    def __init__(self, kept: dict[str, Any], result: dict[str, Any], *, again: bool) -> None:
        self.key: str = result["key"]
        self.stage: str = result["stage"]
        self.began_s = datetime.fromisoformat(kept["started"]).timestamp()
        self.took_s: float = kept["duration_s"]
        self.outcome = Outcome(kept["outcome"])
        self.reason: str = kept["reason"]
        self.again = again


def read(folder: Path) -> dict[str, Any]:
    """The run.json of a kept run, whatever version wrote it."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return content


def kept() -> dict[str, dict[str, Any]]:
    """All runs in docs/measurements by name, oldest first: whole ones, and those of which only durations are kept."""
    files = [*MEASUREMENTS.rglob("run.json"), *MEASUREMENTS.rglob("durations-*.json")]
    runs = {_name(file): json.loads(file.read_text(encoding="utf-8")) for file in files}
    return dict(sorted(runs.items(), key=lambda item: str(item[1]["started"])))


def _name(file: Path) -> str:
    """`2026-11-27-h200/first`, or `2026-11-30-rehearsal native` for a file of durations."""
    folder = str(file.parent.relative_to(MEASUREMENTS))
    return folder if file.stem == "run" else f"{folder} {file.stem.removeprefix('durations-')}"


def endings(run: Mapping[str, Any]) -> list[Ending]:
    """All that was measured in a run, in order."""
    found = []
    for result in run["results"]:
        attempts = result.get("earlier_attempts", ()) if result["stage"] else ()
        found += [Ending(attempt, result, again=True) for attempt in attempts if attempt["started"]]
        if result["started"] and result["duration_s"] is not None:
            found.append(Ending(result, result, again=False))
    return sorted(found, key=lambda each: each.began_s)


def plan(run: Mapping[str, Any], catalogue: list[Entry]) -> list[Planned]:
    """What a run measured, with the durations that are declared today; one that is gone is as quick as most."""
    profile = profiles.load(run["profile"]["name"])
    options = Options(profile=profile.name, runtime=Runtime(run["options"]["runtime"]))
    gpus = profile.gpus_in(Machine.model_validate(run["machine"]))
    today = {entry.key: selection.decide(entry, profile, options, gpus) for entry in catalogue}
    ended = {ending.key for ending in endings(run)}
    return [_planned(result, today) for result in run["results"] if result["key"] in ended]


def _planned(result: Mapping[str, Any], today: Mapping[str, Planned]) -> Planned:
    stage = Stage.WORK if result["stage"] in WORKING else Stage(result["stage"])
    about = {name: result[name] for name in ("key", "id", "group", "title", "why")}
    takes_s = today[result["key"]].takes_s if result["key"] in today else 0.3
    return Planned(**about, remedy=("look",), nodeid="", stage=stage, takes_s=takes_s)


def catalogue() -> list[Entry]:
    """Every requirement of today, for one GPU."""
    return suite.collect(suite.root(), gpus=1)


def play(
    run: Mapping[str, Any],
    planned: list[Planned],
    known: Mapping[str, float],
    console: Console,
    look: Callable[[float, Progress], None] = lambda _now_s, _progress: None,
) -> None:
    """Play a run to the display on a console; `look` is called at each second with the seconds since the first one."""
    measured = endings(run)
    now = began = measured[0].began_s
    stage = ""
    with Progress(console, planned, Estimate(planned, known), clock=lambda: now) as shown:
        for ending in measured:
            if ending.stage != stage:
                stage = ending.stage
                mine = [entry for entry in planned if entry.key in _keys(measured, stage)]
                shown.stage(stage, mine, set())
            shown.started(ending.key)
            while now < ending.began_s + ending.took_s:
                look(now - began, shown)
                now = min(max(now, ending.began_s) + 1.0, ending.began_s + ending.took_s)
            shown.finished(_finished(ending), again=ending.again)


def _keys(measured: list[Ending], stage: str) -> set[str]:
    return {ending.key for ending in measured if ending.stage == stage}


def _finished(ending: Ending) -> Finished:
    return Finished(at=MOMENT, key=ending.key, outcome=ending.outcome, duration_s=ending.took_s, reason=ending.reason)
