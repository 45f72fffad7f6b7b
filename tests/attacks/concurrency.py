"""Several commands on one results folder at once: one wins, the others say why, and nobody reads half a file."""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from attacks.attack import TRACEBACK, Attack, Harm, Try
from attacks.small_run import KEYS, SmallRun, events
from suites import example

from dgxcert.files.atomic import write_text
from dgxcert.outcome import CannotStart
from dgxcert.record import journal

REFUSED = 3


def readers_of_a_report(folder: Path, chance: random.Random) -> Try:
    """Two writers of one file and a reader: what is read is always whole."""
    name = "two writers and a reader of one report"
    path = folder / "run.json"
    lengths = [chance.randrange(1, 200_000) for _ in range(2)]
    write_text(path, "0" * lengths[0])
    children = []
    for number, length in enumerate(lengths):
        child = os.fork()
        if child == 0:
            for _ in range(8):
                write_text(path, str(number) * length)
            os._exit(0)
        children.append(child)
    broken = ""
    while children and not broken:
        content = path.read_text(encoding="utf-8")
        if len(set(content)) != 1 or len(content) != lengths[int(content[:1] or 0)]:
            broken = f"{len(content)} bytes of {sorted(set(content))}"
        children = [child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)]
    left = os.listdir(folder)
    return Try(name) if not broken and left == ["run.json"] else Try(name, Harm.WRONG, f"{broken} left {left}")


def claims(folder: Path, number: int) -> Try:
    """Several writers claim one record at once: exactly one gets it."""
    name = f"{number} claims of one run"
    first = journal.Writer(folder)
    first.append(example.opened(example.planned("A")))
    first.close()
    barrier, won, refused = threading.Barrier(number), [], []

    def claim() -> None:
        writer = journal.Writer(folder)
        barrier.wait()
        try:
            writer.claim()
            won.append(writer)
        except CannotStart as error:
            refused.append(str(error))
            writer.close()

    threads = [threading.Thread(target=claim) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in won:
        writer.close()
    held = len(won) == 1 and all("still being worked on by another dgxcert" in reason for reason in refused)
    return Try(name) if held else Try(name, Harm.WRONG, f"{len(won)} won; {refused[:1]}")


def whole_runs(folder: Path) -> Iterator[Try]:
    """Two new runs, then two resumes of a killed one, with readers beside them."""
    small = SmallRun(folder, asks="sleep")
    first = small.start(*small.new)
    run = _measuring(small)
    yield _refused("a second run", small, small.new, "Another validation is measuring")
    yield _refused("a resume of a run at work", small, ["validate", "--resume", run], "still being worked on")
    yield _refused("a report of a run at work", small, ["report", run], "still being worked on")
    yield _refused("a bundle of a run at work", small, ["bundle", run, "--yes"], "still being worked on")
    commands: tuple[list[str | Path], ...] = (["show", run], ["history"], ["compare", run, run])
    for words in commands:
        ending = small.typed(*words)
        harm = Harm.HANG if ending.returncode is None else Harm.TRACEBACK if TRACEBACK in ending.output else None
        yield Try(f"{words[0]} while a run is written", harm, ending.output[-2000:])
    first.kill()
    first.wait()
    small.left_behind()
    small.asks = "nap"
    both = [small.start("validate", "--resume", run, output=folder / f"output-{number}") for number in range(2)]
    ended = [small.ended(process, folder / f"output-{number}") for number, process in enumerate(both)]
    yield _one_won(
        "two resumes of one run", run, [each.returncode for each in ended], ended[0].output + ended[1].output
    )


def _measuring(small: SmallRun) -> Path:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        run = small.run_folder()
        if run and any(event["event"] == "started" and event["key"] == "LONG" for event in events(run)):
            return run
        time.sleep(0.05)
    raise TimeoutError("the first run did not begin")


def _refused(name: str, small: SmallRun, words: list[str | Path], why: str) -> Try:
    ending = small.typed(*words)
    said = " ".join(ending.output.split())
    if ending.returncode == REFUSED and why in said and TRACEBACK not in said:
        return Try(name)
    return Try(name, Harm.WRONG, f"exit code {ending.returncode}\n{ending.output[-2000:]}")


def _one_won(name: str, run: Path, codes: list[int | None], shown: str) -> Try:
    results = json.loads((run / "run.json").read_text(encoding="utf-8"))["results"]
    whole = {result["key"]: result["outcome"] for result in results} == dict.fromkeys(KEYS, "passed")
    if sorted(code if code is not None else -1 for code in codes) == [0, REFUSED] and whole and TRACEBACK not in shown:
        return Try(name)
    return Try(name, Harm.WRONG, f"{codes}\n{shown[-3000:]}")


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Race writers, readers and claims in this process, and whole commands."""
    chance = random.Random(seed)
    for number in range(2 if quick else 20):
        own = folder / f"report-{number}"
        own.mkdir()
        yield readers_of_a_report(own, chance)
        own = folder / f"claim-{number}"
        own.mkdir()
        yield claims(own, chance.randrange(2, 9))
    if not quick:
        yield from whole_runs(folder / "runs")


ATTACK = Attack("concurrency", "two writers, readers, claims, runs, resumes and reports of one folder at once", tries)
