"""A room, validated over SSH as a lab does it: real sshd, sudo and Ansible, and a simulated machine on every host."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from checkout import copy_of_checkout
from integration.room import hasty, hosts, namespaces
from integration.room.hosts import Room as Hosts
from integration.room.namespaces import Network
from integration.room.terminal import WAIT_S, Terminal
from needs import missing
from simulated.secret_watch import Watch

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record.room import document
from dgxcert.record.room.document import HostResult, Room
from dgxcert.record.room.word import Word

ROOT = Path(__file__).parents[2]
MEASURED = "DRIVER-BRANCH,DEVICE-MEMORY,GPU-CLOCK-UNDER-LOAD"
WITHOUT_GPU = ["--profile", "cpu", "--only", "MEMORY-AVAILABLE,SWAP-UNUSED,KNOWN-BAD-VERSIONS"]
"""Requirements of one stage, since each stage starts a process of seconds."""
VALIDATED = ("healthy", "sudo", "stuck", "old-driver", "little-memory")
PAIR = (1, 2)
"""The healthy hosts, which a cable joins; one half of it is switched off at the first."""
WORDS = {
    "refused": Word.REFUSED,
    "no-route": Word.NO_ROUTE,
    "silent": Word.TIME_OUT,
    "hangs": Word.TIME_OUT,
    "key-changed": Word.KEY_CHANGED,
    "password": Word.PASSWORD,
    "wrong-sudo": Word.SUDO,
    "full": Word.DISK,
    "no-python": Word.NO_PYTHON,
    "other-processor": Word.ARCHITECTURE,
    "dies": Word.DIED,
}
"""The word of each kind of host that is not validated."""
Left = TypeVar("Left", list[str], dict[str, list[str]])
SETTLE_S = 5.0
"""After so long nothing may be left of a call: sshd ends a session a moment after its connection."""


@dataclass
class Lab:
    """A room for which `dgxcert` is called."""

    room: Hosts
    folder: Path
    clone: Path
    """A clone of which every file is what its commit has."""
    calls: list[Terminal] = field(default_factory=list)

    @property
    def results(self) -> Path:
        """The folder of results."""
        return self.watched / "results"

    @property
    def watched(self) -> Path:
        """What a watch for secrets looks into."""
        return self.folder / "watched"

    @property
    def of_room(self) -> Path:
        """The folder of the newest room."""
        return (self.results / "rooms" / "latest").resolve()

    def call(self, *words: str) -> Terminal:
        """Call `dgxcert room` for this room, and type the sudo password."""
        python = ["env", f"PYTHONPATH={self.clone}/src", sys.executable, "-P", str(Path(hasty.__file__))]
        options = ["--results", str(self.results)]
        if words[0] == "run":
            options += ["--runtime", "native", "--ask-sudo-password"]
        typed = {"sudo password: ": self.room.sudo_password}
        self.calls.append(Terminal([*python, "room", *words, str(self.room.inventory), *options], self.folder, typed))
        return self.calls[-1]

    def document(self) -> Room:
        """The room as room.json has it."""
        return document.load(self.of_room)

    def records(self, host: str) -> list[Path]:
        """The records of a host's runs that were fetched."""
        return sorted((self.of_room / host).glob("*/records.jsonl"))

    def begun(self, host: hosts.SimulatedHost) -> list[str]:
        """The run folders on a host."""
        found = self.room.run(host, "sh", "-c", "ls -d /home/*/dgxcert-room/results/*/*/")
        return found.stdout.split()

    def left_here(self) -> list[str]:
        """What is left of calls on this computer: processes that know the room, and connections to its hosts."""
        network = f"10.77.{self.room.number}.0/24"
        sockets = subprocess.run(["ss", "-Htnp", "dst", network], capture_output=True, text=True, check=True)
        connections = [line for line in sockets.stdout.splitlines() if "users:" in line]
        known = (str(self.results), str(self.room.folder), f"10.77.{self.room.number}.")
        lines = {path: _command_line(path) for path in Path("/proc").glob("[0-9]*")}
        processes = [line for path, line in lines.items() if any(word in line for word in known) and _is_ours(path)]
        return connections + processes


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _is_ours(process: Path) -> bool:
    """Whether a process is none of the room's hosts, whose first ones have its folder in their arguments."""
    words = _command_line(process).split()
    return not words or words[0] not in {"unshare", "/bin/sh"} or "become_host" not in " ".join(words)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is delivered: this checkout as one commit."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("checkout") / "clone")
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "as it is here"]):
        subprocess.run([*git, *words], check=True)
    return folder


