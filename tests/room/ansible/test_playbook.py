"""Playbooks against a real SSH service on loopback: events, passwords, pinned keys, and nothing left behind."""

import contextlib
import getpass
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import missing

from dgxcert import command
from dgxcert.outcome import CannotStart
from dgxcert.record.room.word import Word
from dgxcert.room import answers, words
from dgxcert.room.ansible import environment, events, secrets
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.ansible.playbook import Controller, for_ansible, play_of
from dgxcert.room.ansible.secrets import Secrets
from dgxcert.room.inventory import Host, Inventory

ADDRESS = "127.0.0.78"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """An SSH service on loopback that lets this user in by a key."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        missing("sshd", "Run: sudo scripts/system-packages")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    lines = [f"ListenAddress {ADDRESS}", f"Port {port}", f"HostKey {folder / 'host'}", "StrictModes no", "UsePAM no"]
    lines += [f"AuthorizedKeysFile {folder / 'key.pub'}", "PidFile none"]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([str(program), "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((ADDRESS, port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield {"port": port, "folder": folder}
    process.terminate()
    process.wait()


def room(service: dict[str, object], **more: object) -> Inventory:
    key = {"ansible_ssh_private_key_file": str(Path(str(service["folder"])) / "key")}
    there = Host("there", ADDRESS, variables={"ansible_port": service["port"], **key, **more})
    nobody = Host("nobody", "127.0.0.79", variables={"ansible_port": service["port"], **key})
    return Inventory(Path("room.yaml"), (there, nobody))


def play(controller: Controller, inventory: Inventory, name: str = "answers") -> dict[str, HostEvent]:
    heard: dict[str, HostEvent] = {}

    def take(event: HostEvent) -> None:
        if event.kind not in ("started", "retry"):
            heard[event.host] = event

    variables = answers.variables(inventory.hosts, "~/dgxcert-room", 20)
    controller.play(play_of(name), variables=variables, on_event=take)
    return heard


def test_one_answers_the_other_is_named_and_nothing_is_left(service: dict[str, object], tmp_path: Path) -> None:
    inventory = room(service)
    with Controller(inventory, tmp_path / "known") as controller:
        heard = play(controller, inventory)
        private = controller._private
    assert answers.parse(heard["there"].stdout).whole
    assert words.explain(heard["nobody"])[0] is Word.REFUSED
    assert not private.exists()
    assert "masters" not in subprocess.run(["pgrep", "-f", str(private)], capture_output=True, text=True).stdout
    assert subprocess.run(["pgrep", "-f", str(private)], capture_output=True).returncode == 1
    assert (tmp_path / "known").read_text().count("ssh-ed25519") == 1
    assert not (Path.home() / "dgxcert-room").exists()


def test_a_changed_key_is_refused_whatever_the_inventory_says(service: dict[str, object], tmp_path: Path) -> None:
    other = (Path(str(service["folder"])) / "key.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[{ADDRESS}]:{service['port']} {' '.join(other)}\n")
    off = {"ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"}
    inventory = room(service, **off)
    with Controller(inventory, tmp_path / "known") as controller:
        heard = play(controller, inventory)
    assert words.explain(heard["there"])[0] is Word.KEY_CHANGED


def test_a_key_that_nobody_has_is_a_password_that_is_missing(service: dict[str, object], tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "stranger"], check=True)
    inventory = room(service, ansible_ssh_private_key_file=str(tmp_path / "stranger"))
    with Controller(inventory, tmp_path / "known") as controller:
        heard = play(controller, inventory)
    assert words.explain(heard["there"])[0] is Word.PASSWORD


def test_a_password_is_in_no_argument_variable_or_file(service: dict[str, object], tmp_path: Path) -> None:
    inventory = room(service)
    seen: list[bytes] = []
    with Controller(inventory, tmp_path / "known", Secrets("wort-1796", "wort-1797")) as controller:
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                for process in Path("/proc").glob("[0-9]*"):
                    try:
                        seen.append((process / "cmdline").read_bytes() + (process / "environ").read_bytes())
                    except OSError:
                        continue
                for file in controller._private.rglob("*"):
                    try:
                        if stat.S_ISREG(file.lstat().st_mode):
                            seen.append(file.read_bytes())
                    except OSError:
                        continue
                time.sleep(0.05)

        looking = threading.Thread(target=look)
        looking.start()
        play(controller, inventory)
        done.set()
        looking.join()
    assert seen
    assert not any(b"wort-179" in each for each in seen)


def test_ctrl_c_ends_what_was_started(service: dict[str, object], tmp_path: Path) -> None:
    slow = tmp_path / "slow.yml"
    slow.write_text(
        "- {hosts: there, gather_facts: false, tasks: [{name: works, ansible.builtin.raw: sleep 600, timeout: 700}]}\n"
    )
    inventory = room(service)
    with Controller(inventory, tmp_path / "known") as controller:
        began = threading.Event()
        thread = threading.Thread(target=controller.play, args=(slow,), kwargs={"on_event": lambda _: began.set()})
        thread.start()
        assert began.wait(30)
        time.sleep(0.5)
        started_s = time.monotonic()
        controller.end()
        thread.join(15)
        assert not thread.is_alive()
        assert time.monotonic() - started_s < 15


def test_the_private_folder_stays_until_every_play_has_ended(
    service: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, begins, may = command.start_piped, threading.Event(), threading.Event()

    def started_late(*args: Any, **kwargs: Any) -> Any:
        begins.set()
        assert may.wait(30)
        return start(*args, **kwargs)

    monkeypatch.setattr(command, "start_piped", started_late)
    controller = Controller(room(service), tmp_path / "known")
    plays = threading.Thread(
        target=controller.play, args=(play_of("look"),), kwargs={"on_event": lambda _: pytest.fail("it played")}
    )
    plays.start()
    assert begins.wait(10)
    closes = threading.Thread(target=controller.__exit__, args=(None, None, None))
    closes.start()
    closes.join(0.5)
    assert controller._private.exists(), "the play has no process yet that could be ended"
    may.set()
    for thread in (plays, closes):
        thread.join(20)
        assert not thread.is_alive()
    assert not controller._private.exists()
    with pytest.raises(CannotStart, match="has ended"):
        controller.play(play_of("look"), on_event=lambda _: None)


SLOW = "- {hosts: there, gather_facts: false, tasks: [{name: works, ansible.builtin.raw: sleep 6321, timeout: 700}]}"
DRIVES = """
import sys
from pathlib import Path
from dgxcert.room.ansible.playbook import Controller
from dgxcert.room.inventory import Host, Inventory
port, key, known, slow = sys.argv[1:]
host = Host("there", "127.0.0.78", variables={"ansible_port": int(port), "ansible_ssh_private_key_file": key})
with Controller(Inventory(Path("room.yaml"), (host,)), Path(known)) as controller:
    print(controller._private, flush=True)
    controller.play(Path(slow), on_event=lambda event: print(event.kind, flush=True))
