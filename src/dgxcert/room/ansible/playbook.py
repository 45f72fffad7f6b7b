"""Playbooks: run by ansible-playbook as a child, heard line by line, ended with everything that they started."""

import json
import os
import re
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.outcome import CannotStart
from dgxcert.room.ansible import environment, events, secrets
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.ansible.private import PrivateFolder
from dgxcert.room.ansible.secrets import Secrets
from dgxcert.room.inventory import Host, Inventory

PLAYS = Path(__file__).parent / "plays"
FORKS = 100
"""Hosts that Ansible talks to at the same time: with fewer than there are, one that hangs would delay others."""
KEEPER = Path(__file__).parent / "keeper.py"
GRACE_S = 10.0
"""How long the keeper may take to end everything below it."""
SHOWN = 600


def play_of(name: str) -> Path:
    """The play of that name."""
    return PLAYS / f"{name}.yml"


class Controller:
    """Drives the hosts of an inventory; use it in a `with` statement, which ends what is left of it.

    Several plays may run at the same time, each in a thread of its own. Nothing of it stays on the disk but the host
    keys in `known_hosts`.
    """

    def __init__(
        self, inventory: Inventory, known_hosts: Path, passwords: Secrets | None = None, forks: int = FORKS
    ) -> None:
        self._passwords, self._forks = passwords or Secrets(), forks
        self._known_hosts = known_hosts
        known_hosts.parent.mkdir(parents=True, exist_ok=True)
        self._folder = PrivateFolder()
        self._private = self._folder.path
        self._inventory = self._private / "inventory.json"
        self._inventory.write_text(json.dumps(for_ansible(inventory, self._jumps)), encoding="utf-8")
        self._count, self._ends, self._closed = 0, 0, False
        self._running: set[Any] = set()
        self._places: set[Path] = set()
        """The folders of the plays that are under way, those included that have no process yet."""
        self._changed = threading.Condition()
        """Guards all of these: plays begin and end in threads of their own."""
        command.adopt_orphans()

    def __enter__(self) -> "Controller":
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
        self.end()
        with self._changed:  # what they read and write is removed below
            self._changed.wait_for(lambda: not self._places, 2 * GRACE_S)
        command.kill_below()  # shared connections of ssh, which outlive their first user
        self._folder.remove()

    @property
    def _jumps(self) -> str:
        return shlex.join(environment.ssh_options(self._known_hosts, self._private, shared=False))

    @property
    def ssh(self) -> list[str]:
        """Options of ssh with which a program of ours meets the same host keys and connections."""
        return environment.ssh_options(self._known_hosts, self._private)

    def ssh_to(self, host: Host) -> tuple[list[str], dict[str, str]]:
        """The command line of ssh to a host, and its environment; it asks nobody for a password.

        Where Ansible has just been there, its connection is shared, whatever opened it.
        """
        given = host.variables
        more = str(given.get("ansible_ssh_common_args", ""))
        shared = not JUMPS.search(more)
        words = ["ssh", *environment.ssh_options(self._known_hosts, self._private, shared=shared), *shlex.split(more)]
        words += ["-o", "BatchMode=yes"]
        options = {"-p": "ansible_port", "-l": "ansible_user", "-i": "ansible_ssh_private_key_file"}
        for option, name in options.items():
            words += [option, str(given[name])] if name in given else []
        kept = {name: value for name, value in os.environ.items() if name in environment.KEPT}
        return [*words, host.address], kept

    def play(
        self,
        play: Path,
        *,
        limit: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        on_event: Callable[[HostEvent], None],
    ) -> int:
        """Run a play on the hosts of `limit`, or on all; returns ansible-playbook's exit code.

        `on_event` is called for each event, from this thread. `variables` are handed over in a file that nobody else
        can read, and must hold no secret. Raises CannotStart where ansible-playbook itself does not work, and where the
        controller is closed.
        """
        with self._changed:
            if self._closed:
                raise CannotStart("The controller of this room has ended.", "Call it again.")
            self._count += 1
            place, ends = self._private / f"play-{self._count}", self._ends
            place.mkdir(mode=0o700)
            self._places.add(place)
        try:
            return self._play(place, play, limit, variables or {}, on_event, ends)
        finally:
            shutil.rmtree(place, ignore_errors=True)
            with self._changed:
                self._places.discard(place)
                self._changed.notify_all()

    def _play(
        self,
        place: Path,
        play: Path,
        limit: Sequence[str],
        variables: Mapping[str, Any],
        on_event: Callable[[HostEvent], None],
        ends: int,
    ) -> int:
        (place / "variables.json").write_text(json.dumps(dict(variables)), encoding="utf-8")
        (place / "hosts").write_text("\n".join(limit) + "\n", encoding="utf-8")
        args = [*environment.program("playbook"), "-i", str(self._inventory), "-e", f"@{place / 'variables.json'}"]
        args += ["--forks", str(self._forks), *(["--limit", f"@{place / 'hosts'}"] if limit else [])]
        given = {"--connection-password-file": self._passwords.login, "--become-password-file": self._passwords.sudo}
        for option, secret in given.items():
            args += [option, str(place / option.strip("-"))] if secret else []
        keeper = [sys.executable, "-I", "-S", str(KEEPER), str(os.getpid()), str(self._private), *args, str(play)]
        with (place / "stderr").open("wb") as errors:
            env = environment.variables(self._private, self._known_hosts)
            process: Any = command.start_piped(keeper, output=errors, cwd=place, env=env)
        with self._changed:
            self._running.add(process)
            late = ends != self._ends
        try:
            if late:  # all plays were ended while this one had no process that could be
                process.stdin.close()
            for option, secret in given.items():
                if secret:
                    secrets.hand(secret, place / option.strip("-"), lambda: process.poll() is None)
            others = _heard(process, self._passwords, on_event)
            code = process.wait()
        finally:
            self._end(process)
            with self._changed:
                self._running.discard(process)
                late = ends != self._ends
        if not late and (code == BROKEN or (code and not others.events and code not in ENDED)):
            raise CannotStart(
                f"ansible-playbook failed: {_reason(place / 'stderr', others.last)}.", "See the lines above."
            )
        return int(code)

    def end(self) -> None:
        """End every play that is running, with all that it started. Hosts go on with what was begun on them."""
        with self._changed:
            self._ends += 1
            running = list(self._running)
        for process in running:
            process.stdin.close()
        for process in running:
            self._end(process)

    def _end(self, process: Any) -> None:
        """Let go of the keeper, which then ends all that is below it, and of its pipes."""
        process.stdin.close()
        if not command.ends(process, GRACE_S):
            command.end_group(process)
        process.stdout.close()


