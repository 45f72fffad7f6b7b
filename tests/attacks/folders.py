"""Odd files in results folders, and run folders with values that no run has, before every reader of them."""

import io
import json
import os
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attacks.attack import Attack, Harm, Try, dgxcert, judged
from attacks.odd_files import GARBAGE, NAMES, ODD, called, mutated, removed
from rich.console import Console
from suites import timed_run
from suites.certified import SPARK, events

from dgxcert import report
from dgxcert.history import baseline, calibration, comparison, run_index, timeline
from dgxcert.machine.runtime import Runtime
from dgxcert.record import benchmark_file, journal, timings
from dgxcert.record import run as runs
from dgxcert.report import comparison_table, history_table
from dgxcert.runner import interrupted_runs
from dgxcert.site import machines, output, pages
from dgxcert.workloads.burn_in import log

HEALTHY = "2026-11-23T18-40-12Z-spark-07"
ODD_ONE = "2026-11-24T10-00-00Z-spark-07"
FILES = ("run.json", "records.jsonl", "benchmark.json", "logs", "logs/benchmark-001.json", "certificate.json")
READERS = ("history", "site", "durations", "interrupted", "show", "compare", "merge")
NOW = datetime(2026, 12, 24, tzinfo=UTC)
LATER = SPARK.model_copy(update={"boot_id": "3b0b6a52-1d5c-4b76-8f0e-6a3c7d7a2f11"})


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Every odd file in every place, then mutated values, then whole commands."""
    chance = random.Random(seed)
    run = whole_run(folder / "kept")
    yield from odd_files(folder, run, chance, some=20 if quick else 250)
    yield from odd_entries(folder, run, chance, some=8 if quick else len(ODD))
    yield from mutations(folder, run, chance, count=12 if quick else 100)
    yield from many(folder, run, count=40 if quick else 400)
    if not quick:
        yield from commands(folder, run)


def whole_run(place: Path) -> Path:
    """A run folder with a record, reports, benchmarks and their parts."""
    run = timed_run.write(place / ODD_ONE)
    benchmarks = json.loads((run / "benchmark.json").read_text())
    removed(run)
    (run / "logs").mkdir(parents=True)
    writer = journal.Writer(run)
    for event in events():
        writer.append(event)
    writer.close()
    report.write(runs.assemble(journal.read(run), run.name), run)
    (run / "benchmark.json").write_text(json.dumps(benchmarks))
    (run / "logs" / "benchmark-001.json").write_text(json.dumps(benchmarks))
    return run


def results_with(folder: Path, run: Path) -> Path:
    """A results folder with a healthy run and one that is to be damaged."""
    results = folder / "results"
    removed(results)
    shutil.copytree(run, results / ODD_ONE)
    shutil.copytree(run, results / HEALTHY)
    text = (results / HEALTHY / "run.json").read_text().replace(ODD_ONE, HEALTHY)
    (results / HEALTHY / "run.json").write_text(text)
    return results


def read(reader: str, results: Path) -> object:
    """One reader of a results folder, or of the odd run in it."""
    run = results / ODD_ONE
    match reader:
        case "history":
            known = run_index.read(results)
            history_table.show(known, known.runs, "spark-07", 20, Console(file=io.StringIO()))
            for name in timeline.requirements(known.runs):
                timeline.steps(known.runs, name)
            return known
        case "site":
            seen = machines.read(results, results.parent / "pages", NOW, None, lambda _: None)
            output.write(results.parent / "pages", pages.render(seen, NOW, verified=False))
            return run_index.read(results)
        case "durations":
            return run_index.durations(results, SPARK, "dgx-spark", Runtime.DOCKER)
        case "interrupted":
            return interrupted_runs.close_interrupted(results, LATER)
        case "show":
            return runs.load(run), journal.read(run)
        case "compare":
            return compare(results)
        case _:
            return benchmark_file.merge(run)


def compare(results: Path) -> object:
    """Compare the odd run with the healthy one and with itself, calibrate with it, and keep it."""
    run = results / ODD_ONE
    reference, judged_run = timings.of(runs.load(run), run), runs.load(results / HEALTHY)
    compared = comparison.compare([reference], timings.of(judged_run, results / HEALTHY))
    comparison_table.show(compared, judged_run, None, 1, Console(file=io.StringIO()))
    calibration.readings([(runs.load(run), reference)])
    baseline.keep(runs.load(run), run, results / "baselines")
    return baseline.load(runs.load(run), results / "baselines")


def about(results: Path, one: Try, answer: object, *, odd: bool = True) -> Try:
    """The try of a reader, judged by its answer as well: the healthy run is still there, and what is odd is named."""
    if one.harm is not None or not isinstance(answer, run_index.Known):
        return one
    names = [run.name for run in answer.runs]
    if HEALTHY not in names:
        return Try(one.name, Harm.WRONG, f"the healthy run is lost: {answer}")
    if odd and len(names) + len(answer.unreadable) + len(answer.unfinished) < 2 and (results / ODD_ONE).exists():
        return Try(one.name, Harm.WRONG, "nothing was said of the odd one")
    if any(not f"{name}{reason}".isprintable() for name, reason in answer.unreadable.items()):
        return Try(one.name, Harm.WRONG, f"control characters: {answer.unreadable}")
    return one


def odd_files(folder: Path, run: Path, chance: random.Random, some: int | None) -> Iterator[Try]:
    """Each kind of odd file in place of each file of a run, before each reader."""
    every = [(place, what, reader) for place in FILES for what in ODD for reader in READERS]
    victim = folder / "nothing"
    for place, what, reader in every if some is None else chance.sample(every, some):
        results = results_with(folder, run)
        path = results / ODD_ONE / place
        removed(path)
        ODD[what](path)
        if reader == "interrupted":
            removed(results / ODD_ONE / "run.json")
        one, answer = called(f"{place} is {what}: {reader}", lambda reader=reader, at=results: read(reader, at))
        one = about(results, one, answer, odd=place == "run.json")
        yield Try(one.name, Harm.ESCAPE, "a link was followed") if victim.exists() else one


def odd_entries(folder: Path, run: Path, chance: random.Random, some: int) -> Iterator[Try]:
    """Each kind of odd file in a results folder itself, and runs with odd names."""
    for what, make in chance.sample(list(ODD.items()), some):
        results = results_with(folder, run)
        make(results / "odd")
        one, answer = called(f"{what} among the runs", lambda at=results: read("history", at))
        yield about(results, one, answer)
    for name in NAMES:
        results = results_with(folder, run)
        os.rename(results / ODD_ONE, os.fsencode(results) + b"/" + name)
        for reader in ("history", "site", "interrupted", "durations")[: 4 if some == len(ODD) else 1]:
            one, answer = called(f"a run called {name[:20]!r}: {reader}", lambda r=reader, at=results: read(r, at))
            yield about(results, one, answer)
    results = results_with(folder, run)
    (results / "root").symlink_to("/")
    (results / "up").symlink_to("..")
    (results / "latest").symlink_to(HEALTHY)
    one, answer = called("links to other folders", lambda: read("history", results))
    yield about(results, one, answer)


def mutations(folder: Path, run: Path, chance: random.Random, count: int) -> Iterator[Try]:
    """Values that no run has, at random in run.json, benchmark.json, the record and the burn-in log."""
    results = results_with(folder, run)
    kept = {name: (run / name).read_text() for name in ("run.json", "benchmark.json", "records.jsonl")}
    for _ in range(count):
        name = chance.choice(list(kept))
        where, text = _changed(kept[name], name, chance)
        for each, content in kept.items():
            (results / ODD_ONE / each).write_text(text if each == name else content, encoding="utf-8")
        removed(results / "baselines")
        for reader in ("history", "site", "durations", "show", "compare", "interrupted"):
            if reader == "interrupted":
                removed(results / ODD_ONE / "run.json")
            one, answer = called(f"{name}: {where}: {reader}", lambda r=reader: read(r, results))
            yield about(results, one, answer, odd=False)
    for _ in range(count):
        cycle = {"at": 1.0, "seconds": 20.0, "matmul": 9.0, "copy": 2.0, "training": 5.0, "wrong": 0, "product": "a"}
        _, document = mutated({"cycle": cycle | {"weights": "b"}, "boot": "7d1f", "errors": 0}, chance)
        path = folder / "burn-in.jsonl"
        path.write_bytes(GARBAGE[:1000] + json.dumps(document).encode() + b"\n{")
        yield called(f"burn-in log: {json.dumps(document)[:60]}", lambda at=path: log.summarise(log.read_log(at)))[0]


def _changed(text: str, name: str, chance: random.Random) -> tuple[str, str]:
    if name != "records.jsonl":
        where, document = mutated(json.loads(text), chance)
        return where, json.dumps(document)
    lines = text.splitlines()
    at = chance.randrange(len(lines))
    where, document = mutated(json.loads(lines[at]), chance)
    lines[at] = json.dumps(document)
    return f"line {at + 1}, {where}", "\n".join(lines) + "\n"


def many(folder: Path, run: Path, count: int) -> Iterator[Try]:
    """Thousands of folders: of other machines, without an end, empty, or of garbage."""
    for kind in ("runs", "unfinished", "empty", "garbage"):
        results = results_with(folder, run)
        (folder / "garbage").write_bytes(GARBAGE)
        for number in range(count):
            one = results / f"2026-01-01T00-00-00Z-{number}"
            one.mkdir()
            if kind == "runs":
                os.link(run / "run.json", one / "run.json")
            if kind in {"runs", "unfinished"}:
                os.link(run / "records.jsonl", one / "records.jsonl")
            if kind == "garbage":
                os.link(folder / "garbage", one / "records.jsonl")
        for reader in ("interrupted", "durations", *(["history"] if kind != "runs" else [])):
            name = f"{count} {kind} folders: {reader}"
            ended, answer = called(name, lambda r=reader, at=results: read(r, at))
            yield about(results, ended, answer)


def commands(folder: Path, run: Path) -> Iterator[Try]:
    """Whole commands over a folder full of odd things."""
    results = results_with(folder, run)
    for number, make in enumerate(ODD.values()):
        for at, name in enumerate(("run.json", "records.jsonl")):
            odd = results / f"odd-{number}-{at}"
            shutil.copytree(run, odd)
            removed(odd / name)
            make(odd / name)
        make(results / f"odd-{number}")
    for name in NAMES:
        (Path(os.fsdecode(os.fsencode(results) + b"/" + name)) / "run.json").parent.mkdir()
    odd_runs = sorted(path for path in results.iterdir() if path.name.endswith(("-0", "-1")))
    words: list[list[Any]] = [["history", "--results", results], ["history", "spark-07", "--results", results]]
    words += [["site", results, "--out", folder / "site"]]
    words += [["validate", "--profile", "cpu", "--runtime", "native", "--only", "NO-SUCH", "--results", results]]
    words += [["show", odd_runs[0]], ["report", odd_runs[3]], ["compare", odd_runs[5], results / HEALTHY]]
    words += [["calibrate", *odd_runs[6:9]], ["compare", odd_runs[20], "--keep"]]
    for each in words:
        found = judged(" ".join(Path(str(word)).name for word in each), dgxcert(*each, folder=folder))
        yield found


ATTACK = Attack("result folders", "odd files, names, links and values before every reader of results", tries)
