"""A room of simulated hosts on one computer: real sshd, sudo and file systems, each with a simulated DGX Spark.

    python tests/integration/room/hosts.py up 10 --kinds healthy,stuck,refused --number 7
    python tests/integration/room/hosts.py list --number 7
    python tests/integration/room/hosts.py down --number 7

`up` prints the inventory, the key, the passwords and the folder of the room. Kinds repeat until the room is full;
`hosts.py kinds` lists them. A room has a number, 0 to 255, which names its namespaces and its subnet 10.77.NUMBER.0/24,
so that several people can have one each; without `--number` the first free one is taken.

Every host is a network, mount, pid, uts and ipc namespace with an sshd of its own. The user `lab` logs in, by key or
password, and may become `dgx` by sudo with another password (`targetpw`, so that two secrets can be told apart). The
hosts share one prepared environment, read-only, at /opt/lab/environment (`dgxcert_environment` in the inventory):
Python, torch and all that dgxcert needs, but not dgxcert itself, which is delivered. Its Python has `played_machine.py`
as sitecustomize, which plays the host's machine, so that the unmodified `dgxcert validate` meets another machine on
each. All else on a host is real, and gone with `down`.

As a module: `up(kinds, number) -> Room`, `down(number)`; `Room.run(host, "command")` is root on a host,
`Room.change_key`, `Room.unplug`, `Room.leftovers` for tests. `known_hosts` in the room's folder has the keys as a lab
would have noted them, wrong for the kind `key-changed`: copy it to where the controller pins keys.
"""

import argparse
import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import yaml
from integration.room import namespaces
from integration.room.kinds import KINDS, Kind
from integration.room.namespaces import Network
from simulated import machine as machines

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
USERS = {"lab": 2000, "dgx": 2001}
ENVIRONMENT = "/opt/lab/environment"
UP_S = 20.0
HOME_SIZE, FULL = "2g", "400k"


@dataclass(frozen=True)
class SimulatedHost:
    """One host of a room."""

    name: str
    kind: str
    number: int
    """Counted from 1."""
    address: str
    namespace: str
    pid: int
    """Of its first process, as this computer sees it."""


