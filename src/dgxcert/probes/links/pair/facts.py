"""Facts of a link on one end: every network interface with its speed, MTU, PCIe function and RDMA device.

A ConnectX-7 port of a DGX Spark is two PCIe functions, each with an interface and an RDMA device of its own:
`0000:01:00.0` with `enp1s0f0np0` and `rocep1s0f0`, `0002:01:00.0` with `enP2p1s0f0np0` and `roceP2p1s0f0`. Both name
the speed of the port, 200 Gbit/s, and each carries half of it.
"""

import json
import os
import platform
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from dgxcert import command
from dgxcert.record.room.pair_answer import LinkFacts, Port

SYS = Path("/sys")
NET, DMI = Path("class/net"), Path("class/dmi/id")
"""Below SYS: Linux, Documentation/ABI/testing/sysfs-class-net."""
ANSWER_S = 5.0
PORT = "1"
"""Each function has an RDMA device with one port."""
PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
SPEED = re.compile(r"([\d.]+) GT/s")
RATE = re.compile(r"([\d.]+) Gb/sec")
MOST_CHARS = 200


def read(asked: Collection[str], sys: Path = SYS) -> LinkFacts:
    """The facts of all interfaces; those that the lab wrote for this link are marked."""
    known = addresses(_ip_addresses())
    names = sorted(path.name for path in (sys / NET).iterdir() if path.is_dir())  # bonding_masters is a file
    return LinkFacts(
        ports=tuple(_port(sys / NET / name, name in asked, known.get(name, ())) for name in names),
        bios=_text(sys / DMI / "bios_version"),
        bios_date=_text(sys / DMI / "bios_date"),
        product=_text(sys / DMI / "product_name"),
        kernel=platform.release(),
    )


def addresses(said: str) -> dict[str, tuple[str, ...]]:
    """The IPv4 addresses of each interface with their prefix, from `ip -j -4 address`.

    >>> addresses('[{"ifname": "p0", "addr_info": [{"local": "192.168.100.1", "prefixlen": 24}]}]')
    {'p0': ('192.168.100.1/24',)}
    >>> addresses("")
    {}
    """
    try:
        return {
            each["ifname"]: tuple(f"{info['local']}/{info['prefixlen']}" for info in each.get("addr_info", ()))
            for each in json.loads(said)
            if "ifname" in each  # an interface without an address of this kind is an empty object
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _ip_addresses() -> str:
    if shutil.which("ip") is None:  # as in a container
        return ""
    return command.run(["ip", "-j", "-4", "address"], timeout_s=ANSWER_S).stdout


def _port(folder: Path, asked: bool, found: tuple[str, ...]) -> Port:
    """An interface, and the PCIe function below it where it is hardware."""
    device = folder / "device"
    rdma = _first(device / "infiniband")
    state = device / "infiniband" / rdma / "ports" / PORT
    address = device.resolve().name if device.is_dir() else ""
    return Port(
        interface=folder.name,
        up=_is_up(folder),
        carrier=_yes_or_no(_text(folder / "carrier")),
        gbits=_gbits(_text(folder / "speed")),
        mtu=_number(_text(folder / "mtu")),
        addresses=found,
        mac=_text(folder / "address"),
        driver=_name_of_link(device / "driver"),
        firmware=_text(device / "infiniband" / rdma / "fw_ver") if rdma else "",
        function=address if PCI_ADDRESS.fullmatch(address) else "",
        pcie_gts=_matched(SPEED, _text(device / "current_link_speed")),
        pcie_width=_number(_text(device / "current_link_width")),
        pcie_most_gts=_matched(SPEED, _text(device / "max_link_speed")),
        pcie_most_width=_number(_text(device / "max_link_width")),
        hca=rdma,
        hca_state=_text(state / "state").rpartition(": ")[2] if rdma else "",
        hca_gbits=_matched(RATE, _text(state / "rate")) if rdma else None,
        asked=asked,
    )


def _is_up(folder: Path) -> bool | None:
    """Whether somebody has set it up (IFF_UP), whatever its cable does."""
    try:
        return bool(int(_text(folder / "flags"), 16) & 1)
    except ValueError:
        return None


def _yes_or_no(text: str) -> bool | None:
    """Of an interface that is down, the kernel does not say it."""
    return {"0": False, "1": True}.get(text)


def _gbits(text: str) -> float | None:
    """`speed` is in Mbit/s, and -1 or unreadable without a carrier.

    >>> _gbits("200000"), _gbits("-1"), _gbits("")
    (200.0, None, None)
    """
    speed = _number(text)
    return speed / 1000 if speed is not None and 0 < speed < 2**31 else None


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _matched(pattern: re.Pattern[str], text: str) -> float | None:
    """The number of a text such as `32.0 GT/s PCIe` or `200 Gb/sec (4X HDR)`."""
    found = pattern.match(text)
    return float(found.group(1)) if found else None


def _first(folder: Path) -> str:
    """The name of the only entry of a folder; "" where there is none."""
    try:
        return min(os.listdir(folder), default="")
    except OSError:
        return ""


def _name_of_link(path: Path) -> str:
    try:
        return Path(os.readlink(path)).name
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:MOST_CHARS]
    except OSError:  # as of the speed of an interface without a carrier
        return ""
