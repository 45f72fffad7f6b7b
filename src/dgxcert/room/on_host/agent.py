"""The agent of a room on a host: takes delivery, begins one validation, looks at it, stops it, packs it, cleans up.

    python3 agent.py deliver|begin|look|stop|pack|packed|clean ARGUMENT

The argument is JSON in Base64, so that no shell reads it. Each call prints one JSON line. The standard library
is enough: it runs before anything is installed. A validation works in a process of its own that holds a lock as
long as it lives, so that no number of a process can be mistaken for it, and the controller may go away and come back.
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

MARK = ".dgxcert-room"
"""In the folder of dgxcert on a host: without it nothing is removed."""
PYTHON = "python"
"""In the same folder: a link to the Python that this agent is run with."""
GRACE_S, LAST_S = 60.0, 10.0
"""How long a validation may take to close its run after Ctrl-C, and how long a kill may take."""
LIMIT_EXIT = 124
TAIL = 4096
LINE = 300
SHM = Path("/dev/shm")  # noqa: S108 (a folder of our own in it, which is looked at first)

Spec = dict[str, Any]


class Work:
    """The validation of one room on this host: its folder below the place of dgxcert."""

    def __init__(self, spec: Spec) -> None:
        self.place = Path(os.path.expanduser(spec["place"]))
        self.folder = self.place / "work" / spec["room"]
        self.results = self.place / "results" / spec["room"]
        self.log = self.folder / "log"
        self.exit, self.pid, self.stopped = self.folder / "exit", self.folder / "pid", self.folder / "stopped"
        self.lock = self.folder / "lock"

    def is_held(self) -> bool:
        """Whether a validation works."""
        try:
            with self.lock.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def exit_code(self) -> int | None:
        """The exit code of a validation that has ended; None where there is none."""
        try:
            return int(self.exit.read_text())
        except (OSError, ValueError):
            return None

    def newest(self) -> Path | None:
        """The newest run folder."""
        runs = sorted(path.parent for path in self.results.glob("*/records.jsonl"))
        return runs[-1] if runs else None

    def state(self) -> str:
        """Where it is: none, works, ended, died or stopped."""
        if not self.folder.is_dir():
            return "none"
        if self.is_held():
            return "works"
        if self.stopped.exists():
            return "stopped"
        if self.exit_code() is not None:
            return "ended"
        return "died" if self.pid.exists() else "none"

    def said(self) -> str:
        """The last line that it printed."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
                lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        except OSError:
            return ""
        return next((line for line in reversed(lines) if line), "")[:LINE]


def look(work: Work) -> dict[str, Any]:
    """What is known of the validation now."""
    run = work.newest()
    seen: dict[str, Any] = {"done": 0, "total": 0, "current": None, "left_s": None}
    if run is not None:
        seen = progress(run / "records.jsonl")
    return {
        "state": work.state(),
        "exit": work.exit_code(),
        **seen,
        "run": run.name if run else None,
        "said": work.said(),
        "at": datetime.now(UTC).isoformat(),
    }


def progress(record: Path) -> dict[str, Any]:
    """How far a run is by its record: what has ended of what is wanted, what is measured now, and the seconds left."""
    wanted: dict[str, float] = {}
    ended, current = set(), None
    with contextlib.suppress(OSError):
        for line in record.read_bytes().decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                event = json.loads(line)
                kind = event.get("event")
                if kind == "opened":
                    wanted = {
                        each["key"]: float(each.get("takes_s", 0.0))
                        for each in event["plan"]
                        if not each["not_applicable"] and not each["not_run"]
                    }
                elif kind == "started":
                    current = event["key"]
                elif kind == "finished":
                    ended.add(event["key"])
                    current = None if current == event["key"] else current
    left = sum(takes for key, takes in wanted.items() if key not in ended)
    return {
        "done": len(ended & set(wanted)),
        "total": len(wanted),
        "current": current,
        "left_s": round(left, 1) if wanted else None,
    }


