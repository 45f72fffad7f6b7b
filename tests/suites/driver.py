"""`python driver.py SUITE ARGUMENT...` runs the dgxcert command on one of the suites in this folder."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dgxcert import cli
from dgxcert.plan import catalogue, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.record import journal

SUITES = Path(__file__).parent
STARTS_S = ENDS_S = 120.0
"""Much longer than either takes, so that no test fails on a busy machine."""


def start(
    name: str, *arguments: object, asks: str = "", pids: str = os.devnull, machine: str = ""
) -> "subprocess.Popen[str]":
    """Start `dgxcert ARGUMENT...` on a suite of this folder; `asks` and `pids` are for that suite's checks.

    Only runs with the same `machine`, a folder for temporary files, keep each other from measuring.
    """
    if arguments[0] == "validate" and not {"--resume", "--runtime"} & set(arguments):
        arguments = (*arguments, "--runtime", "native")  # these suites are in no image
    return subprocess.Popen(
        [sys.executable, __file__, str(SUITES / name), *map(str, arguments)],
        env={
            **os.environ,
            "DGXCERT_TEST_ASKS": asks,
            "DGXCERT_TEST_PIDS": pids,
            "TMPDIR": machine or tempfile.mkdtemp(prefix="m-"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(name: str, *arguments: object, asks: str = "", pids: str = os.devnull) -> "subprocess.CompletedProcess[str]":
    """Run `dgxcert ARGUMENT...` on a suite of this folder to its end; returns exit code and output."""
    process = start(name, *arguments, asks=asks, pids=pids)
    try:
        printed, _ = process.communicate(timeout=ENDS_S)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, printed)


def only_run(results: Path) -> Path:
    """The only run folder in a results folder."""
    (folder,) = (path for path in results.iterdir() if path.is_dir())
    return folder


def wait_until_measuring(results: Path, key: str, times: int = 1) -> Path:
    """Wait until a requirement is being measured, for that many times; returns the run folder."""
    deadline = time.monotonic() + STARTS_S
    while time.monotonic() < deadline:
        for record in results.glob(f"*/{journal.NAME}"):
            if record.read_text(encoding="utf-8").count(f'"started","key":"{key}"') >= times:
                return record.parent
        time.sleep(0.02)
    raise TimeoutError(f"{key} was not started within {STARTS_S:.0f} s")


def wait_for_message(folder: Path, text: str) -> None:
    """Wait until a requirement has reported a message."""
    deadline = time.monotonic() + STARTS_S
    while f'"text":"{text}"' not in (folder / journal.NAME).read_text(encoding="utf-8"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{text!r} was not reported within {STARTS_S:.0f} s")
        time.sleep(0.02)


def all_end(pids: list[int], within_s: float = 5.0) -> bool:
    """Whether all of these processes end within `within_s`; a zombie has ended."""
    deadline = time.monotonic() + within_s
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def remember_collections(folder: Path) -> None:
    """Keep in this folder what is collected, by the files of a suite: a run collects twice, in a process each time."""
    collect = suite.collect

    def remembered(where: Path, gpus: int, without: tuple[int, ...] = (), own: Path | None = None) -> list[Entry]:
        folders = [own] if own else [where / name for name in suite.FOLDERS]
        files = sorted(path for each in folders for path in each.rglob("*") if path.suffix != ".pyc")
        told = [repr((where, gpus, without, own, os.environ.get("DGXCERT_TEST_ASKS")))]
        told += [f"{path} {path.read_bytes()!r}" for path in files if path.is_file()]
        path = folder / f"{hashlib.sha256(chr(10).join(told).encode()).hexdigest()}.json"
        if not path.exists():
            part = path.with_name(f"{path.name}.{os.getpid()}")
            catalogue.write(collect(where, gpus, without=without, own=own), part)
            part.replace(path)
        return catalogue.read(path)

    suite.collect = remembered


if __name__ == "__main__":
    where = Path(sys.argv.pop(1)).resolve()
    suite.root = lambda: where
    if kept := os.environ.get("DGXCERT_TEST_COLLECTED"):
        remember_collections(Path(kept))
    cli.main()
