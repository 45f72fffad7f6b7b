"""The agent on a host: what works goes on without its controller, ends as asked, and nothing of it is left."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dgxcert.room.on_host import agent

ROOM = "2026-12-01T02-00-00Z-room"
RECORD = (
    {"at": "2026-12-01T02:00:00.000Z", "event": "opened", "plan": [{"key": "A", "takes_s": 3.0, "not_run": ""}]},
    {"at": "2026-12-01T02:00:01.000Z", "event": "started", "key": "A"},
)
VALIDATION = """
import os, signal, sys, time
from pathlib import Path
results = Path(sys.argv[sys.argv.index("--results") + 1] if "--results" in sys.argv else sys.argv[-1])
(Path.cwd() / "arguments").open("a").write(" ".join(sys.argv[1:]) + "\\n")
run = results / "run" if "--results" in sys.argv else results
run.mkdir(parents=True, exist_ok=True)
(run / "records.jsonl").write_text(os.environ["RECORD"])
print("it works", os.environ["HF_HOME"], flush=True)
WHAT
"""
STUBBORN = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    (Path.cwd() / "orphan").write_text(str(os.getpid()))
time.sleep(300)
"""


class Agent:
    """The agent with the folder of a host, and a validation that does what a test wants."""

    def __init__(self, tmp_path: Path) -> None:
        self.place = tmp_path / "dgxcert-room"
        self.place.mkdir()
        (self.place / agent.MARKER).touch()
        self.folder, self.results = self.place / "work" / ROOM, self.place / "results" / ROOM
        self.program = tmp_path / "validation.py"

    def run(self, verb: str, *more: str, room: str = ROOM) -> "subprocess.CompletedProcess[str]":
        args = [sys.executable, agent.__file__, verb, str(self.place), *([room] if room else []), *more]
        record = "\n".join(json.dumps(line, separators=(",", ":")) for line in RECORD)
        env = {**os.environ, "RECORD": record}
        return subprocess.run(args, capture_output=True, text=True, timeout=60, check=False, env=env)

    def ask(self, verb: str, *more: str, room: str = ROOM) -> dict[str, Any]:
        done = self.run(verb, *more, room=room)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def begin(self, what: str, *options: str) -> dict[str, Any]:
        self.program.write_text(VALIDATION.replace("WHAT", what))
        program = [sys.executable, str(self.program), "validate", "--results", str(self.results)]
        return self.ask("begin", *options, "--", *program)

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + 20
        while not condition(answer := self.ask("look")):
            assert time.monotonic() < end, answer
            time.sleep(0.05)
        return answer


