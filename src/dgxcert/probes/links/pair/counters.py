"""Counters of every network interface and RDMA port: which of them really carried the bytes.

RDMA goes past the kernel's network stack, so that an interface's own counters may not see it: its port's do.
"""

import contextlib
import os
from pathlib import Path

from dgxcert.record.room.pair_answer import Counters

NET, INFINIBAND = Path("/sys/class/net"), Path("/sys/class/infiniband")
WORD_BYTES = 4
"""`port_rcv_data` and `port_xmit_data` count words of four bytes: Linux, ABI/stable/sysfs-class-infiniband."""


def read(net: Path = NET, infiniband: Path = INFINIBAND) -> tuple[Counters, ...]:
    """The counters of all interfaces and RDMA ports, by name; what cannot be read is left out."""
    found = [_interface(net / name) for name in _names(net)]
    for device in _names(infiniband):
        ports = infiniband / device / "ports"
        found += [_port(ports / port, f"{device}/{port}") for port in _names(ports)]
    return tuple(each for each in found if each is not None)


def carried_bytes(before: tuple[Counters, ...], after: tuple[Counters, ...]) -> dict[str, int]:
    """What each interface and port has sent and received meanwhile, in bytes; one that came or went is left out.

    >>> idle = Counters(name="eth0", kind="net", received_bytes=5, sent_bytes=7)
    >>> carried_bytes((idle,), (idle.model_copy(update={"sent_bytes": 107}),))
    {'eth0': 100}
    """
    began = {each.name: each.received_bytes + each.sent_bytes for each in before}
    return {each.name: each.received_bytes + each.sent_bytes - began[each.name] for each in after if each.name in began}


def _interface(folder: Path) -> Counters | None:
    values = _numbers(folder / "statistics")
    if not {"rx_bytes", "tx_bytes"} <= values.keys():
        return None
    received, sent = values.pop("rx_bytes"), values.pop("tx_bytes")
    return Counters(name=folder.name, kind="net", received_bytes=received, sent_bytes=sent, others=values)


def _port(folder: Path, name: str) -> Counters | None:
    values = {**_numbers(folder / "hw_counters"), **_numbers(folder / "counters")}
    if not {"port_rcv_data", "port_xmit_data"} <= values.keys():
        return None
    received, sent = (values.pop(each) * WORD_BYTES for each in ("port_rcv_data", "port_xmit_data"))
    return Counters(name=name, kind="infiniband", received_bytes=received, sent_bytes=sent, others=values)


def _numbers(folder: Path) -> dict[str, int]:
    values = {}
    for name in _names(folder):
        with contextlib.suppress(OSError, ValueError):  # a counter that this driver does not have
            values[name] = int((folder / name).read_text(encoding="ascii"))
    return values


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
