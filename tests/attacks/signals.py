"""SIGINT, SIGTERM, SIGHUP, SIGQUIT at random moments, once to three times; a stopped run; an output that is closed."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from attacks.attack import TRACEBACK, Attack, Ending, Harm, Try, typed
from attacks.small_run import SmallRun, events, resumed

from dgxcert.runner import interrupts

REFUSED = 3
VERDICTS = (0, 1, 2)


def counted(chance: random.Random) -> Try:
    """Signals arrive at random moments of a process that holds them: each is counted, none is raised."""
    numbers = [chance.choice(interrupts.NUMBERS) for _ in range(chance.randrange(1, 30))]
    name = f"{len(numbers)} signals while held"
    child = os.fork()
    if child == 0:
        with interrupts.held() as stop:
            for number in numbers:
                os.kill(os.getpid(), number)
            deadline = time.monotonic() + 2
            while stop.count < len(numbers) and time.monotonic() < deadline:
                sum(range(1000))
            os._exit(0 if stop.count == len(numbers) else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Try(name) if status == 0 else Try(name, Harm.WRONG, f"ended with {status}")


def whole_run(folder: Path, chance: random.Random, times: int, after_s: float) -> Try:
    """A run is ended at any moment: it shows a verdict or says that none was begun, leaves nothing, goes on."""
    numbers = [chance.choice(interrupts.NUMBERS) for _ in range(times)]
    name = f"a run, {' '.join(number.name for number in numbers)} after {after_s:.1f} s"
    small = SmallRun(folder, asks=chance.choice(("nap", "sleep", "sleep defy")))
    process = small.start(*small.new)
    time.sleep(after_s)
    if "sleep" in small.asks:
        _wait_until(small, "LONG", 20)
    for number in numbers:
        if process.poll() is None:
            process.send_signal(number)
            time.sleep(0.15)
    ending = small.ended(process)
    if found := _judged(name, ending, small):
        return found
    run = small.run_folder()
    return resumed(name, small, events(run) if run and ending.returncode == 2 else [])


def before_a_run(folder: Path, chance: random.Random, after_s: float) -> Try:
    """A command is ended while it starts, reads the machine or collects."""
    number = chance.choice(interrupts.NUMBERS)
    name = f"a run, {number.name} after {after_s * 1000:.0f} ms"
    small = SmallRun(folder)
    process = small.start_installed("validate", "--profile", "cpu", "--runtime", "native", "--only", "DISK-SPACE")
    time.sleep(after_s)
    process.send_signal(number)
    process.send_signal(number)
    ending = small.ended(process)
    return _judged(name, ending, small) or Try(name)


def _wait_until(small: SmallRun, key: str, limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        run = small.run_folder()
        if run and any(event["event"] == "started" and event["key"] == key for event in events(run)):
            return
        time.sleep(0.05)


def _judged(name: str, ending: Ending, small: SmallRun) -> Try | None:
    """The harm that an ended run did, or None."""
    shown = ending.output[-3000:]
    if ending.returncode is None:
        return Try(name, Harm.HANG, shown)
    if TRACEBACK in ending.output:
        return Try(name, Harm.TRACEBACK, shown)
    if left := small.left_behind():
        return Try(name, Harm.WRONG, f"left behind: {left}\n{shown}")
    begun = small.run_folder() is not None
    by_signal = ending.returncode < 0 and not begun and not ending.output  # before the first line of dgxcert's own
    if begun and (ending.returncode not in VERDICTS or f"(exit {ending.returncode})" not in ending.output):
        return Try(name, Harm.WRONG, f"exit code {ending.returncode} and no verdict\n{shown}")
    if not begun and ending.returncode != REFUSED and not by_signal:
        return Try(name, Harm.WRONG, f"exit code {ending.returncode}\n{shown}")
    return None


def stopped(folder: Path) -> Try:
    """A run and its child are stopped for longer than a requirement's budget, as by Ctrl-Z, and go on."""
    name = "SIGSTOP for four seconds, then SIGCONT"
    small = SmallRun(folder, asks="nap")
    process = small.start(*small.new)
    _wait_until(small, "LONG", 20)
    everyone = [process.pid, *small.processes()]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in everyone:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        time.sleep(4 if number is signal.SIGSTOP else 0)
    ending = small.ended(process)
    if found := _judged(name, ending, small):
        return found
    return Try(name) if ending.returncode == 0 else Try(name, Harm.WRONG, ending.output[-3000:])


def closed_output(folder: Path, words: list[str | Path]) -> Try:
    """Nobody reads what a command prints."""
    folder.mkdir(parents=True)
    name = f"dgxcert {words[0]} | head -0"
    small = SmallRun(folder)
    line = " ".join(f"'{word}'" for word in small.words(*words))
    ending = typed(["bash", "-c", f"set -o pipefail; {line} | head -c 0"], folder=folder, **small.environment)
    if ending.returncode is None:
        return Try(name, Harm.HANG)
    return Try(name, Harm.TRACEBACK, ending.output) if TRACEBACK in ending.output else Try(name)


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Signal writers by the hundred, and whole runs some times."""
    chance = random.Random(seed)
    for _ in range(20 if quick else 200):
        yield counted(chance)
    yield closed_output(folder / "closed-list", ["--help"])
    if quick:
        return
    yield closed_output(folder / "closed-history", ["history"])
    for number in range(8):
        yield before_a_run(folder / f"before-{number}", chance, chance.uniform(0, 2.5))
    for number, times in enumerate((1, 2, 3)):
        yield whole_run(folder / f"run-{number}", chance, times, chance.uniform(2, 6))
    yield stopped(folder / "stopped")


ATTACK = Attack("signals", "one to three signals at any moment, a stopped run, an output that nobody reads", tries)