BROKEN = 250
"""ansible-playbook's exit code for an error of its own."""
ENDED = (130, 137, 143, 99)
"""Its exit codes where it was ended: by a signal, or by itself after one."""


class _Others:
    """What ansible-playbook printed that is no event."""

    def __init__(self) -> None:
        self.last, self.events = "", 0


def _heard(process: Any, passwords: Secrets, on_event: Callable[[HostEvent], None]) -> _Others:
    others = _Others()
    stream = os.fdopen(os.dup(process.stdout.fileno()), encoding="utf-8", errors="replace")
    with stream:
        for line in stream:
            event = events.parse(line)
            if event is None:
                others.last = line.strip() or others.last
            else:
                others.events += 1
                on_event(passwords.hidden(event))
    return others


def _reason(stderr: Path, last: str) -> str:
    """The last lines that ansible-playbook printed on standard error."""
    text = stderr.read_bytes()[-SHOWN:].decode(errors="replace")
    return " ".join(text.split())[-SHOWN:] or last[-SHOWN:] or "it said nothing"


JUMPS = re.compile(r"ProxyJump|ProxyCommand|(?:^|\s)-\w*J", re.IGNORECASE)
"""Arguments of ssh that lead through another host."""


def for_ansible(inventory: Inventory, unshared: str = "") -> dict[str, Any]:
    """The inventory as Ansible gets it: addresses and how to log in, without anything that it would obey otherwise.

    `unshared` are the options of ssh, on one line, for hosts behind a jump host.
    """
    hosts = {host.name: {"ansible_host": host.address, **host.variables} for host in inventory.hosts}
    for host in inventory.hosts:
        if host.sudo_user:
            hosts[host.name] |= {"ansible_become": True, "ansible_become_user": host.sudo_user}
        if JUMPS.search(str(host.variables.get("ansible_ssh_common_args", ""))):
            hosts[host.name]["ansible_ssh_args"] = unshared
    shared = {"ansible_connection": "ssh", "ansible_shell_type": "sh", "ansible_python_interpreter": PYTHON}
    return {"all": {"hosts": hosts, "vars": shared}}


PYTHON = "/usr/bin/python3"
__all__ = ["FORKS", "PLAYS", "Controller", "for_ansible", "play_of"]
