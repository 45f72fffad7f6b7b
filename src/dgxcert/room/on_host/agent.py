"""The agent on a host: begins a validation, looks at it, stops it, packs what it left, and removes all of it.

    python3 agent.py begin PLACE ROOM --limit-s 28800 -- PROGRAM ARGUMENT…
    python3 agent.py look|stop|pack|packed|forget PLACE ROOM
    python3 agent.py clean PLACE

Each prints one line of JSON. It is one file for Python 3.8 or newer and needs nothing but the standard library: it is
copied to the host, and imports nothing of dgxcert. Whether a validation works is told by a lock that lives as long as
it does: a number of a process may by now be somebody else's.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Verb = Callable[..., dict[str, Any]]

MARKER = "dgxcert-room"
"""A file of this name says that a folder is ours: nothing else is ever removed."""
GRACE_S = 90.0
"""After Ctrl-C, how long a validation may take to write its verdict and to remove its containers."""
STEP_S, REAP_S = 0.05, 5.0
SAID, NAME = 300, 200
"""Characters that are kept of its last words, and of a requirement's key."""
TIME_IS_UP = 124
"""Exit code of a validation that was ended at its time limit, as of timeout(1)."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MEMORY = Path("/dev/shm")  # noqa: S108 (a full disk must not lose the results)


class Work:
    """The folder of one room's validation on this host."""

    def __init__(self, place: Path, room: str) -> None:
        self.place, self.folder, self.results = place, place / "work" / room, place / "results" / room
        self.lock, self.log = self.folder / "lock", self.folder / "log"

    def is_held(self) -> bool:
        """Whether a validation works."""
        try:
            with self.lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def number(self, name: str) -> int | None:
        """The number in a file; None where there is none."""
        try:
            return int((self.folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def state(self) -> str:
        """How its validation is doing."""
        if self.is_held():
            return "works"
        if not self.lock.exists():
            return "none"
        if (self.folder / "stopped").exists():
            return "stopped"
        return "died" if self.number("exit") is None else "ended"

    def runs(self) -> list[Path]:
        """Its run folders, the newest last."""
        return sorted(path.parent for path in self.results.glob("*/records.jsonl"))


def main() -> int:
    """Do what is asked; a failure is one line on standard error."""
    options = _options()
    os.umask(0o077)
    place = Path(os.path.abspath(os.path.expanduser(options.place)))
    try:
        _require_ours(place)
        verb = VERBS[options.verb]
        said = verb(place, options) if options.verb == "clean" else verb(Work(place, options.room), options)
    except Refused as refused:
        sys.stderr.write(f"dgxcert wrong={refused}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"dgxcert wrong={error.strerror or error}: {error.filename or place}\n")
        return 1
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("verb", choices=sorted(VERBS))
    parser.add_argument("place")
    parser.add_argument("room", nargs="?", default="")
    parser.add_argument("--limit-s", type=float, default=8 * 3600.0)
    parser.add_argument("--grace-s", type=float, default=GRACE_S)
    parser.add_argument("program", nargs="*", default=[])
    given: list[str] = sys.argv[1:]
    after: list[str] = []
    if "--" in given:
        given, after = given[: given.index("--")], given[given.index("--") + 1 :]
    options = parser.parse_args(given)
    options.program = after
    if options.verb != "clean" and (not options.room or "/" in options.room or options.room.startswith(".")):
        parser.error("%s is no name of a room" % (options.room or "nothing"))
    return options


class Refused(Exception):  # noqa: N818 (reads as `raise Refused`)
    """Why this is not done."""


def _require_ours(place: Path) -> None:
    if not (place / MARKER).is_file():
        raise Refused(f"{place} is not a folder that dgxcert made for a room: it has no file {MARKER}")


# Looking


def look(work: Work, _: argparse.Namespace | None = None) -> dict[str, Any]:
    """How a validation is doing."""
    state = work.state()
    said = {"state": state, "exit": work.number("exit"), "done": 0, "total": 0, "current": None, "left_s": None}
    runs = work.runs()
    if runs:
        said.update(_progress(runs[-1] / "records.jsonl", time.time()))
    if state != "works":
        said.update(current=None, left_s=None)
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")  # noqa: UP017 (Python 3.8)
    return {**said, "run": runs[-1].name if runs else None, "said": _last_words(work.log), "at": at}


def _progress(record: Path, now_s: float) -> dict[str, Any]:
    """How far a run has come, by its record; a line that is not whole yet is skipped."""
    takes_s: dict[str, float] = {}
    since_s: dict[str, float] = {}
    done = set()
    for event in _events(record):
        kind, key = event.get("event"), event.get("key")
        if kind == "opened":
            takes_s = {each["key"]: float(each.get("takes_s") or 0) for each in event["plan"] if _runs(each)}
        elif kind == "started" and isinstance(key, str):
            since_s[key] = _seconds(event.get("at"), now_s)
        elif kind == "finished":
            done.add(key)
            since_s.pop(str(key), None)
    waiting = {key: seconds for key, seconds in takes_s.items() if key not in done}
    spent_s = sum(min(max(now_s - since_s[key], 0), waiting[key]) for key in waiting if key in since_s)
    current = min(since_s, key=lambda key: since_s[key]) if since_s else None
    return {
        "done": len(takes_s) - len(waiting),
        "total": len(takes_s),
        "current": current and current[:NAME],
        "left_s": round(sum(waiting.values()) - spent_s, 1),
    }


def _events(record: Path) -> Iterator[dict[str, Any]]:
    wanted = ('"event":"opened"', '"event":"started"', '"event":"finished"')
    with record.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if any(each in line[:200] for each in wanted):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    yield json.loads(line)


def _runs(planned: dict[str, Any]) -> bool:
    return not planned.get("not_applicable") and not planned.get("not_run")


def _seconds(at: Any, otherwise_s: float) -> float:
    try:
        return datetime.fromisoformat(str(at).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return otherwise_s


def _last_words(log: Path) -> str:
    """The last line of the output that says something."""
    try:
        with log.open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - 8192, 0))
            lines = file.read().decode("utf-8", errors="replace").replace("\r", "\n").split("\n")
    except OSError:
        return ""
    printable = ("".join(char for char in line if char.isprintable()).strip() for line in lines)
    return (list(filter(None, printable)) or [""])[-1][-SAID:]


# Beginning


def begin(work: Work, options: argparse.Namespace) -> dict[str, Any]:
    """Start the validation detached, unless it works or has ended; one that was stopped or died is resumed."""
    work.folder.mkdir(parents=True, exist_ok=True)
    work.results.mkdir(parents=True, exist_ok=True)
    lock = os.open(str(work.lock), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return look(work)
        if work.number("exit") in (0, 1, 2) and not (work.folder / "stopped").exists():
            return {**look(work), "state": "ended"}
        program = _resumed(options.program, work)
        if not program:
            raise Refused("no program was named to begin")
        _write_test(work)
        for name in ("exit", "stopped", "pid"):
            with contextlib.suppress(FileNotFoundError):
                (work.folder / name).unlink()
        if os.fork() == 0:
            _detached(work, program, options, lock)
    finally:
        os.close(lock)  # the guardian has its own
    return {**look(work), "state": "works"} if work.is_held() else look(work)


def _resumed(program: list[str], work: Work) -> list[str]:
    """The program for this place, which goes on with the newest run of this room where there is one."""
    program, runs = [word.replace("{place}", str(work.place)) for word in program], work.runs()
    if "validate" not in program or not runs:
        return program
    return [*program[: program.index("validate") + 1], "--resume", str(runs[-1])]


def _write_test(work: Work) -> None:
    """Raise OSError where nothing can be written: a full disk is said before anything begins."""
    trial = work.folder / "trial"
    try:
        trial.write_bytes(b"\0" * 65536)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()


def _detached(work: Work, program: list[str], options: argparse.Namespace, lock: int) -> None:
    """Become the guardian of a validation; never returns."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with work.log.open("ab") as log:
            for standard in (1, 2):
                os.dup2(log.fileno(), standard)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        (work.folder / "pid").write_text(str(os.getpid()), encoding="ascii")
        code = _guard(work, program, options, lock)
        new = work.folder / "exit.new"
        new.write_text(str(code), encoding="ascii")
        os.replace(str(new), str(work.folder / "exit"))  # whole or not at all
    finally:
        os._exit(0 if code == 0 else 1)


def _guard(work: Work, program: list[str], options: argparse.Namespace, lock: int) -> int:
    """Run a validation to its end, to its time limit, or until it is to stop; whatever it leaves is killed."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    asked: list[float] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.append(time.monotonic()))
    parent, environment = os.getpid(), _environment(work.place)
    try:
        child = subprocess.Popen(
            program,
            cwd=str(work.folder),
            env=environment,
            pass_fds=(lock,),  # so that it counts as working, should this process be killed
            start_new_session=True,
            preexec_fn=lambda: _die_with(parent),
        )
    except OSError as error:
        sys.stderr.write(f"dgxcert: {program[0]} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
        return 3
    end_s = time.monotonic() + options.limit_s
    told_s: float | None = None
    now_s, late = time.monotonic(), False
    while child.poll() is None:
        now_s = time.monotonic()
        late = late or (now_s > end_s and not asked)
        if told_s is None and (asked or late):
            told_s = now_s
            _kill_group(child.pid, signal.SIGINT)
        if told_s is not None and now_s - told_s > options.grace_s:
            _kill_below(os.getpid())
        time.sleep(STEP_S)
    _kill_below(os.getpid())
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < now_s + REAP_S and os.waitpid(-1, os.WNOHANG) is not None:
            time.sleep(STEP_S)
    if late:
        sys.stderr.write(f"dgxcert: it took longer than its time limit of {options.limit_s:.0f} s\n")
        sys.stderr.flush()
        return TIME_IS_UP
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _environment(place: Path) -> dict[str, str]:
    """The environment of a validation: what it writes besides its results lies in the room's folder, too."""
    folders = {
        "XDG_STATE_HOME": "state",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "XDG_DATA_HOME": "data",
        "MPLCONFIGDIR": "cache/matplotlib",
        "HF_HOME": "cache/huggingface",
        "TMPDIR": "tmp",
    }
    for name in folders.values():
        (place / name).mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON", "SSH_"))}
    # Docker's own settings, and the token of this host's user, stay where they are.
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if config.is_dir():
        kept["DOCKER_CONFIG"] = str(config)
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    if "HF_TOKEN_PATH" not in kept and (home / "token").is_file():
        kept["HF_TOKEN_PATH"] = str(home / "token")
    ours = {name: str(place / folder) for name, folder in folders.items()}
    return {**kept, **ours, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with(parent: int) -> None:
    """Have the kernel end this process as by kill(1), should its guardian die."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if os.getppid() != parent:
        os._exit(143)


# Stopping


def stop(work: Work, options: argparse.Namespace) -> dict[str, Any]:
    """Stop a validation as Ctrl-C would, and wait; what does not end is killed with all that it started."""
    if not work.is_held():
        return look(work)
    (work.folder / "stopped").touch()
    guardian = work.number("pid")
    holders = _holders(work.lock)
    if guardian in holders:
        _kill(guardian, signal.SIGINT)
    else:  # it is dead, and what it began is not
        for pid in holders:
            _kill_group(pid, signal.SIGINT)
    for limit_s in (options.grace_s + 2 * REAP_S, REAP_S):
        end_s = time.monotonic() + limit_s
        while work.is_held() and time.monotonic() < end_s:
            time.sleep(STEP_S)
        for pid in _holders(work.lock):
            _kill_below(pid)
            _kill_group(pid, signal.SIGKILL)
    return look(work)


def _holders(lock: Path) -> list[int]:
    """The processes of this user that have the lock open."""
    found = []
    wanted = os.stat(str(lock))
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for name in os.listdir(str(folder / "fd")):
                with contextlib.suppress(OSError):
                    has = os.stat(str(folder / "fd" / name))
                    if (has.st_dev, has.st_ino) == (wanted.st_dev, wanted.st_ino) and int(folder.name) != os.getpid():
                        found.append(int(folder.name))
                        break
    return found


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _kill_group(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)


def _kill_below(pid: int) -> None:
    """Kill everything below a process. Orphans belong to the guardian, so that none gets away."""
    waiting, found = [pid], []
    while waiting:
        for listing in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                children = [int(child) for child in listing.read_text(encoding="ascii").split()]
                waiting += children
                found += children
    for each in found:
        _kill(each, signal.SIGKILL)


# Packing


def pack(work: Work, options: argparse.Namespace) -> dict[str, Any]:
    """Pack the run folders and the output of a validation; into memory where the disk is full."""
    if not work.lock.exists():
        raise Refused("nothing was begun here")
    archives = _archives(work)
    for number, archive in enumerate(archives):
        try:
            with tarfile.open(str(archive), "w:gz", compresslevel=6) as packed:
                for name, path in (("results", work.results), ("log", work.log)):
                    if path.exists():
                        packed.add(str(path), name, filter=lambda each: each if each.isreg() or each.isdir() else None)
            break
        except OSError:
            with contextlib.suppress(OSError):
                archive.unlink()
            if number == len(archives) - 1:
                raise
    return {**look(work), **packed_as(work, options)}


def _archives(work: Work) -> list[Path]:
    """Where an archive may lie; the name in memory is one that only this user's agent would take."""
    own = hashlib.sha256(str(work.folder).encode()).hexdigest()[:12]
    return [work.folder / "packed.tgz", MEMORY / f"dgxcert-room-{os.getuid()}-{own}.tgz"]


def packed_as(work: Work, _: argparse.Namespace) -> dict[str, Any]:
    """The archive, with its size in bytes and its hash."""
    for archive in _archives(work):
        try:
            handle = os.open(str(archive), os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        with os.fdopen(handle, "rb") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                continue
            digest = hashlib.sha256()
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
            size = os.fstat(file.fileno()).st_size
        return {"archive": str(archive), "size": size, "sha256": digest.hexdigest()}
    raise Refused("nothing was packed here")


def forget(work: Work, _: argparse.Namespace) -> dict[str, Any]:
    """Remove the archive, which has arrived."""
    for archive in _archives(work):
        with contextlib.suppress(FileNotFoundError):
            archive.unlink()
    return look(work)


# Cleaning


def clean(place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Remove the room's folder with everything in it, where nothing works in it."""
    for room in sorted((place / "work").glob("*")):
        work = Work(place, room.name)
        if work.is_held():
            raise Refused(f"a validation of room {room.name} works here: stop it first")
        forget(work, options)
    marker = place / MARKER
    for path in place.iterdir():
        if path != marker:  # last, so that a removal that was interrupted can go on
            shutil.rmtree(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()
    marker.unlink()
    place.rmdir()
    return {"state": "cleaned"}


FOR_A_ROOM: dict[str, Verb] = {"begin": begin, "look": look, "stop": stop, "pack": pack, "packed": packed_as}
VERBS: dict[str, Verb] = {**FOR_A_ROOM, "forget": forget, "clean": clean}


if __name__ == "__main__":
    sys.exit(main())