def _lab(folder: Path, clone: Path, kinds: tuple[str, ...], pairs: Sequence[tuple[int, int]] = ()) -> Iterator[Lab]:
    if problem := namespaces.unusable():
        missing(f"a room of simulated hosts: {problem}", "Run: sudo scripts/system-packages")
    room = hosts.up(kinds, pairs=pairs)
    lab = Lab(room, folder, clone)
    try:
        yield lab
    finally:
        for call in lab.calls:
            call.close()
        hosts.down(room.number)


@dataclass
class Called:
    """A room after its first call."""

    lab: Lab
    code: int
    said: str
    room: Room
    watch: Watch

    def results(self, kind: str) -> list[HostResult]:
        """What became of the hosts of a kind."""
        names = {host.name for host in self.lab.room.of_kind(kind)}
        return [result for result in self.room.hosts if result.name in names]


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory, clone: Path) -> Iterator[Called]:
    """A room with all kinds of hosts, validated by one call."""
    for lab in _lab(tmp_path_factory.mktemp("room"), clone, (*VALIDATED, *WORDS), pairs=[PAIR]):
        namespaces.batch(Network(lab.room.number).namespace(PAIR[0]), ["link set p1 down"])
        pinned = lab.results / "rooms" / "known_hosts"
        pinned.mkdir(parents=True)
        (pinned / "room").write_bytes(lab.room.known_hosts.read_bytes())
        secrets = {"the log-in password": lab.room.login_password, "the sudo password": lab.room.sudo_password}
        with Watch(lab.watched, secrets) as watch:
            call = lab.call("run", "--only", MEASURED)
            code = call.wait()
            watch.scan()
        assert (lab.of_room / document.NAME).exists(), call.said[-3000:]
        yield Called(lab, code, call.said, lab.document(), watch)


def test_every_host_of_the_inventory_gets_its_word(called: Called) -> None:
    words = {host.name: host.word for host in called.room.hosts}
    expected = {host.name: WORDS.get(host.kind, Word.VALIDATED) for host in called.lab.room.hosts}
    assert words == expected, called.said[-3000:]


def test_a_host_that_was_not_validated_says_why_and_what_to_do(called: Called) -> None:
    silent = [host.name for host in called.room.hosts if not host.validated and not (host.said and host.remedy)]
    assert silent == []


@pytest.mark.parametrize(
    ("kind", "verdict", "failed"),
    [
        ("healthy", Verdict.PARTIAL, []),
        ("sudo", Verdict.PARTIAL, []),
        ("stuck", Verdict.REJECTED, ["GPU-CLOCK-UNDER-LOAD"]),
        ("old-driver", Verdict.REJECTED, ["DRIVER-BRANCH"]),
        ("little-memory", Verdict.REJECTED, ["DEVICE-MEMORY"]),
    ],
)
def test_a_machine_is_judged_by_what_it_is(called: Called, kind: str, verdict: Verdict, failed: list[str]) -> None:
    for host in called.results(kind):
        found = [problem.key for problem in host.problems if problem.outcome is Outcome.FAILED]
        assert (host.verdict, found) == (verdict, failed)


def test_only_the_stuck_machine_is_an_outlier_of_its_clock(called: Called) -> None:
    (stuck,) = called.results("stuck")
    clocks = [each for each in called.room.compared if each.key == "GPU-CLOCK-UNDER-LOAD" and "clock" in each.name]
    outliers = [outlier.host for each in clocks for outlier in each.outliers]
    assert set(outliers) == {stuck.name}


def test_the_pair_is_tested_once_its_hosts_are_validated(called: Called) -> None:
    (pair,) = called.room.pairs
    assert (pair.hosts, pair.outcome) == (("spark-01", "spark-02"), Outcome.FAILED)
    assert "spark-01's p1 is switched off" in pair.says, pair.says


def test_the_exit_code_says_that_a_machine_was_rejected(called: Called) -> None:
    assert (called.code, called.room.exit_code) == (1, 1)


