"""Disks that fill, break, become read-only or lose the folder, while a run is written: on real file systems."""

import ctypes
import errno
import json
import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attacks.attack import TRACEBACK, Attack, Harm, Try
from attacks.small_run import KEYS, SmallRun, events, resumed
from suites import disk, example

from dgxcert.files.atomic import write_text
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.record import journal

CLONE_NEWNS = 0x20000
CANNOT_FINISH = 3


def may_mount() -> bool:
    """Whether this process may mount file systems in a mount namespace of its own."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[Path]:
    """A file system in memory of that size."""
    place = folder / "disk"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Fill a file system to its last byte."""
    with (place / "ballast").open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def record_on_a_full_disk(folder: Path, size_kib: int, length: int) -> Try:
    """A record grows until the disk is full: all that was acknowledged is read back, and goes on with space."""
    name = f"a record on a disk of {size_kib} KiB, in lines of {length} bytes"
    with small_disk(folder, size_kib) as place:
        return _until_refused(name, place, length, lambda: (place / "ballast").unlink(missing_ok=True))


def record_up_to_a_limit(folder: Path, size_bytes: int, length: int) -> Try:
    """A record grows up to RLIMIT_FSIZE, which needs no root."""
    folder.mkdir(parents=True)
    with disk.limit_file_size(size_bytes):
        lifted = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        name = f"a record up to a limit of {size_bytes} bytes, in lines of {length} bytes"
        return _until_refused(name, folder, length, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (lifted, lifted)))


def _until_refused(name: str, place: Path, length: int, mend: Callable[[], None]) -> Try:
    (place / "ballast").write_bytes(bytes(8192))
    writer = journal.Writer(place)
    taken = 0
    try:
        writer.append(example.opened(example.planned("A")))
        for number in range(100_000):
            writer.append(example.finished("A", reason=f"{number} {'x' * length}"))
            taken = number + 1
    except CannotWrite as error:
        if error.cause not in {"a full disk", "a limit on the size of files"}:
            return Try(name, Harm.WRONG, str(error))
    kept = [event for event in journal.read(place) if isinstance(event, journal.Finished)]
    mend()
    again = journal.Writer(place)
    again.append(journal.Resumed(at=example.AT, rebooted=False))
    whole = journal.read(place)
    writer.close()
    again.close()
    held = len(kept) == taken and len(whole) == taken + 2
    return Try(name) if held else Try(name, Harm.WRONG, f"took {taken}, kept {len(kept)}, then {len(whole)} events")


def report_on_a_full_disk(folder: Path, length: int) -> Try:
    """A report does not fit: the older one stays, and no part of the new one."""
    name = f"a report of {length} bytes on a disk of 64 KiB"
    with small_disk(folder, 64) as place:
        write_text(place / "run.json", "older")
        try:
            write_text(place / "run.json", "x" * length)
        except CannotWrite:
            held = (place / "run.json").read_text(encoding="utf-8") == "older"
        else:
            held = (place / "run.json").stat().st_size == length
        left = os.listdir(place)
        return Try(name) if held and left == ["run.json"] else Try(name, Harm.WRONG, f"held {held}, left {left}")


def _remounted(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


TROUBLES: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "full": (fill, lambda place: (place / "ballast").unlink(missing_ok=True)),
    "read-only": (lambda place: _remounted(place, "ro"), lambda place: _remounted(place, "rw")),
    "removed": (lambda place: shutil.rmtree(place / "results", ignore_errors=True), lambda _: None),
    "moved": (
        lambda place: (place / "results").rename(place / "moved"),
        lambda place: (place / "moved").rename(place / "results"),
    ),
}


def whole_run(folder: Path, trouble: str, after_s: float) -> Try:
    """The disk of a run breaks at any moment: what was measured is shown, and goes on once the disk is mended."""
    name = f"a run whose disk is {trouble} after {after_s:.1f} s"
    with small_disk(folder, 4096) as place:
        small = SmallRun(folder / "own", asks="nap")
        small.results = place / "results"
        process = small.start(*small.new)
        time.sleep(after_s)
        break_it, mend = TROUBLES[trouble]
        try:
            break_it(place)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            process.kill()  # there was no folder yet
            process.wait()
            return Try(name)
        ending = small.ended(process)
        if ending.returncode is None:
            return Try(name, Harm.HANG, ending.output[-2000:])
        if TRACEBACK in ending.output:
            return Try(name, Harm.TRACEBACK, ending.output[-3000:])
        mend(place)
        if said := _unshown(ending.output, small):
            return Try(name, Harm.WRONG, f"{said}\n{ending.output[-3000:]}")
        run = small.run_folder()
        done = json.loads((run / "run.json").read_text()) if run and (run / "run.json").exists() else None
        if ending.returncode == 0 and done and {each["outcome"] for each in done["results"]} == {"passed"}:
            return Try(name)  # it had ended before
        if ending.returncode not in (0, CANNOT_FINISH):
            return Try(name, Harm.WRONG, f"exit code {ending.returncode}\n{ending.output[-3000:]}")
        before = events(run) if run else []
        if any(event["event"] == "finished" and event["outcome"] != "passed" for event in before):
            return Try(name, Harm.WRONG, f"not said as what it was: {before}")
        if before and {event["key"] for event in before if event["event"] == "finished"} == KEYS and done is None:
            small.typed("validate", "--resume", run or "")
            written = run is not None and (run / "run.json").exists()
            return Try(name) if written else Try(name, Harm.WRONG, "no verdict after mending")
        return resumed(name, small, before)


def _unshown(output: str, small: SmallRun) -> str:
    """What is missing on the screen: results that were measured, or a way on that works."""
    if "PASSED" in output and "(exit " not in output:
        return "something was measured, and no verdict was shown"
    if "--resume" in output and small.run_folder() is None:
        return "it says --resume, and there is no run"
    if "(exit 0)" in output and small.run_folder() is None:
        return "it passed, and nothing is left of it"
    return ""


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Limit files where that is all that is possible; mount small disks where root allows it."""
    chance = random.Random(seed)
    for number in range(3 if quick else 50):
        yield record_up_to_a_limit(
            folder / f"limit-{number}", chance.randrange(30_000, 90_000), chance.randrange(1, 3000)
        )
    if not may_mount():
        return
    ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True)
    for number in range(3 if quick else 50):
        yield record_on_a_full_disk(folder / f"full-{number}", chance.randrange(64, 200, 4), chance.randrange(1, 3000))
        yield report_on_a_full_disk(folder / f"report-{number}", chance.randrange(1, 200_000))
    for number, trouble in enumerate([] if quick else TROUBLES):
        yield whole_run(folder / f"run-{number}", trouble, chance.uniform(2, 6))


ATTACK = Attack("disks", "full, limited, read-only and vanished disks below a record, a report and a run", tries)