@pytest.fixture
def host(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def test_what_was_begun_is_seen_to_work_and_to_end(host: Agent) -> None:
    assert host.ask("look")["state"] == "none"
    assert host.begin("time.sleep(1); sys.exit(2)")["state"] == "works"
    seen = host.until(lambda answer: answer["current"] == "A")
    assert (seen["state"], seen["done"], seen["total"], seen["run"]) == ("works", 0, 1, "run")
    assert 0 <= seen["left_s"] <= 3
    ended = host.until(lambda answer: bool(answer["state"] != "works"))
    assert (ended["state"], ended["exit"], ended["current"]) == ("ended", 2, None)
    assert ended["said"] == f"it works {host.place}/cache/huggingface"


def test_it_is_begun_once_and_not_again_once_it_has_ended(host: Agent) -> None:
    host.begin("time.sleep(1)")
    host.begin("time.sleep(1)")
    host.until(lambda answer: answer["state"] == "ended")
    assert host.begin("sys.exit(1)")["state"] == "ended"
    assert len((host.folder / "arguments").read_text().splitlines()) == 1


def test_what_could_not_start_is_begun_again(host: Agent) -> None:
    host.begin("(run / 'records.jsonl').unlink(); print('no GPU'); sys.exit(3)")
    assert host.until(lambda answer: answer["state"] == "ended")["said"] == "no GPU"
    host.begin("sys.exit(0)")
    assert host.until(lambda answer: answer["state"] == "ended")["exit"] == 0


def test_stopping_is_ctrl_c_and_the_next_call_resumes(host: Agent) -> None:
    host.begin("try: time.sleep(300)\nexcept KeyboardInterrupt: print('interrupted'); sys.exit(2)")
    host.until(lambda answer: answer["current"] == "A")
    stopped = host.ask("stop")
    assert (stopped["state"], stopped["exit"], stopped["said"]) == ("stopped", 2, "interrupted")
    host.begin("sys.exit(0)")
    assert host.until(lambda answer: answer["state"] == "ended")["exit"] == 0
    assert (host.folder / "arguments").read_text().splitlines()[
        1
    ] == f"validate --resume {host.place}/results/{ROOM}/run"


def test_what_does_not_end_is_killed_with_all_that_it_started(host: Agent) -> None:
    host.begin(STUBBORN, "--grace-s", "0.3")
    host.until(lambda _: (host.folder / "orphan").exists())
    orphan = int((host.folder / "orphan").read_text())
    assert host.ask("stop", "--grace-s", "0.3")["state"] == "stopped"
    assert not Path(f"/proc/{orphan}").exists()


def test_the_time_limit_ends_it(host: Agent) -> None:
    host.begin("time.sleep(300)", "--limit-s", "0.5", "--grace-s", "2")
    ended = host.until(lambda answer: answer["state"] == "ended")
    assert ended["exit"] == agent.TIME_IS_UP
    assert "time limit" in ended["said"]


def test_a_killed_guardian_takes_its_validation_with_it(host: Agent) -> None:
    host.begin("time.sleep(300)")
    host.until(lambda answer: answer["current"] == "A")
    os.kill(int((host.folder / "pid").read_text()), signal.SIGKILL)
    assert host.until(lambda answer: answer["state"] != "works")["state"] == "died"


def test_a_program_that_is_not_there_is_said(host: Agent) -> None:
    host.ask("begin", "--", "/nowhere/dgxcert", "validate")
    ended = host.until(lambda answer: answer["state"] == "ended")
    assert (ended["exit"], ended["said"]) == (
        3,
        "dgxcert: /nowhere/dgxcert cannot be started: No such file or directory",
    )


def test_results_and_output_are_packed_without_links(host: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    host.begin("(run / 'link').symlink_to('/etc/passwd'); sys.exit(0)")
    host.until(lambda answer: answer["state"] == "ended")
    packed = host.ask("pack")
    with tarfile.open(packed["archive"]) as archive:
        names = set(archive.getnames())
    assert {"log", "results/run/records.jsonl"} <= names
    assert "results/run/link" not in names
    assert packed["size"] == Path(packed["archive"]).stat().st_size
    assert host.ask("packed")["sha256"] == packed["sha256"]
    host.ask("forget")
    assert host.run("packed").stderr == "dgxcert wrong=nothing was packed here\n"


def test_a_full_disk_packs_into_memory(host: Agent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host.begin("sys.exit(0)")
    host.until(lambda answer: answer["state"] == "ended")
    (host.folder / "packed.tgz").mkdir()  # nothing can be written there
    monkeypatch.setattr(agent, "MEMORY", tmp_path)
    work = agent.Work(host.place, ROOM)
    (host.folder / "packed.tgz").rmdir()
    (host.folder / "packed.tgz").symlink_to("/dev/full")
    assert Path(agent.pack(work, agent.argparse.Namespace())["archive"]).parent == tmp_path


def test_cleaning_removes_our_folder_and_no_other(host: Agent) -> None:
    host.begin("time.sleep(300)")
    assert "works here: stop it first" in host.run("clean", room="").stderr
    host.ask("stop")
    assert host.ask("clean", room="") == {"state": "cleaned"}
    assert not host.place.exists()
    host.place.mkdir()
    (host.place / "thesis.txt").touch()
    refused = host.run("clean", room="")
    assert refused.returncode == 1
    assert "is not a folder that dgxcert made" in refused.stderr
    assert (host.place / "thesis.txt").exists()


def test_a_room_is_a_name_and_no_path(host: Agent) -> None:
    assert host.run("look", room="../../etc").returncode == 2


def test_the_token_of_the_host_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    monkeypatch.setenv("ANSIBLE_SECRET", "x")
    token = tmp_path / ".cache/huggingface/token"
    token.parent.mkdir(parents=True)
    token.touch()
    environment = agent._environment(tmp_path / "dgxcert-room")
    assert environment["HF_TOKEN_PATH"] == str(token)
    assert environment["HF_HOME"] == str(tmp_path / "dgxcert-room/cache/huggingface")
    assert "ANSIBLE_SECRET" not in environment


def test_it_is_written_for_an_old_python() -> None:
    import ast

    ast.parse(Path(agent.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
