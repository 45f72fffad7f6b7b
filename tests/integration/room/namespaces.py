"""The network of a room: a switch in a namespace of its own, a port of it here, and a namespace for every host.

Everything is named after the room's number, so that several rooms can be on one computer.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PROGRAMS = ("ip", "unshare", "nsenter", "mount", "openssl", "ssh-keygen", "ssh", "sudo", "cc")
SSHD = "/usr/sbin/sshd"
MTU = 9000
HALVES = 2
"""Of a cable between two hosts: network interfaces p0 and p1, as a ConnectX-7 port shows them."""


@dataclass(frozen=True)
class Network:
    """The names and addresses of a room."""

    number: int

    @property
    def switch(self) -> str:
        """The namespace of the switch."""
        return f"dgxcert{self.number}-switch"

    @property
    def port(self) -> str:
        """The interface here that leads to the hosts."""
        return f"dgxcert{self.number}"

    @property
    def here(self) -> str:
        """This computer's address among the hosts."""
        return f"10.77.{self.number}.254"

    def namespace(self, host: int) -> str:
        """Of a host, counted from 1."""
        return f"dgxcert{self.number}-{host:03}"

    def address(self, host: int) -> str:
        """Of a host, counted from 1, up to 250."""
        return f"10.77.{self.number}.{host}"

    @property
    def namespaces(self) -> list[str]:
        """Those of this room that are there."""
        found = subprocess.run(["ip", "-j", "netns", "list"], capture_output=True, text=True, check=True).stdout
        names = [each["name"] for each in json.loads(found or "[]")]
        return [name for name in names if name.startswith(f"dgxcert{self.number}-")]


def unusable() -> str:
    """Why no room can be made here; "" where it can."""
    if os.geteuid() != 0:
        return "not root, who makes namespaces"
    if missing := [name for name in (*PROGRAMS, SSHD) if not shutil.which(name)]:
        return f"{', '.join(missing)} not installed"
    layer = "mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work room /etc"
    script = f"mount -t tmpfs room /mnt && mkdir /mnt/upper /mnt/work && {layer}"
    made = subprocess.run(
        ["unshare", "--net", "--mount", "--uts", "--pid", "--ipc", "--fork", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return made.stderr.strip() if made.returncode else ""


def make(network: Network, hosts: int) -> None:
    """The switch, with a namespace on each of its ports. Raises FileExistsError where that room is there already."""
    made = subprocess.run(["ip", "netns", "add", network.switch], capture_output=True, text=True, check=False)
    if made.returncode:
        raise FileExistsError(f"room {network.number} is there already: {made.stderr.strip()}")
    for host in range(1, hosts + 1):
        ip("netns", "add", network.namespace(host))
    batch(
        None,
        [
            f"link add {network.port} type veth peer name uplink netns {network.switch}",
            f"addr add {network.here}/24 dev {network.port}",
            f"link set {network.port} up",
        ],
    )
    ports = ["link add br0 type bridge", "link set br0 up", "link set uplink master br0", "link set uplink up"]
    for host in range(1, hosts + 1):
        ports += [f"link add h{host} type veth peer name eth0 netns {network.namespace(host)}"]
        ports += [f"link set h{host} master br0", f"link set h{host} up"]
    batch(network.switch, ports)
    for host in range(1, hosts + 1):
        address = f"addr add {network.address(host)}/24 dev eth0"
        batch(network.namespace(host), ["link set lo up", address, "link set eth0 up"])


@dataclass(frozen=True)
class Cable:
    """A cable between two hosts, with both halves of a port at each end."""

    number: int
    """Of the room's cables, counted from 1, which gives it its subnets."""
    ends: tuple[int, int]
    """The hosts, counted from 1."""
    ports: tuple[list[str], list[str]]
    """Of each end, p0 and p1 of its first cable, p2 and p3 of its second."""


def cables(pairs: Sequence[tuple[int, int]]) -> list[Cable]:
    """The cables that join these hosts, each in ports of its own."""
    taken: dict[int, int] = {}
    found = []
    for number, ends in enumerate(pairs, start=1):
        ports: list[list[str]] = []
        for host in ends:
            first = taken.get(host, 0)
            taken[host] = first + HALVES
            ports.append([f"p{first + half}" for half in range(HALVES)])
        found.append(Cable(number, ends, (ports[0], ports[1])))
    return found


def plug(network: Network, cable: Cable) -> None:
    """Put a cable in: both halves, each with a subnet of its own (`link_addresses`)."""
    spaces = [network.namespace(host) for host in cable.ends]
    for ours, theirs in zip(*cable.ports, strict=True):
        batch(spaces[0], [f"link add {ours} type veth peer name {theirs} netns {spaces[1]}"])
    for space, host, ports in zip(spaces, cable.ends, cable.ports, strict=True):
        for port, address in zip(ports, link_addresses(cable.number, host), strict=True):
            batch(space, [f"link set {port} mtu {MTU}", f"addr add {address}/24 dev {port}", f"link set {port} up"])


def link_addresses(cable: int, host: int) -> list[str]:
    """The addresses of a host on a cable."""
    return [f"192.168.{(100 + 2 * cable + half) % 256}.{host}" for half in range(HALVES)]


def remove(network: Network) -> None:
    """End what runs in the room and remove its network."""
    names = network.namespaces
    for _ in range(50):
        running = [pid for name in names for pid in pids(name)]
        if not running:
            break
        for pid in running:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    for name in names:
        ip("netns", "del", name)
    subprocess.run(["ip", "link", "del", network.port], capture_output=True, check=False)


def pids(namespace: str) -> list[int]:
    """The processes in a namespace."""
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in listed.split()]


def ip(*args: str) -> None:
    """Call `ip`. Raises RuntimeError with what it says."""
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(args)}: {done.stderr.strip()}")


def batch(namespace: str | None, lines: Sequence[str] | Iterable[str]) -> None:
    """Call `ip` once for several lines. Raises RuntimeError with what it says."""
    inside = ["-n", namespace] if namespace else []
    text = "\n".join(lines) + "\n"
    done = subprocess.run(["ip", *inside, "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip in {namespace or 'this computer'}: {done.stderr.strip()}")