@dataclass(frozen=True)
class Room:
    """A room that is up."""

    number: int
    folder: Path
    hosts: tuple[SimulatedHost, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def login_password(self) -> str:
        """Of the user `lab`."""
        return (self.folder / "password-of-lab").read_text(encoding="ascii")

    @property
    def sudo_password(self) -> str:
        """What sudo asks for: that of the user `dgx`."""
        return (self.folder / "password-of-dgx").read_text(encoding="ascii")

    @property
    def inventory(self) -> Path:
        """As a lab writes it; users log in by `key`."""
        return self.folder / "room.yaml"

    @property
    def key(self) -> Path:
        """The private key that lets `lab` in."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys as the lab has noted them."""
        return self.folder / "known_hosts"

    def host(self, name: str) -> SimulatedHost:
        """By name."""
        return next(host for host in self.hosts if host.name == name)

    def of_kind(self, kind: str) -> list[SimulatedHost]:
        """All of a kind."""
        return [host for host in self.hosts if host.kind == kind]

    def run(self, host: SimulatedHost, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a host as its root."""
        inside = ["nsenter", "--all", f"--target={self.first_process(host)}", "--", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=30)

    def first_process(self, host: SimulatedHost) -> int:
        """The first process inside: the child of `unshare`. Raises ProcessLookupError where the host is dead."""
        children = Path(f"/proc/{host.pid}/task/{host.pid}/children")
        if not children.exists() or not (found := children.read_text(encoding="ascii").split()):
            raise ProcessLookupError(f"{host.name} is dead")
        return int(found[0])

    def let(self, host: SimulatedHost, measurements: int) -> None:
        """Let a host of the kind `held` begin so many measurements in all."""
        self.run(host, "sh", "-c", f"echo {measurements} >/run/machine/may")

    def change_key(self, host: SimulatedHost) -> None:
        """Give a host another host key, as one that was installed again has."""
        key = "/etc/ssh/ssh_host_ed25519_key"
        self.run(host, "sh", "-c", f"rm {key} {key}.pub; ssh-keygen -q -t ed25519 -N '' -f {key}; kill -HUP 1")

    def unplug(self, host: SimulatedHost) -> None:
        """Pull its network cable."""
        namespaces.batch(Network(self.number).switch, [f"link set h{host.number} down"])

    def plug_in(self, host: SimulatedHost) -> None:
        """Put it back."""
        namespaces.batch(Network(self.number).switch, [f"link set h{host.number} up"])

    def processes(self, host: SimulatedHost) -> list[str]:
        """The command lines on a host, without what it was started with."""
        found = []
        for pid in namespaces.pids(host.namespace):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found.append(b" ".join(words).decode(errors="replace").strip())
        return [line for line in found if line and not line.startswith(OWN)]

    def leftovers(self, host: SimulatedHost) -> list[str]:
        """Paths that were written on a host since it was made, in its homes and in folders for temporary files."""
        script = "(find /home -mindepth 2; find /tmp /var/tmp /dev/shm -mindepth 1) | sort"
        before = {f"/home/{user}/{name}" for user, files in HOMES.items() for name in files}
        return [path for path in self.run(host, "sh", "-c", script).stdout.split("\n") if path and path not in before]


OWN = ("/usr/sbin/sshd -D -e", "sshd: /usr/sbin/sshd -D", "unshare ", "/bin/sh ", "sleep ", "/bin/sleep 36000")
"""How the command lines begin of what a host itself runs."""
HOMES = {"lab": (".ssh", ".ssh/authorized_keys"), "dgx": ()}


def up(
    kinds: Sequence[str] = ("healthy",), number: int | None = None, *, pairs: Sequence[tuple[int, int]] = ()
) -> Room:
    """Make a room with a host for each of `kinds`; `pairs` are joined by cables, hosts counted from 1.

    Raises FileExistsError where a room of that number is there.
    """
    if strange := set(kinds) - set(KINDS):
        raise ValueError(f"no such kind: {', '.join(sorted(strange))}; known: {', '.join(KINDS)}")
    network = _made(number, len(kinds))
    folder = _folder(network.number)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o755)
        for cable in namespaces.cables(pairs):
            namespaces.plug(network, cable)
        _write_shared(folder)
        with ThreadPoolExecutor(8) as pool:
            hosts = tuple(pool.map(lambda each: _begin(folder, network, *each), enumerate(kinds, start=1)))
        named = tuple((hosts[one - 1].name, hosts[other - 1].name) for one, other in pairs)
        room = Room(network.number, folder, hosts, named)
        _write_room(room)
        for host in hosts:
            _await(room, host)
    except BaseException:
        down(network.number)
        raise
    return room


def down(number: int) -> None:
    """End a room; nothing of it remains."""
    namespaces.remove(Network(number))
    with contextlib.suppress(FileNotFoundError):
        for host in read(number).hosts:
            with contextlib.suppress(ChildProcessError):  # another process has made the room
                os.waitpid(host.pid, 0)
    shutil.rmtree(_folder(number), ignore_errors=True)


def read(number: int) -> Room:
    """A room that is up. Raises FileNotFoundError."""
    folder = _folder(number)
    said = json.loads((folder / "room.json").read_text(encoding="utf-8"))
    hosts = tuple(SimulatedHost(**host) for host in said["hosts"])
    return Room(number, folder, hosts, tuple((one, other) for one, other in said["pairs"]))


def _made(number: int | None, hosts: int) -> Network:
    for network in map(Network, range(256) if number is None else [number]):
        try:
            namespaces.make(network, hosts)
        except FileExistsError:
            if number is not None:
                raise
            continue
        except BaseException:
            namespaces.remove(network)
            raise
        return network
    raise FileExistsError("there are 256 rooms")


def _folder(number: int) -> Path:
    return Path(tempfile.gettempdir()) / f"dgxcert-room-{number}"


def _write_shared(folder: Path) -> None:
    """What all hosts share: the driver, the environment, a key, and passwords."""
    lab = folder / "lab"
    for name in ("driver", "python", "environment/bin"):
        (lab / name).mkdir(parents=True)
    machines.build(lab / "driver")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = lab / "environment" / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "lab.pth").write_text("/opt/lab/packages\n", encoding="utf-8")
    for name in ("python", "python3"):
        (lab / "environment/bin" / name).symlink_to(f"/opt/lab/python/bin/{version}")
    (lab / "environment/pyvenv.cfg").write_text(f"home = /opt/lab/python/bin\nversion = {sys.version.split()[0]}\n")
    its_own = lab / "python" / "lib" / version / "sitecustomize.py"
    its_own.parent.mkdir(parents=True)
    shutil.copy(HERE / "played_machine.py", its_own)
    _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "room", "-f", str(folder / "key"))
    for user in USERS:
        path = folder / f"password-of-{user}"
        path.touch(mode=0o600)
        path.write_text(f"{user}-{secrets.token_hex(8)}", encoding="ascii")
    _write_library_cache(lab)


def _begin(folder: Path, network: Network, number: int, word: str) -> SimulatedHost:
    """Write what a host is given and start it."""
    kind, name = KINDS[word], f"spark-{number:02}"
    given = folder / "hosts" / name
    first = folder / "hosts" / "spark-01"
    _write_machine(given / "machine", kind, 1 if kind.trouble == "twin" else number)
    _write_etc(given / "etc", folder, name, kind.trouble, number)
    for user, files in HOMES.items():
        (given / "home" / user).mkdir(parents=True)
        if files and kind.trouble != "password":
            (given / "home" / user / ".ssh").mkdir()
            shutil.copy(folder / "key.pub", given / "home" / user / ".ssh" / "authorized_keys")
    if kind.trouble == "no-python":
        (given / "no-python").touch()
    if kind.trouble == "twin":
        for path in ("etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub"):
            _await_file(first / path)
            shutil.copy(first / path, given / path)
    ends = kind.trouble if kind.trouble in {"hidden", "dies"} else "never"
    (given / "settings").write_text(f"home_size={FULL if kind.trouble == 'full' else HOME_SIZE} ends={ends}\n")
    pid = _start(folder, given, network.namespace(number), name)
    return SimulatedHost(name, word, number, network.address(number), network.namespace(number), pid)


def _start(folder: Path, given: Path, namespace: str, name: str) -> int:
    torch = find_spec("torch")
    packages = Path(str(torch.origin)).parents[1] if torch else Path()
    alone = ["unshare", "--mount", "--uts", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    shown = [folder / "lab", sys.base_prefix, packages, TESTS]
    command = ["ip", "netns", "exec", namespace, *alone, "/bin/sh", HERE / "become_host.sh", given, name, *shown]
    log = (os.POSIX_SPAWN_OPEN, 1, str(given / "log"), os.O_WRONLY | os.O_CREAT, 0o644)
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), log, (os.POSIX_SPAWN_DUP2, 1, 2)]
    return os.posix_spawnp("ip", list(map(str, command)), os.environ, file_actions=files, setsid=True)


def _write_machine(folder: Path, kind: Kind, number: int) -> None:
    """The simulated machine, with a GPU of its own."""
    folder.mkdir(parents=True)
    machine = machines.load(kind.machine)
    uuid = f"GPU-{number:08d}-1111-2222-3333-444444444444"
    each = {index: {"uuid": uuid, **own} for index, own in (machine.fields.get("each") or {0: {}}).items()}
    machine = machines.Machine(kind.machine, {**machine.fields, "each": each})
    (folder / "driver.table").write_text(machine.table(), encoding="utf-8")
    if kind.held:
        (folder / "may").write_text("1", encoding="ascii")
    (folder / "fields").write_text(repr(machine.fields), encoding="utf-8")


def _write_etc(etc: Path, folder: Path, name: str, trouble: str, number: int) -> None:
    """The files of /etc that are this host's own."""
    (etc / "ssh").mkdir(parents=True)
    (etc / "sudoers.d").mkdir()
    room = Room(0, folder)
    passwords = {
        "lab": _hash("another" if trouble == "password" else room.login_password),
        "dgx": _hash("another" if trouble == "wrong-sudo" else room.sudo_password),
    }
    lines = {
        "passwd": [f"{user}:x:{uid}:{uid}::/home/{user}:/bin/bash" for user, uid in USERS.items()],
        "group": [f"{user}:x:{uid}:" for user, uid in USERS.items()],
        "shadow": [f"{user}:{password}:19700:0:99999:7:::" for user, password in passwords.items()],
    }
    for file, own in lines.items():
        kept = [line for line in Path("/etc", file).read_text().splitlines() if line.partition(":")[0] not in USERS]
        (etc / file).write_text("\n".join([*kept, *own, ""]))
    (etc / "sudoers.d" / "room").write_text("Defaults targetpw\nlab ALL=(dgx) ALL\n")
    shutil.copy(folder / "lab" / "ld.so.cache", etc)
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    (etc / "machine-id").write_text(f"{number:032x}\n")
    key = etc / "ssh" / "ssh_host_ed25519_key"
    _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key))
    settings = ["HostKey /etc/ssh/ssh_host_ed25519_key", "UsePAM no", "PidFile none", "UseDNS no", "PermitRootLogin no"]
    settings += ["PasswordAuthentication yes", "Subsystem sftp /usr/lib/openssh/sftp-server", "MaxStartups 100"]
    settings += ["ForceCommand /bin/sleep 36000"] if trouble == "hangs" else []
    (etc / "ssh" / "sshd_config").write_text("\n".join([*settings, ""]))


