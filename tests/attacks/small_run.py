"""A whole run of four fast requirements, for attacks on what a run does when something ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attacks.attack import TRACEBACK, Ending, Harm, Try, typed
from suites import driver, example

LIMIT_S = 60
KEYS = {"FIRST", "LONG", "DISK", "LAST"}


@dataclass
class SmallRun:
    """Commands on the suite `calm`, with a results folder, a TMPDIR and a mark of their own."""

    folder: Path
    asks: str = ""
    """What the suite's checks are asked to do, such as `sleep`."""
    results: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results = self.folder / "results"
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.profile = example.profile_file(self.folder)

    @property
    def environment(self) -> dict[str, str]:
        """The mark is TMPDIR: every process of the run inherits it."""
        return {"DGXCERT_TEST_ASKS": self.asks, "DGXCERT_TEST_PIDS": os.devnull, "TMPDIR": str(self.temporary)}

    @property
    def new(self) -> list[str | Path]:
        """The words of a new run."""
        return ["validate", "--profile", self.profile, "--runtime", "native", "--results", self.results]

    def words(self, *words: str | Path) -> list[str]:
        """The whole command line."""
        return [sys.executable, driver.__file__, str(driver.SUITES / "calm"), *map(str, words)]

    def typed(self, *words: str | Path) -> Ending:
        """Type a command and wait for its end."""
        return typed(self.words(*words), folder=self.folder, limit_s=LIMIT_S, **self.environment)

    def start(self, *words: str | Path, output: Path | None = None) -> "subprocess.Popen[bytes]":
        """Start a command; its output goes to a file."""
        return self._start(self.words(*words), output)

    def start_installed(self, *words: str | Path) -> "subprocess.Popen[bytes]":
        """Start a command on the suite that ships, as a person types it."""
        return self._start([sys.executable, "-m", "dgxcert", *map(str, words), "--results", str(self.results)], None)

    def _start(self, words: list[str], output: Path | None) -> "subprocess.Popen[bytes]":
        with (output or self.folder / "output").open("wb") as file:
            return subprocess.Popen(
                words,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, process: "subprocess.Popen[bytes]", output: Path | None = None) -> Ending:
        """Wait for a started command."""
        try:
            returncode: int | None = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            returncode = None
        shown = (output or self.folder / "output").read_bytes()
        return Ending(returncode, shown.decode("utf-8", errors="replace"))

    def run_folder(self) -> Path | None:
        """The folder of the only run, where there is one."""
        folders = [path for path in self.results.iterdir() if path.is_dir()] if self.results.is_dir() else []
        return folders[0] if folders else None

    def processes(self) -> dict[int, str]:
        """The processes of this run that live, with their command lines."""
        mark = f"TMPDIR={self.temporary}".encode()
        found = {}
        for place in Path("/proc").iterdir():
            if not place.name.isdigit() or int(place.name) == os.getpid():
                continue
            try:
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
            except OSError:
                continue
        return found

    def left_behind(self, within_s: float = 5.0) -> str:
        """What a run that has ended left: processes, temporary files; "" where nothing."""
        until = time.monotonic() + within_s
        while (alive := self.processes()) and time.monotonic() < until:
            time.sleep(0.05)
        if alive:
            return f"processes: {alive}"
        kept = [path.name for path in self.temporary.iterdir() if not path.name.startswith(("pytest-of-", "dgxcert-m"))]
        half = [path.name for path in self.results.rglob("*.new")] if self.results.is_dir() else []
        return f"files: {kept + half}" if kept or half else ""


def events(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of a record."""
    try:
        lines = (folder / "records.jsonl").read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    return [json.loads(line) for line in lines if line]


def resumed(name: str, small: SmallRun, before: list[dict[str, Any]]) -> Try:
    """Resume a run that was cut short: it comes to its end, and nothing that was recorded is lost or changed."""
    small.asks = ""
    folder = small.run_folder()
    if folder is None or not before:
        return Try(name)
    ending = small.typed("validate", "--resume", folder)
    if ending.returncode is None:
        return Try(name, Harm.HANG, ending.output[-2000:])
    if TRACEBACK in ending.output:
        return Try(name, Harm.TRACEBACK, ending.output[-3000:])
    after = events(folder)
    if after[: len(before)] != before:
        return Try(name, Harm.WRONG, "what was recorded before is no longer the beginning of the record")
    results = json.loads((folder / "run.json").read_text(encoding="utf-8"))["results"]
    outcomes = {result["key"]: result["outcome"] for result in results}
    if outcomes != dict.fromkeys(KEYS, "passed"):
        return Try(name, Harm.WRONG, f"{outcomes}\n{ending.output[-2000:]}")
    if left := small.left_behind():
        return Try(name, Harm.WRONG, f"left behind: {left}")
    return Try(name)
