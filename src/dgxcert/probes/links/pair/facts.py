"""Facts of a link on one end: every network interface with its speed, MTU and RDMA device."""

import contextlib
import os
import platform
from collections.abc import Collection
from pathlib import Path

from dgxcert.record.room.pair_answer import LinkFacts, Port

NET = Path("/sys/class/net")


def read(asked: Collection[str], net: Path = NET) -> LinkFacts:
    """The facts of all interfaces; those that the lab wrote for this link are marked."""
    return LinkFacts(
        ports=tuple(_port(net / name, name in asked) for name in sorted(os.listdir(net))), kernel=platform.release()
    )


def _port(folder: Path, asked: bool) -> Port:
    speed, mtu = _number(folder / "speed"), _number(folder / "mtu")
    carrier = _number(folder / "carrier")
    rdma = folder / "device" / "infiniband"
    return Port(
        interface=folder.name,
        up=_text(folder / "operstate") in ("up", "unknown"),
        carrier=None if carrier is None else bool(carrier),
        gbits=speed / 1000 if speed is not None and speed > 0 else None,
        mtu=mtu,
        mac=_text(folder / "address"),
        hca=next(iter(sorted(os.listdir(rdma))), "") if rdma.is_dir() else "",
        asked=asked,
    )


def _number(path: Path) -> int | None:
    with contextlib.suppress(ValueError):
        return int(_text(path))
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):  # as of the speed of an interface without a carrier
        return ""
