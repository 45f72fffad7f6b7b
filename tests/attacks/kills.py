"""SIGKILL at random moments: while a record or a report is written, and of a whole run, its child, or both."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attacks.attack import Attack, Harm, Try
from attacks.small_run import SmallRun, events, resumed
from suites import example

from dgxcert.files.atomic import write_text
from dgxcert.outcome import CannotStart
from dgxcert.record import journal

AT_MOST_S = 0.03


def killed(act: Callable[[int], None], after_s: float) -> int:
    """Run `act(number)` over and over in a process that is killed; returns how many ends it could acknowledge."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        number = 0
        while True:
            act(number)
            number += 1
            os.write(writing, b".")
    os.close(writing)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return len(pipe.read())


def while_recording(folder: Path, after_s: float) -> Try:
    """A writer of a record is killed: what it acknowledged is read back, and the record goes on."""
    name = f"a record, killed after {after_s * 1000:.1f} ms"
    writer = journal.Writer(folder)
    writer.append(example.opened(example.planned("A")))
    text = "x" * 3000
    acknowledged = killed(lambda number: writer.append(example.finished("A", reason=f"{number} {text}")), after_s)
    writer.close()
    try:
        read = journal.read(folder)
        again = journal.Writer(folder)
        again.append(journal.Resumed(at=example.AT, rebooted=False))
        again.close()
        whole = journal.read(folder)
    except CannotStart as error:
        return Try(name, Harm.WRONG, str(error))
    numbers = [event.reason.split()[0] for event in read[1:] if isinstance(event, journal.Finished)]
    if numbers != [str(number) for number in range(len(numbers))] or len(numbers) < acknowledged:
        return Try(name, Harm.WRONG, f"acknowledged {acknowledged}, read {numbers}")
    held = whole[: len(read)] == read and isinstance(whole[-1], journal.Resumed)
    return Try(name) if held else Try(name, Harm.WRONG, "the resumed record lacks events")


def while_reporting(folder: Path, after_s: float) -> Try:
    """A writer of a report is killed: the report is whole, and the next write removes what was left behind."""
    name = f"a report, killed after {after_s * 1000:.1f} ms"
    path = folder / "run.json"
    write_text(path, "older")
    acknowledged = killed(lambda number: write_text(path, f"{number} " * 20_000), after_s)
    content = path.read_text(encoding="utf-8")
    whole = content == "older" if not acknowledged and content == "older" else len(set(content.split())) == 1
    write_text(path, "newer")
    left = sorted(os.listdir(folder))
    return Try(name) if whole and left == ["run.json"] else Try(name, Harm.WRONG, f"{content[:80]!r}, left {left}")


def whole_run(folder: Path, chance: random.Random, who: str) -> Try:
    """A run is killed at any moment, then resumed."""
    after_s = chance.uniform(0.3, 7)
    name = f"a run, {who} killed after {after_s:.1f} s"
    small = SmallRun(folder)
    process = small.start(*small.new)
    time.sleep(after_s)
    children = [pid for pid in small.processes() if pid != process.pid]
    victims = {"supervisor": [process.pid], "child": children, "both": [*children, process.pid]}[who]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if who != "child":
        process.wait()
    ending = small.ended(process)
    if ending.returncode is None:
        return Try(name, Harm.HANG, ending.output[-2000:])
    if "Traceback" in ending.output:
        return Try(name, Harm.TRACEBACK, ending.output[-3000:])
    if left := small.left_behind():
        return Try(name, Harm.WRONG, f"left behind: {left}")
    run = small.run_folder()
    before = events(run) if run else []
    if any(event["event"] == "finished" and event["outcome"] != "passed" for event in before):
        return Try(name) if who == "child" else Try(name, Harm.WRONG, str(before))
    if run and (run / "run.json").exists() and {"LAST"} <= {event.get("key") for event in before}:
        return Try(name)  # it had ended
    return resumed(name, small, before)


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Kill writers hundreds of times, and whole runs some times."""
    chance = random.Random(seed)
    for number in range(10 if quick else 120):
        for act in (while_recording, while_reporting):
            own = folder / f"{act.__name__}-{number}"
            own.mkdir()
            yield act(own, chance.uniform(0, AT_MOST_S))
    for number in range(0 if quick else 4):
        yield whole_run(folder / f"run-{number}", chance, ("supervisor", "both", "child")[number % 3])


ATTACK = Attack("kills", "SIGKILL while a record, a report or a whole run is written; what is left goes on", tries)