"""


def test_a_controller_that_is_killed_leaves_no_process_behind(service: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "slow.yml").write_text(SLOW)
    key = Path(str(service["folder"])) / "key"
    args = [sys.executable, "-c", DRIVES, str(service["port"]), key, tmp_path / "known", tmp_path / "slow.yml"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, start_new_session=True) as driver:
        assert driver.stdout is not None
        private = driver.stdout.readline().strip()
        assert driver.stdout.readline() == "started\n"
        there = wait_for(lambda: processes("sleep 6321"), 30)
        assert there
        driver.kill()
    assert wait_for(lambda: not processes(private) and not processes("sleep 6321"), 20)
    assert wait_for(lambda: not Path(private).exists(), 20)


def test_what_a_controller_leaves_that_is_killed_between_two_plays_is_removed_by_the_next(
    service: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "quick.yml").write_text(SLOW.replace("sleep 6321", "echo"))
    key = Path(str(service["folder"])) / "key"
    between = DRIVES + "    import time; time.sleep(600)\n"
    args = [sys.executable, "-c", between, str(service["port"]), key, tmp_path / "known", tmp_path / "quick.yml"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, start_new_session=True) as driver:
        assert driver.stdout is not None
        private = Path(driver.stdout.readline().strip())
        assert [driver.stdout.readline() for _ in range(2)] == ["started\n", "ok\n"]
        assert wait_for(lambda: not list(private.glob("play-*")), 20)
        with Controller(room(service), tmp_path / "known"):
            assert private.exists(), "its controller lives"
        driver.kill()
    assert private.exists()
    with Controller(room(service), tmp_path / "known"):
        assert not private.exists()


def wait_for(what: Callable[[], object], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(what())


def processes(words: str) -> list[str]:
    """The command lines of all processes that hold these words."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(place.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if words in line and "python -c" not in line]