@functools.cache
def _hash(password: str) -> str:
    """As /etc/shadow has it."""
    made = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(made, input=password, capture_output=True, text=True, check=True).stdout.strip()


def _write_library_cache(lab: Path) -> None:
    """Where a host's programs find libraries: with the simulated driver beside those of this computer."""
    conf = lab / "ld.so.conf"
    conf.write_text("include /etc/ld.so.conf\n/opt/lab/driver\n", encoding="utf-8")
    seen = "mount -t tmpfs room /opt && mkdir -p /opt/lab/driver && mount --bind {0}/driver /opt/lab/driver"
    script = f"{seen} && ldconfig -X -f {{0}}/ld.so.conf -C {{0}}/ld.so.cache".format(lab)
    _call("unshare", "--mount", "sh", "-c", script)


def _write_room(room: Room) -> None:
    """The inventory, the keys as the lab noted them, and what `read` reads."""
    hosts: dict[str, dict[str, Any]] = {}
    links, known = _links(room), []
    for host in room.hosts:
        hosts[host.name] = {"ansible_host": host.address, **KINDS[host.kind].variables}
        if KINDS[host.kind].trouble == "other-processor":
            other = "dgx-h100" if os.uname().machine == "aarch64" else "dgx-spark"
            hosts[host.name]["dgxcert_profile"] = other
        hosts[host.name] |= links.get(host.name, {})
        key = room.folder / (
            "key.pub" if host.kind == "key-changed" else f"hosts/{host.name}/etc/ssh/ssh_host_ed25519_key.pub"
        )
        known.append(" ".join([host.address, *key.read_text(encoding="ascii").split()[:2]]))
    variables: dict[str, Any] = {
        "ansible_user": "lab",
        "ansible_ssh_private_key_file": str(room.key),
        "ansible_become_user": "dgx",
        "dgxcert_environment": ENVIRONMENT,
    }
    if room.pairs:
        variables["pairs"] = [list(pair) for pair in room.pairs]
    inventory = {"all": {"vars": variables, "hosts": hosts}}
    room.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False), encoding="utf-8")
    room.known_hosts.write_text("\n".join([*known, ""]), encoding="ascii")
    said = {"hosts": [asdict(host) for host in room.hosts], "pairs": room.pairs}
    (room.folder / "room.json").write_text(json.dumps(said, indent=1), encoding="utf-8")