def deliver(spec: Spec) -> dict[str, Any]:
    """Unpack the suite that was handed over, prove that it is the commit, and make its environment.

    Each step is done once: what is there and whole is left as it is.
    """
    place = Path(os.path.expanduser(spec["place"]))
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    (place / MARK).touch()
    suite = place / "suite" / spec["version"]
    if not (suite / ".git" / "dgxcert-delivered").exists():
        clone(Path(os.path.expanduser(spec["bundle"])), suite, spec["commit"])
    link = place / PYTHON
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(sys.executable)
    if not spec.get("environment"):
        make_environment(suite, spec)
    return {"state": "delivered", "suite": str(suite)}


def clone(bundle: Path, suite: Path, commit: str) -> None:
    """Make a clone of the bundle beside its place, and put it there once it is whole."""
    suite.parent.mkdir(parents=True, exist_ok=True)
    new = suite.with_name(suite.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(suite, ignore_errors=True)
    quiet = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    run(["git", "init", "-q", str(new)], quiet)
    git = ["git", "-C", str(new)]
    run([*git, "fetch", "-q", str(bundle), "refs/*:refs/delivered/*"], quiet)
    run([*git, "checkout", "-q", "--detach", commit], quiet)
    (new / ".git" / "dgxcert-delivered").touch()
    os.rename(new, suite)


def make_environment(suite: Path, spec: Spec) -> None:
    """The suite's own setup, with the Python that was found; from wheels that were handed over where there are some."""
    wheels = spec.get("wheels")
    env = {**os.environ, **folders(Path(os.path.expanduser(spec["place"])))}
    if wheels:
        env.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=os.path.expanduser(wheels))
    options = ["--venv", str(suite / ".venv"), "--stack", spec["stack"], "--runtime", spec["runtime"]]
    run([spec["python"], str(suite / "scripts" / "setup.py"), *options, "--profile", spec["profile"]], env, cwd=suite)


def run(args: list[str], env: dict[str, str], cwd: Path | None = None) -> None:
    """Run a program; ends this one with its last line where it fails."""
    try:
        done = subprocess.run(
            args,
            env=env,
            cwd=str(cwd) if cwd else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        fail(f"{args[0]} cannot be started: {error.strerror}")
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        said = (lines or ["it said nothing"])[-1][:LINE]
        fail(f"`{' '.join(args)[:LINE]}` failed: {said}")


def fail(problem: str) -> NoReturn:
    """Say what is wrong, in the words that the controller looks for, and end."""
    print(f"dgxcert wrong={problem}", flush=True)
    sys.exit(1)


def folders(place: Path) -> dict[str, str]:
    """Where programs that a validation starts keep what they would leave in the user's folders."""
    names = {
        "XDG_STATE_HOME": "state",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "MPLCONFIGDIR": "config/matplotlib",
        "TMPDIR": "tmp",
    }
    for name in names.values():
        (place / name).mkdir(parents=True, exist_ok=True)
    return {variable: str(place / name) for variable, name in names.items()}


def begin(work: Work, spec: Spec) -> dict[str, Any]:
    """Begin the validation, or go on with one that was stopped or died; one that works or has ended is left alone."""
    if work.state() in ("works", "ended"):
        return look(work)
    work.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    work.results.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = work.lock.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return look(work)
    old = work.newest()
    args = [at_home(word) for word in ([*spec["resume"], str(old)] if old is not None else spec["begin"])]
    for stale in (work.exit, work.stopped):
        with contextlib.suppress(FileNotFoundError):
            stale.unlink()
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        guard(work, spec, args, lock.fileno(), write)
    os.close(write)
    problem = os.read(read, 4096).decode(errors="replace")
    os.close(read)
    lock.close()
    if problem:
        fail(problem)
    return look(work)


def at_home(word: str) -> str:
    """A word in which `~` is this user's home, as a shell reads it."""
    return os.path.expanduser(word)


def guard(work: Work, spec: Spec, args: list[str], lock: int, said: int) -> NoReturn:
    """The process beside a validation: keeps its time limit, and writes its exit code."""
    os.setsid()
    code = LIMIT_EXIT
    try:
        own = {name: at_home(value) for name, value in spec["variables"].items()}
        env = {**os.environ, **folders(work.place), **own}
        with work.log.open("ab") as log:
            job = subprocess.Popen(
                args,
                cwd=at_home(spec["cwd"]),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
                preexec_fn=heed_signals,
            )
        work.pid.write_text(str(job.pid))
        quiet()
        os.close(said)
        code = wait(job, spec["limit_s"])
        new = work.exit.with_name("exit.new")
        new.write_text(str(code))
        os.replace(new, work.exit)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(said, f"{args[0]} cannot be started: {error}".encode())
    finally:
        os._exit(0)


def heed_signals() -> None:
    """A process that was started in the background ignores Ctrl-C: this one is stopped by it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def quiet() -> None:
    """Let go of the connection: it would stay open as long as this process has its output."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


def wait(job: "subprocess.Popen[bytes]", limit_s: float) -> int:
    """The exit code of a validation; beyond its time limit it is stopped as by Ctrl-C, then killed."""
    try:
        return job.wait(limit_s)
    except subprocess.TimeoutExpired:
        job.send_signal(signal.SIGINT)
    try:
        job.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        kill(job.pid)
    return LIMIT_EXIT


def stop(work: Work) -> dict[str, Any]:
    """Stop a validation as Ctrl-C would, and wait until it has closed its run."""
    if not work.is_held():
        return look(work)
    work.stopped.touch()
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(work.pid.read_text()), signal.SIGINT)
    if not is_free(work, GRACE_S):
        with contextlib.suppress(OSError, ValueError):
            kill(int(work.pid.read_text()))
        is_free(work, LAST_S)
    return look(work)


