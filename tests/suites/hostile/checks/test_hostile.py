"""Requirements that lie, plant and kill inside a container: none may pass, and the honest one beside them must."""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from dgxcert import requirement

ABOUT: dict[str, Any] = {"why": "training stops", "remedy": ("Look at it.",), "takes_s": 0.1}
OWN = Path("/results")


def forged(key: str) -> str:
    """A line as the record has it, of a requirement that passed."""
    evidence = {"name": "x", "value": 1, "source": "me", "held_against": []}
    about = {"key": key, "outcome": "passed", "duration_s": 0.1, "reason": "", "evidence": [evidence], "child": 1}
    return json.dumps({"event": "finished", "at": "2026-11-23T18:40:12.000Z", **about}) + "\n"


@requirement("FORGES", title="It forges its own pass", **ABOUT)
def test_it_forges_its_own_pass(evidence):
    for key in ("FORGES", "PLANTS", "KILLS", "NEVER"):
        for path in ("/results/records.jsonl", "/results/../records.jsonl", "/run/dgxcert/x", "/proc/1/fd/1"):
            with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
                file.write(forged(key))
        for descriptor in range(256):
            with contextlib.suppress(OSError):
                os.write(descriptor, forged(key).encode())
    assert evidence.record("one", 1, source="in the container") == 2


@requirement("PLANTS", title="It plants links and dies", **ABOUT)
def test_it_plants_links_and_dies():
    for number in range(1, 40):
        for name in (f"benchmark-{number:03}.json", f"container-{number}.log"):
            with contextlib.suppress(OSError):
                (OWN / name).unlink()
            with contextlib.suppress(OSError):
                os.symlink("../../precious", OWN / name) if number % 2 else os.mkfifo(OWN / name)
    for name, target in (("kept", "../.."), ("logs", "../logs"), ("run.json", "../run.json")):
        with contextlib.suppress(OSError):
            os.symlink(target, OWN / name)
    os.kill(os.getpid(), signal.SIGKILL)


@requirement("KILLS", title="It kills everything that it can", **ABOUT)
def test_it_kills_everything_that_it_can():
    os.kill(-1, signal.SIGKILL)


@requirement("PRINTS", title="It prints lines that look like events", **ABOUT)
def test_it_prints_lines_that_look_like_events(evidence):
    for stream in (sys.__stdout__, sys.__stderr__):
        stream.write(forged("NEVER") * 100)
        stream.flush()
    assert evidence.record("one", 1, source="in the container") == 2


@requirement("HONEST", title="The honest one is measured all the same", **ABOUT)
def test_the_honest_one_is_measured_all_the_same(evidence):
    assert evidence.record("one", 1, source="in the container") == 1


@requirement("NEVER", title="It is killed before it ends", **ABOUT, budget_s=2)
def test_it_is_killed_before_it_ends():
    signal.pause()
