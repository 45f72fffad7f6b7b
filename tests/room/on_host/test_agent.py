"""The agent on a host: begins once, tells how far it is, stops as Ctrl-C would, packs, removes only what is ours."""

import base64
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dgxcert.room.on_host import agent

PROGRAM = Path(agent.__file__)
SLEEPER = """
import json, os, signal, sys, time
from pathlib import Path
results, seconds = Path(sys.argv[1]), float(sys.argv[2])
run = Path(sys.argv[3]) if len(sys.argv) > 3 else results / "2026-12-01T02-00-00Z-host"
run.mkdir(parents=True, exist_ok=True)
ended = []
def closes(*_):
    (run / "closed").touch()
    sys.exit(2)
signal.signal(signal.SIGINT, closes)
with (run / "records.jsonl").open("a") as record:
    plan = [{"key": key, "takes_s": 5, "not_applicable": "", "not_run": ""} for key in ("A", "B")]
    of_a = [{"event": kind, "key": "A"} for kind in ("started", "finished")]
    for event in ({"event": "opened", "plan": plan}, *of_a):
        record.write(json.dumps(event) + "\\n")
print("A passed", flush=True)
(run / "begun").open("a").write("x")
time.sleep(seconds)
"""


class Host:
    """A place on this computer, and the agent's answers about it."""

    def __init__(self, folder: Path) -> None:
        self.place, self.results = folder / "place", folder / "place" / "results" / "room"
        (folder / "sleeper.py").write_text(SLEEPER)
        self.spec: dict[str, Any] = {
            "place": str(self.place),
            "room": "room",
            "cwd": "/",
            "variables": {},
            "limit_s": 60,
        }
        self.takes(0)

    def takes(self, seconds: float) -> None:
        """The validation that is begun takes so long."""
        words = [sys.executable, str(self.place.parent / "sleeper.py"), str(self.results), str(seconds)]
        self.spec |= {"begin": words, "resume": words}

    def ask(self, verb: str) -> dict[str, Any]:
        """The answer to one question."""
        answer = self.run(verb)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        content = json.loads(answer.stdout)
        assert isinstance(content, dict)
        return content

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, str(PROGRAM), verb, base64.b64encode(json.dumps(self.spec).encode()).decode()]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    def until(self, state: str) -> dict[str, Any]:
        """Look until it is in that state."""
        end = time.monotonic() + 30
        while (seen := self.ask("look"))["state"] != state:
            assert time.monotonic() < end, seen
            time.sleep(0.05)
        return seen

    def pid(self) -> int:
        return int((self.place / "work" / "room" / "pid").read_text())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.run("stop")


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nothing_was_begun_where_nothing_is(host: Host) -> None:
    assert host.ask("look")["state"] == "none"
    assert host.ask("stop")["state"] == "none"


def test_it_works_and_ends_with_its_exit_code(host: Host) -> None:
    host.takes(600)
    assert host.ask("begin")["state"] == "works"
    until(lambda: host.ask("look")["done"] == 1)
    seen = host.ask("look")
    assert (seen["done"], seen["total"], seen["left_s"], seen["said"]) == (1, 2, 5.0, "A passed")
    os.kill(host.pid(), signal.SIGINT)
    assert host.until("ended")["exit"] == 2


def test_what_works_or_has_ended_is_not_begun_again(host: Host) -> None:
    host.takes(600)
    host.ask("begin")
    until(lambda: (host.results / "2026-12-01T02-00-00Z-host" / "begun").exists())
    first = host.pid()
    assert host.ask("begin")["state"] == "works"
    assert host.pid() == first
    os.kill(first, signal.SIGINT)
    host.until("ended")
    assert host.ask("begin")["state"] == "ended"
    assert (host.results / "2026-12-01T02-00-00Z-host" / "begun").read_text() == "x"


def test_stop_lets_it_close_its_run_and_a_second_begin_goes_on_with_it(host: Host) -> None:
    host.takes(600)
    host.ask("begin")
    run = host.results / "2026-12-01T02-00-00Z-host"
    until((run / "begun").exists)
    assert host.ask("stop")["state"] == "stopped"
    assert (run / "closed").exists()
    host.takes(0)
    host.ask("begin")
    host.until("ended")
    assert (run / "begun").read_text() == "xx"
    assert len(list(host.results.iterdir())) == 1


def test_one_that_was_killed_has_died_and_goes_on_later(host: Host) -> None:
    host.takes(600)
    host.ask("begin")
    until((host.results / "2026-12-01T02-00-00Z-host" / "begun").exists)
    guard = int(Path(f"/proc/{host.pid()}/stat").read_text().split(")")[1].split()[1])
    os.kill(guard, signal.SIGKILL)
    assert host.ask("look")["state"] == "works", "the validation itself still holds the lock"
    os.kill(host.pid(), signal.SIGKILL)
    assert host.until("died")["exit"] is None
    host.takes(0)
    host.ask("begin")
    assert host.until("ended")["exit"] == 0


