"""What joins the GPUs of a simulated machine: its NVLinks, who may reach whom, and where each GPU is on the bus.

The forms in which a description gives them, and the lines of the table in which driver_links.c reads them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pynvml

Fields = dict[str, Any]

NO_NVLINK = ("not_supported", "absent")
STATES = {"down": 0, "up": 1, "sleeps": 2, "no traffic": 3}
REMOTE = {"gpu": 0, "switch": 2, "unknown": 255}
P2P = {"OK": 0, "CNS": 1, "GNS": 2, "TNS": 3, "DR": 4, "NS": 5, "U": 6}
"""As `nvidia-smi topo -p2p` abbreviates: chipset, GPU or topology not supported, disabled by registry key."""
CAPABILITIES = ("read", "write", "nvlink", "atomics", "pci")
COUNTERS = {
    *("replay", "recovery", "crc", "crc_flit", "crc_data", "ecc_data"),
    *("malformed_packet", "buffer_overrun", "receive", "receive_remote", "receive_general", "local_link_integrity"),
    *("xmit_discards", "recovery_successful", "recovery_failed", "effective", "effective_ber", "symbol", "symbol_ber"),
}
"""Error counters of a link, by what driver_links.c calls them. The second and third line are those of NVLink 5."""
NODES = 2
"""NUMA nodes of a machine with several GPUs, of which each has its half of them."""
CORES = 16
"""Processors of each node."""

FIELDS = {"nvlinks", "nvlink_errors", "peer_access", "peers", "numa_node"}
"""What a description gives in more than one line of the table."""


def state(value: Any) -> object:
    """A link is up, down, sleeps, or carries no traffic."""
    return STATES[str(value)]


def remote(value: Any) -> object:
    """What is at the far end of a link."""
    return REMOTE[str(value)]


def version(value: Any) -> object:
    """NVLink's version, 4.0, as NVML numbers it."""
    return getattr(pynvml, f"NVML_NVLINK_VERSION_{str(value).replace('.', '_')}")


def bus_id(index: int) -> str:
    """Where GPU `index` is on the bus, as its folder in sysfs is called."""
    return f"{index:04x}:01:00.0"


def node_of(index: int, gpus: int, fields: Fields) -> int:
    """The NUMA node that a GPU is beside; -1 as in a virtual machine, where nobody tells."""
    return int(fields.get("numa_node", index * NODES // gpus if gpus > 1 else 0))


def lines(index: int, gpus: int, fields: Fields, machine: Fields, value: Callable[..., object]) -> Iterator[str]:
    """The lines of one GPU: `fields` are its own, `machine` those of all; `value` makes one for the table."""
    yield f"{index} pci {bus_id(index)}"
    node = node_of(index, gpus, fields)
    if node >= 0:
        yield f"{index} numa {node}"
        yield f"{index} processors {node * CORES}-{node * CORES + CORES - 1}"
    has_links = str(fields.get("nvlink_count", "absent")) not in (*NO_NVLINK, "0")
    if has_links:
        yield f"{index} nvlink.pci 0000:{0xC0 + index:02x}:00.0"
        yield from _counters(f"{index} nvlink.error", fields.get("nvlink_errors", {}), value)
        for link, own in fields.get("nvlinks", {}).items():
            yield from _link(f"{index} nvlink.{link}", own, value)
    if gpus > 1:
        yield from _peers(index, has_links, machine, value)


def _link(name: str, own: Fields, value: Callable[..., object]) -> Iterator[str]:
    known: dict[str, tuple[str, Callable[[Any], object]]] = {
        "state": ("state", state),
        "speed_gbs": ("speed", lambda gbs: round(float(gbs) * 1000)),
        "version": ("version", version),
        "remote": ("remote", remote),
        "errors": ("error", str),
    }
    if strange := set(own) - set(known):
        raise ValueError(
            f"nvlinks: no such field of a link: {', '.join(sorted(strange))}; there are {', '.join(known)}"
        )
    for field, said in own.items():
        if field == "errors":
            yield from _counters(f"{name}.error", said, value)
        else:
            yield f"{name}.{known[field][0]} {value(said, known[field][1])}"


def _counters(name: str, said: Fields, value: Callable[..., object]) -> Iterator[str]:
    for counter, count in (
        {**dict.fromkeys(COUNTERS, 0), **said}.items() if name.endswith("nvlink.error") else said.items()
    ):
        if counter.removesuffix("_per_s") not in COUNTERS:
            raise ValueError(f"nvlink_errors: no such counter: {counter}; there are {', '.join(sorted(COUNTERS))}")
        yield f"{name}.{counter.replace('_per_s', '.per_s')} {value(count, int)}"


def _peers(index: int, has_links: bool, machine: Fields, value: Callable[..., object]) -> Iterator[str]:
    """Whether this GPU may reach each other one: `peer_access` holds of all, `peers` of pairs."""
    usual = {**dict.fromkeys(CAPABILITIES, "OK"), "nvlink": "OK" if has_links else "NS"}
    said = machine.get("peer_access", {})
    usual |= said if isinstance(said, dict) else dict.fromkeys(CAPABILITIES, said)
    yield from (f"{index} peer.{name} {value(word, status)}" for name, word in usual.items())
    for pair, said in machine.get("peers", {}).items():
        one, arrow, other = str(pair).partition(">") if ">" in str(pair) else str(pair).partition("-")
        ends = [(int(one), int(other)), *([(int(other), int(one))] if arrow == "-" else [])]
        told = said if isinstance(said, dict) else dict.fromkeys(CAPABILITIES[:4], said)
        for there in [there for here, there in ends if here == index]:
            yield from (f"{index} peer.{there}.{name} {value(word, status)}" for name, word in told.items())


def status(word: Any) -> object:
    """Whether a GPU may reach another, in the words of nvidia-smi."""
    return P2P[str(word)]
