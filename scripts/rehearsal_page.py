"""The page docs/rehearsal.md: a kept rehearsal, as today's code prints it on a terminal of 80 columns and in a pipe.

`make docs` writes the page from what the rehearsal measured, so that it never shows words that are gone. `--record`
makes two rehearsals, in a terminal of tmux and in a pipe, names each line that was seen and that the page would tell
otherwise, and keeps the second.
"""

import argparse
import contextlib
import difflib
import io
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import replayed_run
from rich.console import Console

from dgxcert.console import PlainConsole, print_line
from dgxcert.container import engine
from dgxcert.profiles import profile as profiles
from dgxcert.record.run import Run
from dgxcert.report import terminal
from dgxcert.runner import validation
from dgxcert.runner.progress import ECHO, Progress

ROOT = Path(__file__).resolve().parents[1]
KEPT = replayed_run.MEASUREMENTS / "2026-11-30-rehearsal"
SHARES = (0.25, 0.5, 0.75)
ENGINE = ("/usr/bin/docker", ("/usr/bin/docker", "compose"), "unix:///var/run/docker.sock")
"""Clients and endpoint that the page names, whatever this machine has."""
COLUMNS, ROWS = 80, 24
LOOKS_S = 20.0
LONGEST_S = 1800.0
MOST_PIPED, MOST_SHOWN = 100, 40
"""Lines of a rehearsal in a pipe, and on a terminal after its end."""
LIVE_LINE = re.compile(r"\S (\d+)/(\d+) · about [^·]+ left · (?:host|image|container|native|after) · \S.*")
LENGTH = tuple("123456789")
"""A line that begins with a number tells in a pipe how much is to be measured."""
PRIVATE = re.compile(r"/(?:tmp|work|root|home)/[^\s\"':,;]*?(?=/\.venv|/inside|[\s\"':,;])")
CALLED = "laptop"
"""The name that the page gives to the machine."""
UNSET = ("CI", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "DGXCERT_RESULTS")


def page() -> str:
    """The whole page."""
    kept = replayed_run.read(KEPT)
    screen = shown(kept, COLUMNS, terminal_=True)
    container = " RUNTIME=docker" if kept["options"]["runtime"] == "docker" else ""
    return f"""# A rehearsal

`make rehearse{container}` on two shared cores without a GPU, as it is printed {COLUMNS} columns wide. `make docs` makes this
page of a run that [is kept](measurements/{KEPT.name}/README.md), and a test compares the two.

## On a terminal

While it runs, one line tells how far the whole run is, how long it still takes, and what is measured. At a quarter, at the
half and at three quarters of it:

```
{_lines(live(kept))}
```

Nothing stays of what passed; what does not pass gets a line at once. After the end the screen has {len(screen)} lines:

```
{_lines(screen)}
```

`-v` shows every requirement with what was measured and required, `-q` only what did not pass and the verdict.

## In a pipe, or in the log of CI

Each requirement has one line once its last case has ended; what does not pass has one at once. No line is wrapped or cut, so
that all can be searched. With `-q` each group has one line.

```
{_lines(shown(kept, COLUMNS, terminal_=False))}
```
"""  # noqa: E501 (lines of the page)


def _lines(lines: list[str]) -> str:
    return "\n".join(lines)


def live(kept: dict[str, Any]) -> list[str]:
    """The live line at each of SHARES of a run, as wide as the terminal."""
    measured = replayed_run.endings(kept)
    whole_s = measured[-1].began_s + measured[-1].took_s - measured[0].began_s
    seen: dict[float, str] = {}

    def look(now_s: float, progress: Progress) -> None:
        for share in SHARES:
            if now_s >= share * whole_s:
                seen.setdefault(share, progress.line)

    planned = replayed_run.plan(kept, replayed_run.catalogue())
    replayed_run.play(kept, planned, {}, Console(file=io.StringIO()), look)
    lines = [f"⠋ {seen[share]}" for share in SHARES]
    most = COLUMNS - ECHO
    return [line if len(line) <= most else f"{line[: most - 1]}…" for line in lines]