def test_a_time_limit_ends_it(host: Host) -> None:
    host.takes(600)
    host.spec["limit_s"] = 1.0
    host.ask("begin")
    assert host.until("ended")["exit"] == agent.LIMIT_EXIT
    assert (host.results / "2026-12-01T02-00-00Z-host" / "closed").exists()


def test_a_program_that_is_not_there_is_named(host: Host) -> None:
    host.spec["begin"] = ["/nowhere/python", "-m", "dgxcert"]
    answer = host.run("begin")
    assert answer.returncode == 1
    assert "dgxcert wrong=/nowhere/python cannot be started" in answer.stdout


def test_what_it_starts_keeps_its_folders_in_the_place(host: Host) -> None:
    program = host.place.parent / "shows.py"
    program.write_text("import os, json; print(json.dumps(dict(os.environ)))")
    host.spec |= {"begin": [sys.executable, str(program)], "variables": {"PYTHONPATH": "~/x"}}
    host.ask("begin")
    host.until("ended")
    env = json.loads((host.place / "work" / "room" / "log").read_text())
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "TMPDIR"):
        assert env[name].startswith(str(host.place))
    assert env["PYTHONPATH"] == os.path.expanduser("~/x")


def test_a_run_is_packed_with_what_it_printed(host: Host) -> None:
    host.ask("begin")
    host.until("ended")
    archive = Path(host.ask("pack")["archive"])
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
    assert {"2026-12-01T02-00-00Z-host/records.jsonl", "log.txt"} <= names
    assert host.ask("packed")["archive"] == str(archive)
    (host.place / agent.MARK).touch()
    host.ask("clean")
    assert not archive.exists()


def test_clean_removes_the_place_and_nothing_else(host: Host) -> None:
    host.ask("begin")
    host.until("ended")
    (host.place / agent.MARK).touch()
    host.ask("clean")
    assert not host.place.exists()
    assert host.ask("clean")["state"] == "none"


def test_clean_leaves_a_folder_that_is_not_ours_and_work_that_goes_on(host: Host) -> None:
    host.takes(600)
    host.ask("begin")
    answer = host.run("clean")
    assert "was not made by dgxcert" in answer.stdout
    (host.place / agent.MARK).touch()
    answer = host.run("clean")
    assert (answer.returncode, "a validation works there: room" in answer.stdout) == (1, True)
    assert host.place.exists()


@pytest.mark.parametrize("line", ["", "{", "[]", "null", '{"event": "opened"}', '{"event": "started"}', '{"event": 1}'])
def test_a_record_that_is_torn_is_read_as_far_as_it_goes(line: str, tmp_path: Path) -> None:
    plan = [{"key": "A", "takes_s": 2, "not_applicable": "", "not_run": ""}]
    lines = [json.dumps({"event": "opened", "plan": plan}), line, json.dumps({"event": "started", "key": "A"})]
    (tmp_path / "records.jsonl").write_text("\n".join(lines))
    seen = agent.progress(tmp_path / "records.jsonl")
    assert (seen["total"], seen["current"], seen["left_s"]) == (1, "A", 2.0)


def git(*words: object) -> str:
    return subprocess.run(["git", *map(str, words)], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, str]:
    """A repository of one commit as a file."""
    source = tmp_path / "source"
    git("init", "-q", source)
    (source / "file").write_text("content")
    git("-C", source, "add", "file")
    git("-C", source, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    commit = git("-C", source, "rev-parse", "HEAD")
    git("-C", source, "update-ref", "refs/dgxcert/room", commit)
    git("-C", source, "bundle", "create", "-q", tmp_path / "suite.bundle", "refs/dgxcert/room")
    return tmp_path / "suite.bundle", commit


def test_the_suite_is_delivered_as_its_commit_once(host: Host, bundle: tuple[Path, str]) -> None:
    path, commit = bundle
    host.spec |= {"bundle": str(path), "commit": commit, "version": commit[:16], "environment": "/prepared"}
    suite = Path(host.ask("deliver")["suite"])
    assert git("-C", suite, "rev-parse", "HEAD") == commit
    assert (suite / "file").read_text() == "content"
    before = suite.stat().st_ino
    path.unlink()
    host.ask("deliver")
    assert suite.stat().st_ino == before


def test_half_a_clone_is_made_again(host: Host, bundle: tuple[Path, str]) -> None:
    path, commit = bundle
    host.spec |= {"bundle": str(path), "commit": commit, "version": commit[:16], "environment": "/prepared"}
    torn = host.place / "suite" / commit[:16]
    torn.mkdir(parents=True)
    (torn / "half").touch()
    host.ask("deliver")
    assert sorted(each.name for each in torn.iterdir()) == [".git", "file"]


def test_a_bundle_without_the_commit_is_named(host: Host, bundle: tuple[Path, str]) -> None:
    path, _ = bundle
    host.spec |= {"bundle": str(path), "commit": "0" * 40, "version": "0" * 16, "environment": "/prepared"}
    answer = host.run("deliver")
    assert answer.returncode == 1
    assert "dgxcert wrong=`git" in answer.stdout
    assert not (host.place / "suite" / ("0" * 16)).exists()
