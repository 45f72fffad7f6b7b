"""The work of action.yml: validate, then tell GitHub the verdict, the run folder and what did not pass.

It runs on the runner's Python, before any package is installed: the standard library only. What it reads of a run was
written by dgxcert; it is escaped all the same, since names and messages of a machine are in it. Exits 0 whatever the
verdict is, so that artifacts are kept: the last step of the action fails by the exit code that this one says.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CANNOT_START = 3
MOST_ANNOTATIONS = 10
"""GitHub shows ten errors and ten warnings of a step."""
SUMMARY_BYTES = 1_000_000
"""A step's summary may have 1 MiB; a larger one is not shown at all."""
RUN_BYTES = 64 * 1024**2
MESSAGE_CHARS = 500
LEVELS = {"failed": "error", "inconclusive": "warning"}


def main() -> None:
    """Validate, and say how that ended."""
    given = os.environ
    results = Path(given["RESULTS"]).expanduser().absolute()
    results.mkdir(parents=True, exist_ok=True)
    command = environment(given, results)
    before = _folders(results)
    code = run([*command, *arguments(given, results)]) if command else CANNOT_START
    folder, finished = own_run([results / name for name in sorted(_folders(results) - before)], code)
    verdict = str(finished.get("judgement", {}).get("verdict", ""))
    say("GITHUB_OUTPUT", f"verdict={plain(verdict)}\nrun={plain(str(folder or ''))}\nexit-code={code}\n")
    if not finished:
        print("::error title=dgxcert::The run could not start, or has no verdict of its own: read the log above.")
        say("GITHUB_STEP_SUMMARY", f"dgxcert could not validate this machine (exit code {code}); see the log.\n")
        return
    print("\n".join(annotations(finished)))
    if folder is not None and (folder / "summary.md").is_file():
        say("GITHUB_STEP_SUMMARY", (folder / "summary.md").read_text(encoding="utf-8")[: SUMMARY_BYTES // 4])


def environment(given: Mapping[str, str], results: Path) -> list[str]:
    """The `dgxcert` to run: of the environment that was named, or of one that is made here; empty where that fails."""
    if named := given.get("ENVIRONMENT", ""):
        return [str(Path(named).expanduser().absolute() / "bin" / "dgxcert")]
    # beside the results: a clean checkout would remove it, and it takes minutes to make again
    venv = results.with_name(f"{results.name}-environment-{re.sub(r'[^a-z0-9]', '-', given['STACK'])}")
    options = ["--venv", str(venv), "--stack", given["STACK"], "--profile", given["PROFILE"]]
    made = run([sys.executable, str(ROOT / "scripts" / "setup.py"), *options, "--runtime", given["RUNTIME"]])
    return [str(venv / "bin" / "dgxcert")] if made == 0 else []


def arguments(given: Mapping[str, str], results: Path) -> list[str]:
    """The arguments of `dgxcert`, each input one word of its own, whatever it holds.

    >>> arguments({"PROFILE": "auto", "TIER": "burn-in", "MINUTES": "60", "ONLY": "$(id)"}, Path("/r"))
    ['validate', '--profile=auto', '--tier=burn-in', '--results=/r', '--only=$(id)', '--minutes=60']
    """
    always = {"profile": given["PROFILE"], "tier": given["TIER"], "results": str(results)}
    minutes = given.get("MINUTES", "") if given["TIER"] == "burn-in" else ""
    chosen = {
        **{name: given.get(name.upper(), "") for name in ("only", "stack", "runtime")},
        "base": given.get("BASE_IMAGE", ""),
        "minutes": minutes,
    }
    words = {**always, **{name: value for name, value in chosen.items() if value}}
    return ["validate", *(f"--{name}={value}" for name, value in words.items())]


def run(command: list[str]) -> int:
    """Run a program with this output, pass on the signals of a cancelled job, and return its exit code."""
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        print(f"::error title=dgxcert::{escaped(f'{command[0]} cannot be started: {error.strerror}')}")
        return CANNOT_START
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: process.send_signal(received))
    code = process.wait()
    return code if code >= 0 else CANNOT_START


def own_run(new: Sequence[Path], code: int) -> tuple[Path | None, dict[str, Any]]:
    """The folder of the run that ended with an exit code, and its content where its verdict has that code.

    Other machines may have written to the same results meanwhile: no verdict is better than the one of another run.
    """
    read = [(folder, _run_of(folder)) for folder in new]
    fitting = [(folder, run) for folder, run in read if run and run["judgement"]["exit_code"] == code]
    if len(fitting) == 1:
        return fitting[0]
    return (new[0] if len(new) == 1 else None), {}


def annotations(finished: Mapping[str, Any]) -> list[str]:
    """One line for each requirement that failed or could not be measured, the failed first, and one of the verdict.

    >>> result = {"key": "DISK-SPACE", "outcome": "failed", "reason": "free is 3 GiB, required >= 60 GiB\\nmore"}
    >>> annotations({"judgement": {"verdict": "REJECTED"}, "results": [result]})[0]
    '::error title=DISK-SPACE::free is 3 GiB, required >= 60 GiB'
    """
    lines = []
    for outcome, level in LEVELS.items():
        found = [result for result in finished["results"] if result["outcome"] == outcome]
        for result in found[:MOST_ANNOTATIONS]:
            waived = "accepted by a waiver: " if result.get("waiver") else ""
            headline = (str(result["reason"]).strip().splitlines() or ["no reason was given"])[0]
            shown = "notice" if waived else level
            lines.append(f"::{shown} title={title(str(result['key']))}::{escaped(waived + headline)}")
        if more := found[MOST_ANNOTATIONS:]:
            lines.append(f"::{level} title=dgxcert::{len(more)} more {outcome}: see the summary")
    return [*lines, f"::notice title=dgxcert::{escaped(str(finished['judgement']['verdict']))}"]


def escaped(text: str) -> str:
    r"""The message of a workflow command, which ends at a line break and begins no other command.

    >>> escaped("100 %\n::stop-commands::x")
    '100 %25%0A::stop-commands::x'
    """
    printable = "".join(char if char.isprintable() or char in "\r\n" else "?" for char in text[:MESSAGE_CHARS])
    return printable.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def title(text: str) -> str:
    """A property of a workflow command, which ends at a colon or a comma.

    >>> title("DECODE-SPEED[bf16,x]")
    'DECODE-SPEED[bf16%2Cx]'
    """
    return escaped(text).replace(":", "%3A").replace(",", "%2C")


def plain(text: str) -> str:
    """The value of an output on one line, so that it declares no other output."""
    return "".join(char for char in text if char.isprintable())


def say(name: str, text: str) -> None:
    """Append a text to the file that GitHub reads after the step."""
    with open(os.environ[name], "a", encoding="utf-8") as file:
        file.write(text)


def _folders(results: Path) -> set[str]:
    """The names of the folders of runs; their names begin with the time of their start."""
    return {path.name for path in results.iterdir() if path.is_dir() and not path.is_symlink() and path.name[:1] == "2"}


def _run_of(folder: Path) -> dict[str, Any]:
    """The content of run.json; empty where there is none, or none that a run has written."""
    path = folder / "run.json"
    if path.is_symlink() or not path.is_file() or path.stat().st_size > RUN_BYTES:
        return {}
    try:
        run = dict(json.loads(path.read_text(encoding="utf-8")))
        return run if {"verdict", "exit_code"} <= run["judgement"].keys() and "results" in run else {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


if __name__ == "__main__":
    main()