def is_free(work: Work, seconds: float) -> bool:
    """Whether a validation has ended within so many seconds."""
    end = time.monotonic() + seconds
    while work.is_held():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def kill(leader: int) -> None:
    """Kill a session with all its processes, in whatever group they are."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(name)) == leader or int(name) == leader:
                os.kill(int(name), signal.SIGKILL)


def archive_of(work: Work) -> Path:
    """Where a packed run lies: in memory, since a disk may be full; else below the place of dgxcert."""
    folder = SHM / f"dgxcert-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if folder.is_symlink() or about.st_uid != os.geteuid() or about.st_mode & 0o077:
            raise PermissionError(f"{folder} is somebody else's")
    except OSError:
        folder = work.place / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{work.folder.name}.tgz"


def pack(work: Work) -> dict[str, Any]:
    """Pack the newest run and what its validation printed."""
    path, run_folder = archive_of(work), work.newest()
    with tempfile.NamedTemporaryFile(dir=str(path.parent), delete=False) as file:
        try:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as packed:
                if run_folder is not None:
                    packed.add(str(run_folder), run_folder.name)
                if work.log.exists():
                    packed.add(str(work.log), "log.txt")
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    return {**look(work), "archive": str(path)}


def packed(work: Work) -> dict[str, Any]:
    """Where the packed run lies; it is packed again where it is not there any more."""
    path = archive_of(work)
    return {**look(work), "archive": str(path)} if path.is_file() else pack(work)


def clean(spec: Spec) -> dict[str, Any]:
    """Remove the folder of dgxcert, and what was packed; never one that dgxcert did not make, or where work goes on."""
    place = Path(os.path.expanduser(spec["place"]))
    work = Work(spec)
    with contextlib.suppress(OSError):
        archive_of(work).unlink()
    with contextlib.suppress(OSError):
        (SHM / f"dgxcert-{os.geteuid()}").rmdir()
    if not place.exists():
        return {"state": "none"}
    if not (place / MARK).is_file() or place.is_symlink():
        fail(f"{place} was not made by dgxcert, and is left as it is")
    busy = [
        lock.parent.name for lock in place.glob("work/*/lock") if Work({**spec, "room": lock.parent.name}).is_held()
    ]
    if busy:
        fail(f"a validation works there: {', '.join(busy)}")
    shutil.rmtree(place)
    return {"state": "none"}


def main() -> None:
    """Do what was asked, and print one JSON line."""
    verb, spec = sys.argv[1], json.loads(base64.b64decode(sys.argv[2]))
    work = Work(spec)
    verbs = {
        "deliver": lambda: deliver(spec),
        "begin": lambda: begin(work, spec),
        "look": lambda: look(work),
        "stop": lambda: stop(work),
        "pack": lambda: pack(work),
        "packed": lambda: packed(work),
        "clean": lambda: clean(spec),
    }
    try:
        print(json.dumps(verbs[verb]()), flush=True)
    except OSError as error:
        fail(f"{error.strerror}: {error.filename or ''}".rstrip(": "))


if __name__ == "__main__":
    main()
