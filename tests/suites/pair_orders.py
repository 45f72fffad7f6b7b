"""The orders of both ends of a pair on loopback addresses, and what they have."""

import socket
from typing import Any

from dgxcert.machine.device import Device
from dgxcert.profiles import profile
from dgxcert.record.room.pair_answer import Versions
from dgxcert.workloads.pairs import order
from dgxcert.workloads.pairs.order import Order

ADDRESSES = ("127.0.0.1", "127.0.0.2")
HOSTS = ("spark-01", "spark-02")
HAS = Versions(dgxcert="1.4.0", suite="5f", python="3.12.3", torch="2.9.1", nccl="2.28.9", accelerator="NVIDIA GB10")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESSES[0], 0))
        return int(probe.getsockname()[1])


def told(rank: int, port: int, **changed: Any) -> Order:
    """What one end is told; `changed` replaces some of it."""
    what = {
        "rank": rank,
        "host": HOSTS[rank],
        "peer_host": HOSTS[1 - rank],
        "address": ADDRESSES[rank],
        "peer": ADDRESSES[1 - rank],
        "port": port,
        "meeting": "2026-12-01",
        "interfaces": ("lo",),
        "patience_s": 3,
        "limit_s": 60,
    }
    return order.of(profile.load("cpu"), Device("cpu", 0, "CPU"), **what | changed)