def test_the_suite_was_established_unmodified_on_every_host(called: Called) -> None:
    records = [path for host in called.lab.room.hosts for path in called.lab.records(host.name)]
    suites = [json.loads(path.read_text(encoding="utf-8").split("\n")[0])["suite"] for path in records]
    head = ["git", "-C", str(called.lab.clone), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    assert [(each["commit"], each["modified"]) for each in suites] == [(commit, False)] * len(VALIDATED)


def test_nothing_is_left_running_on_any_host(called: Called) -> None:
    def left() -> dict[str, list[str]]:
        found = {host.name: called.lab.room.processes(host) for host in called.lab.room.hosts}
        return {name: lines for name, lines in found.items() if lines}

    assert _settled(left) == {}


def test_nothing_is_left_running_on_the_controller(called: Called) -> None:
    assert _settled(called.lab.left_here) == []


def test_a_host_keeps_nothing_outside_the_one_folder(called: Called) -> None:
    outside = {
        host.name: [path for path in called.lab.room.leftovers(host) if "/dgxcert-room" not in path]
        for kind in VALIDATED
        for host in called.lab.room.of_kind(kind)
    }
    assert {name: paths for name, paths in outside.items() if paths} == {}


def test_no_password_is_in_a_file_or_in_the_arguments_of_a_process(called: Called) -> None:
    assert called.watch.scans > 5
    assert called.watch.sightings("results") + called.watch.sightings("") == []
    on_hosts = {
        host.name: _files_with(called.lab.room, host) for host in called.lab.room.hosts if host.kind in VALIDATED
    }
    assert {name: files for name, files in on_hosts.items() if files} == {}
    assert called.lab.room.sudo_password not in called.said


def _files_with(room: Hosts, host: hosts.SimulatedHost) -> str:
    """The files on a host that hold a password."""
    searched = ["/home", "/tmp", "/var/tmp", "/dev/shm"]
    return room.run(host, "grep", "-rlF", "-e", room.sudo_password, "-e", room.login_password, *searched).stdout


@pytest.fixture
def lab(tmp_path: Path, clone: Path) -> Iterator[Lab]:
    """A room of a host that measures as a test lets it, and of one that is not there."""
    yield from _lab(tmp_path, clone, ("held", "refused"))


def test_a_controller_that_is_killed_or_stopped_is_gone_on_with(lab: Lab) -> None:
    (held,) = lab.room.of_kind("held")
    killed = lab.call("run", *WITHOUT_GPU)
    _await_work(lab, killed, done=1)
    killed.kill()
    time.sleep(1)
    assert lab.room.processes(held), "the host works on without its controller"

    stopped = lab.call("run", *WITHOUT_GPU)
    _await_word(stopped, "goes on")
    lab.room.let(held, 2)
    _await_work(lab, stopped, done=2)
    stopped.interrupt()
    assert stopped.wait() != 0
    assert {host.word for host in lab.document().hosts} <= {Word.STOPPED, Word.REFUSED}
    assert _settled(lambda: lab.room.processes(held)) == []
    assert _settled(lab.left_here) == []

    lab.room.let(held, 100)
    _goes_on(lab, held)
    assert len(lab.begun(held)) == 1
    _goes_on(lab, held, "--clean")  # nothing is left to do but at the host that is missing
    assert lab.room.leftovers(held) == []


def _goes_on(lab: Lab, held: hosts.SimulatedHost, *options: str) -> None:
    """Call it once more: the host is validated, and nothing of it is measured or fetched twice."""
    call = lab.call("run", *WITHOUT_GPU, *options)
    assert call.wait() == 2, call.said[-3000:]
    words = {host.name: (host.word, host.verdict) for host in lab.document().hosts}
    assert words[held.name] == (Word.VALIDATED, Verdict.PARTIAL)
    (record,) = lab.records(held.name)
    assert _measured_twice(record) == []


def _measured_twice(record: Path) -> list[str]:
    """The requirements of a run that were finished more than once."""
    events = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    finished = [event["key"] for event in events if event["event"] == "finished"]
    return sorted({key for key in finished if finished.count(key) > 1})


def _await_work(lab: Lab, call: Terminal, done: int) -> None:
    """Wait until every host has finished that many requirements, and works on."""
    script = 'cat /home/*/dgxcert-room/results/*/*/records.jsonl 2>/dev/null | grep -c \'"event":"finished"\''
    deadline = time.monotonic() + WAIT_S
    while any(int(lab.room.run(host, "sh", "-c", script).stdout or 0) < done for host in lab.room.of_kind("held")):
        assert time.monotonic() < deadline, call.said[-3000:]
        time.sleep(0.2)


def _await_word(call: Terminal, word: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while word not in call.said:
        assert time.monotonic() < deadline, call.said[-3000:]
        time.sleep(0.1)


def _settled(look: Callable[[], Left]) -> Left:
    """What is left once everything has had its time to end."""
    deadline = time.monotonic() + SETTLE_S
    while (left := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left
