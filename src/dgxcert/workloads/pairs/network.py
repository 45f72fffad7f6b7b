"""The network of a pair: over which interfaces gloo and NCCL go, told by variables, since both take the first one else.

NCCL's variables: NVIDIA's NCCL user guide, "Environment Variables". `=` before a list has its names match exactly:
without it, `enp1s0f0` means `enp1s0f0np0` too.
"""

import fcntl
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from dgxcert.outcome import CannotStart

INTERFACES = Path("/sys/class/net")
SIOCGIFADDR = 0x8915
"""ioctl(2) of netdevice(7) that asks for an interface's address."""
NAME_BYTES = 15
KEPT = ("NCCL_", "GLOO_", "UCX_", "TORCH_NCCL_")
"""Beginnings of the variables that decide how ends exchange data."""
VARIABLES = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET,BOOTSTRAP,TUNING"}
"""What makes NCCL write over which network and devices it goes, beside what it chooses."""


def variables(interfaces: Sequence[str], hcas: Sequence[str], backend: str) -> dict[str, str]:
    """The variables of the ranks for a link.

    >>> variables(["enp1s0f0np0", "enP2p1s0f0np0"], ["rocep1s0f0", "roceP2p1s0f0"], "nccl")["NCCL_IB_HCA"]
    '=rocep1s0f0:1,roceP2p1s0f0:1'
    >>> variables(["lo"], [], "gloo")
    {'GLOO_SOCKET_IFNAME': 'lo'}
    """
    first = {"GLOO_SOCKET_IFNAME": interfaces[0]}  # what the ends agree on is small
    if backend == "gloo":
        return first
    sockets = {"NCCL_SOCKET_IFNAME": "=" + ",".join(interfaces)}
    rdma = {"NCCL_IB_HCA": "=" + ",".join(f"{hca}:1" for hca in hcas)} if hcas else {}
    return {**first, **sockets, **rdma, **VARIABLES}


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that decide how data goes: of the user, and of this program.

    >>> kept({"NCCL_IB_DISABLE": "1", "PATH": "/bin"})
    {'NCCL_IB_DISABLE': '1'}
    """
    return {name: value for name, value in sorted(environment.items()) if name.startswith(KEPT)}


def require(interfaces: Sequence[str]) -> None:
    """Raise CannotStart where an interface is not there, or where its name is none."""
    there = sorted(os.listdir(INTERFACES))
    missing = [name for name in interfaces if name not in there]
    if missing:
        raise CannotStart(
            f"There is no network interface {missing[0]} on this machine; it has {', '.join(there)}.",
            "Look which one the cable is in: ip -br link",
            "Correct `link_port` in the inventory.",
        )


def address_of(interface: str) -> str:
    """The first IPv4 address of an interface. Raises CannotStart where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = struct.pack("256s", interface.encode()[:NAME_BYTES])
        try:
            return socket.inet_ntoa(fcntl.ioctl(asking, SIOCGIFADDR, request)[20:24])
        except OSError as error:
            raise CannotStart(
                f"The network interface {interface} has no IPv4 address: {error.strerror}.",
                "Look at it: ip -br address",
                "Give it one, in a subnet of its own for each half of a port: sudo netplan try",
            ) from error


def hcas(interfaces: Sequence[str]) -> tuple[str, ...]:
    """The RDMA devices of the same PCIe functions as interfaces; none where these have none."""
    found = []
    for name in interfaces:
        folder = INTERFACES / name / "device" / "infiniband"
        found += sorted(os.listdir(folder)) if folder.is_dir() else []
    return tuple(found)