def _links(room: Room) -> dict[str, dict[str, Any]]:
    """The variables of each host that has cables; one that has several has a link for each partner."""
    pairs = [(room.host(one).number, room.host(other).number) for one, other in room.pairs]
    found: dict[str, dict[str, Any]] = {}
    for cable, names in zip(namespaces.cables(pairs), room.pairs, strict=True):
        for name, partner, ports in zip(names, names[::-1], cable.ports, strict=True):
            given = found.setdefault(name, {"link_address": {}, "link_port": {}, "link_mtu": namespaces.MTU})
            given["link_address"][partner] = namespaces.link_addresses(cable.number, room.host(name).number)
            given["link_port"][partner] = ports
    for given in found.values():
        for key in ("link_address", "link_port"):
            if len(given[key]) == 1:
                (given[key],) = given[key].values()
    return found


def _await(room: Room, host: SimulatedHost) -> None:
    """Wait until a host answers, then give it the trouble that needs one that is up. Raises RuntimeError."""
    trouble = KINDS[host.kind].trouble
    deadline = time.monotonic() + UP_S
    while trouble != "hidden" and not _greets(host.address):
        if time.monotonic() > deadline or not Path(f"/proc/{host.pid}").exists():
            log = room.folder / "hosts" / host.name / "log"
            raise RuntimeError(f"{host.name} does not answer: {log.read_text(encoding='utf-8', errors='replace')}")
        time.sleep(0.02)
    if trouble == "unplugged":
        room.unplug(host)
    if trouble == "silent":
        os.kill(room.first_process(host), signal.SIGSTOP)


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _await_file(path: Path) -> None:
    deadline = time.monotonic() + UP_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path} is not there")
        time.sleep(0.02)