def shown(kept: dict[str, Any], columns: int, *, terminal_: bool, folder: Path | None = None) -> list[str]:
    """What `dgxcert validate` prints in this checkout about a run, as far as it stays on the screen.

    Without a folder it is called as a user's, and said to hold a report, as after a run.
    """
    run = loaded(kept)
    place = folder or Path("results") / run.name
    written = io.StringIO()
    console = PlainConsole(
        file=written,
        width=columns,
        force_terminal=terminal_,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with _engine():
        print_line(console, validation.heading(run.options, run.profile, place, brief=terminal_))
    for line in _progress(kept):
        if not (terminal_ and line.lstrip().startswith(("PASSED", *LENGTH))):
            print_line(console, line)
    report = place / "report.html"
    there = mock.patch.object(Path, "exists", lambda path: path == report or os.path.exists(path))
    with contextlib.chdir(ROOT), contextlib.nullcontext() if folder else there:
        terminal.show(run, console, str(place), here=terminal.Here())
    return on_screen(written.getvalue(), columns if terminal_ else None)


@contextlib.contextmanager
def _engine() -> Iterator[None]:
    """The engine that the page names."""
    names = ("docker", "compose", "endpoint")
    with contextlib.ExitStack() as patched:
        for name, value in zip(names, ENGINE, strict=True):
            patched.enter_context(mock.patch.object(engine, name, lambda value=value: value))
        yield


def _progress(kept: dict[str, Any]) -> list[str]:
    """The lines that are printed in a pipe while a run goes on; on a terminal those about what passed are not."""
    written = io.StringIO()
    planned = replayed_run.plan(kept, replayed_run.catalogue())
    replayed_run.play(kept, planned, {}, Console(file=written, width=COLUMNS))
    return written.getvalue().splitlines()


def on_screen(text: str, columns: int | None) -> list[str]:
    """The lines that a terminal of so many columns shows of a text; those of the text itself where there is none."""
    lines = text.rstrip("\n").split("\n")
    if columns is None:
        return lines
    return [line[at : at + columns].rstrip() for line in lines for at in range(0, max(len(line), 1), columns)]


def loaded(kept: dict[str, Any]) -> Run:
    """A kept run with today's profile in place of its own."""
    profile = profiles.load(kept["profile"]["name"]).model_dump(mode="json")
    return Run.model_validate_json(json.dumps(kept | {"profile": profile}))


def record(command: list[str]) -> None:
    """Rehearse in a terminal and in a pipe, compare what was printed with what the page says, and keep the second."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-rehearsal-") as place:
        screen = in_tmux([*command, f"RESULTS={place}/terminal"])
        compare(next(Path(place, "terminal").iterdir()), screen, terminal_=True)
        piped = [*command, f"RESULTS={place}/pipe"]
        done = subprocess.run(piped, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
        folder = next(Path(place, "pipe").iterdir())
        compare(folder, done.stdout.rstrip("\n").split("\n"), terminal_=False)
        keep(folder, f"{place}/pipe")


def environment() -> dict[str, str]:
    """The environment of a rehearsal: without what would change it on the machine that records."""
    return {name: value for name, value in os.environ.items() if name not in UNSET} | {"COLUMNS": str(COLUMNS)}


def in_tmux(command: list[str]) -> list[str]:
    """Run a command in a terminal of tmux, and print its live line at times; returns the screen at the end."""
    server = ["tmux", "-L", f"dgxcert-{os.getpid()}"]
    env = {name: value for name, value in environment().items() if name not in ("COLUMNS", "TMUX")}
    size = ["-x", str(COLUMNS), "-y", str(ROWS)]
    begun = time.monotonic()
    typed = f"clear; {' '.join(command)}; echo ended; sleep 999"
    subprocess.run([*server, "new-session", "-d", "-s", "r", *size, typed], cwd=ROOT, env=env, check=True)
    try:
        while time.monotonic() - begun < LONGEST_S:
            time.sleep(LOOKS_S)
            lines = _captured(server)
            if lines[-1] == "ended":
                return lines[:-1]
            print(lines[-1], flush=True)
        raise SystemExit(f"the rehearsal did not end within {LONGEST_S:.0f} s")
    finally:
        subprocess.run([*server, "kill-server"], check=False)


def _captured(server: list[str]) -> list[str]:
    capture = [*server, "capture-pane", "-p", "-t", "r", "-S", "-"]
    done = subprocess.run(capture, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n").split("\n")


def compare(folder: Path, seen: list[str], *, terminal_: bool) -> None:
    """Print each line that was seen of a run and that the page would tell otherwise."""
    told = shown(replayed_run.read(folder), COLUMNS, terminal_=terminal_, folder=folder)
    difference = list(difflib.unified_diff(told, seen, "by the page", "seen", lineterm="", n=0))
    print("\n".join(difference) or f"{len(seen)} lines were seen, the very ones that the page would say")


def keep(folder: Path, results: str) -> None:
    """Keep a run without the names of this machine."""
    text = (folder / "run.json").read_text(encoding="utf-8")
    text = text.replace(folder.name, folder.name.replace(socket.gethostname(), CALLED)).replace(results, "results")
    kept = json.loads(re.sub(PRIVATE, "~/dgxcert", text))
    kept["machine"] |= {"hostname": CALLED, "boot_id": None}
    kept["results"] = [result | {"log": None} for result in kept["results"]]
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "run.json").write_text(f"{json.dumps(kept, ensure_ascii=False, indent=0)}\n", encoding="utf-8")
    print(f"{kept['judgement']['verdict']}, kept in {KEPT}")


def main() -> None:
    """Write the page, or record two rehearsals before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="rehearse twice, in tmux and in a pipe; ten minutes")
    parser.add_argument("command", nargs="*", default=["make", "rehearse"], help="how a rehearsal is started")
    options = parser.parse_args()
    if options.record:
        record(options.command)
    (ROOT / "docs" / "rehearsal.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