def test_a_jump_host_is_pinned_too_and_refused_once_its_key_has_changed(
    service: dict[str, object], tmp_path: Path
) -> None:
    """The ssh that ssh starts for a jump host gets no options of ours, but the configuration that they name."""
    jump = f"-o ProxyJump={getpass.getuser()}@{ADDRESS}:{service['port']} -o StrictHostKeyChecking=no"
    key = f"IdentityFile {Path(str(service['folder'])) / 'key'}\n"
    inventory = room(service, ansible_ssh_common_args=jump, ansible_host="localhost")
    with Controller(inventory, tmp_path / "known") as controller:
        usual = environment.write_ssh_config

        def with_key(private: Path, known_hosts: Path) -> None:
            usual(private, known_hosts)
            (private / environment.CONFIG).write_text(key + (private / environment.CONFIG).read_text())

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(environment, "write_ssh_config", with_key)
            heard = play(controller, inventory)
            assert f"[{ADDRESS}]:{service['port']}" in hosts_of(tmp_path / "known")
            other = (Path(str(service["folder"])) / "key.pub").read_text().split()[:2]
            (tmp_path / "known").write_text(f"[{ADDRESS}]:{service['port']} {' '.join(other)}\n")
            changed = play(controller, inventory)
    assert words.explain(heard["there"])[0] is Word.REFUSED, heard["there"]
    assert words.explain(changed["there"])[0] is Word.KEY_CHANGED, changed["there"]


def hosts_of(known: Path) -> list[str]:
    return [line.split()[0] for line in known.read_text().splitlines()]


def test_a_host_that_says_the_password_back_does_not_bring_it_into_an_event(
    service: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "echo.yml").write_text(
        "- {hosts: there, gather_facts: false, tasks: [{name: works, ansible.builtin.raw: 'echo x7Qm2kLp >&2; echo "
        "x7Qm2kLp; exit 3', timeout: 30}]}"
    )
    heard: list[HostEvent] = []
    with Controller(room(service), tmp_path / "known", Secrets(sudo="x7Qm2kLp")) as controller:
        controller.play(tmp_path / "echo.yml", on_event=heard.append)
    failed = next(event for event in heard if event.kind == "failed")
    assert "[secret]" in failed.stdout
    assert "x7Qm2kLp" not in repr(heard)


def test_a_play_that_ansible_cannot_read_is_an_error_and_no_word(service: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("- {hosts: all, tasks: [{nosuchmodule: {}}]}\n")
    with (
        Controller(room(service), tmp_path / "known") as controller,
        pytest.raises(CannotStart, match="ansible-playbook failed"),
    ):
        controller.play(tmp_path / "broken.yml", on_event=lambda _: None)


def test_ansible_gets_only_what_it_needs_to_log_in() -> None:
    host = Host("a", "10.0.0.1", sudo_user="dgx", variables={"ansible_port": 2222})
    assert for_ansible(Inventory(Path("r"), (host,)))["all"]["hosts"]["a"] == {
        "ansible_host": "10.0.0.1",
        "ansible_port": 2222,
        "ansible_become": True,
        "ansible_become_user": "dgx",
    }


def test_no_secret_of_this_process_is_handed_to_ansible(tmp_path: Path) -> None:
    given = {"HF_TOKEN": "hf_secret", "ANSIBLE_CONFIG": "/mine", "HOME": "/root", "SSH_AUTH_SOCK": "/run/agent"}
    made = environment.variables(tmp_path, tmp_path / "known", given)
    assert "hf_secret" not in str(made)
    assert (made["SSH_AUTH_SOCK"], made["ANSIBLE_CONFIG"]) == ("/run/agent", str(tmp_path / "ansible.cfg"))


def test_a_secret_is_given_once_to_who_reads_it(tmp_path: Path) -> None:
    secrets.hand("wort", tmp_path / "pipe", lambda: True)
    assert (tmp_path / "pipe").read_text() == "wort\n"


def test_nobody_waits_for_a_reader_that_has_gone(tmp_path: Path) -> None:
    thread = secrets.hand("wort", tmp_path / "pipe", lambda: False)
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("line", ["", "[WARNING]: x", "{", "[]", '{"event": "other"}', '{"event": ["ok"]}', "{}"])
def test_what_is_no_event_is_skipped(line: str) -> None:
    assert events.parse(line) is None


def test_an_event_with_values_of_other_types_is_read() -> None:
    event = events.parse('{"event": "failed", "host": 7, "task": null, "rc": "x", "stdout": [1], "attempts": true}')
    assert event is not None
    assert (event.host, event.task, event.rc, event.stdout) == ("7", "", None, "[1]")