def _call(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def main() -> None:
    """Make, list or end a room."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["up", "down", "list", "kinds"])
    parser.add_argument("hosts", nargs="?", type=int, default=1, help="how many, for up")
    parser.add_argument("--kinds", default="healthy", help="of the hosts in turn, separated by commas")
    parser.add_argument("--number", type=int, help="of the room")
    parser.add_argument("--pairs", action="store_true", help="join hosts 1 and 2, 3 and 4, ... by cables")
    parser.add_argument(
        "--ring", action="store_true", help="join each host to the next by a cable, the last to the first"
    )
    options = parser.parse_args()
    if options.verb == "kinds":
        _say(*(f"{word:16} {kind.says}" for word, kind in KINDS.items()))
        return
    if options.verb == "up":
        began = time.monotonic()
        if problem := namespaces.unusable():
            parser.error(f"no room can be made here: {problem}")
        pairs = [(one, one + 1) for one in range(1, options.hosts, 2)] if options.pairs else []
        pairs = [(one, one % options.hosts + 1) for one in range(1, options.hosts + 1)] if options.ring else pairs
        room = up(list(islice(cycle(options.kinds.split(",")), options.hosts)), options.number, pairs=pairs)
        _say(f"{len(room.hosts)} hosts in {time.monotonic() - began:.1f} s")
        _show(room)
    elif options.number is None:
        parser.error(f"which room? {options.verb} --number NUMBER")
    elif options.verb == "down":
        down(options.number)
    else:
        _show(read(options.number))


def _show(room: Room) -> None:
    _say(*(f"  {host.name}  {host.address:15} {host.kind}" for host in room.hosts))
    paths = {"folder": room.folder, "inventory": room.inventory, "key": room.key, "known keys": room.known_hosts}
    passwords = {"log-in": room.login_password, "sudo": room.sudo_password}
    _say(*(f"{name:10} {value}" for name, value in {"room": room.number, **paths, **passwords}.items()))


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
