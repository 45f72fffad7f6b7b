"""A network of one process: names, routes and a firewall that are nobody else's, in namespaces of its own."""

import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

RESOLVER = "127.0.0.1"
PROGRAMS = ("unshare", "ip", "iptables")
UNKNOWN = 0x8183
"""DNS: an answer to a question with recursion, which says that there is no such name."""


def unusable() -> str:
    """Why namespaces cannot be had here; empty where they can."""
    lacking = [name for name in PROGRAMS if not shutil.which(name)]
    if lacking:
        return f"{', '.join(lacking)} not installed"
    script = "ip link set lo up && iptables -A OUTPUT -o lo -p tcp --dport 9 -j DROP"
    done = subprocess.run(inside("sh", "-c", script), capture_output=True, text=True, check=False, timeout=20)
    return done.stderr.strip() if done.returncode else ""


def inside(*args: str) -> list[str]:
    """A command that runs in namespaces of its own, and may rule them."""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *own, "--net", "--mount", "--", *args]


def settle(resolver: str, hosts: dict[str, str]) -> None:
    """Within `inside`: loopback is up, these hosts are known, and the name service is what `resolver` says.

    `absent`: nothing listens there; `silent`: it takes questions and never answers; `unknown`: no name is known.
    """
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
    listed = "".join(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **hosts}.items())
    _replace("/etc/hosts", listed)
    _replace("/etc/resolv.conf", f"nameserver {RESOLVER}\n")
    _replace("/etc/nsswitch.conf", "hosts: files dns\n")
    if resolver != "absent":
        service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        service.bind((RESOLVER, 53))
        threading.Thread(target=_serve, args=(service, resolver == "unknown"), daemon=True).start()


def firewall(verdict: str, address: str, port: int) -> None:
    """`drop` what goes there, or `reject` it as a router does that knows no way."""
    to = ["iptables", "-A", "OUTPUT", "-d", address, "-p", "tcp", "--dport", str(port), "-j"]
    how = ["DROP"] if verdict == "drop" else ["REJECT", "--reject-with", "icmp-host-unreachable"]
    subprocess.run([*to, *how], check=True, timeout=10)


def _serve(service: socket.socket, answers: bool) -> None:
    while True:
        question, client = service.recvfrom(512)
        if answers:
            service.sendto(question[:2] + UNKNOWN.to_bytes(2, "big") + question[4:], client)


def _replace(path: str, text: str) -> None:
    """Lay a file over another, for this process and its children only."""
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    libc = ctypes.CDLL(None, use_errno=True)
    bind = 4096
    if libc.mount(file.name.encode(), path.encode(), None, bind, None):
        raise OSError(ctypes.get_errno(), f"cannot lay a file over {path}")
    Path(file.name).unlink()
