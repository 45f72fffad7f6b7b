"""A network namespace for one process and its children, with names, routes and a firewall of its own."""

import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from simulated.loopback_server import BACKLOG_CONNECTIONS, SETTLE_S

RESOLVER = "127.0.0.1"
PROGRAMS = ("unshare", "ip", "iptables")
NXDOMAIN = 0x8183
"""DNS flags of a recursive response for a name that does not exist."""


def unusable() -> str:
    """Why namespaces cannot be used on this machine; empty where they can."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} not installed"
    script = "ip link set lo up && iptables -A OUTPUT -o lo -p tcp --dport 9 -j DROP"
    done = subprocess.run(inside("sh", "-c", script), capture_output=True, text=True, check=False, timeout=20)
    return done.stderr.strip() if done.returncode else ""


def inside(*args: str) -> list[str]:
    """A command that runs in new network and mount namespaces, as their root."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--net", "--mount", "--", *args]


def configure(resolver: str, hosts: dict[str, str], with_ipv6: Sequence[str] = ()) -> None:
    """Within `inside`: bring loopback up, write these hosts to /etc/hosts, and start the DNS server.

    `resolver` is `absent` (nothing listens), `silent` (it never answers) or `unknown` (NXDOMAIN for every name). The
    names in `with_ipv6` have the address ::1 as well, which clients prefer.
    """
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
    lines = "".join(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **hosts}.items())
    _replace("/etc/hosts", "".join(f"::1 {name}\n" for name in with_ipv6) + lines)
    _replace("/etc/resolv.conf", f"nameserver {RESOLVER}\n")
    _replace("/etc/nsswitch.conf", "hosts: files dns\n")
    if resolver != "absent":
        service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        service.bind((RESOLVER, 53))
        threading.Thread(target=_serve, args=(service, resolver == "unknown"), daemon=True).start()


def firewall(action: str, address: str, port: int) -> None:
    """`drop` packets to this address and port, or `reject` them as a router without a route does."""
    rule = ["iptables", "-A", "OUTPUT", "-d", address, "-p", "tcp", "--dport", str(port), "-j"]
    target = ["DROP"] if action == "drop" else ["REJECT", "--reject-with", "icmp-host-unreachable"]
    subprocess.run([*rule, *target], check=True, timeout=10)


@contextmanager
def dropped_ipv6(port: int) -> Iterator[None]:
    """Drop packets to this port of ::1: the queue of a listener that accepts nothing is full."""
    with ExitStack() as stack:
        bound = stack.enter_context(socket.socket(socket.AF_INET6))
        bound.bind(("::1", port))
        bound.listen(0)
        for _ in range(BACKLOG_CONNECTIONS):
            waiting = stack.enter_context(socket.socket(socket.AF_INET6))
            waiting.setblocking(False)
            waiting.connect_ex(("::1", port))
        time.sleep(SETTLE_S)
        yield


def mount_small(folder: Path, options: str) -> None:
    """Mount a small file system over a folder, for this mount namespace only, with options like `size=300k`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, timeout=10)


def _serve(service: socket.socket, answers: bool) -> None:
    while True:
        query, client = service.recvfrom(512)
        if answers:
            service.sendto(query[:2] + NXDOMAIN.to_bytes(2, "big") + query[4:], client)


def _replace(path: str, text: str) -> None:
    """Bind-mount a file with this text over a path, for this mount namespace only."""
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    libc = ctypes.CDLL(None, use_errno=True)
    ms_bind = 4096  # from <sys/mount.h>
    if libc.mount(file.name.encode(), path.encode(), None, ms_bind, None):
        raise OSError(ctypes.get_errno(), f"cannot mount a file over {path}")
    Path(file.name).unlink()
