"""The host of a simulated machine, in a process on a host of the room."""

import ast
import tempfile
from pathlib import Path
from typing import Any

from integration.room.played_machine import MACHINE, PLAYED
from simulated import host
from simulated.machine import Machine as Described

from dgxcert.machine.identity import Machine
from dgxcert.probes.host import identity as probe

KERNEL = "6.17.0-1021-nvidia"
DGX_RELEASE = "7.4.0"


def play() -> None:
    """Replace what this process reads of the host."""
    host.play(Described("played", _fields()), Path(tempfile.mkdtemp(dir=PLAYED)))


def identity() -> Machine:
    """The machine that is played, once `play` has replaced the host."""
    fields = _fields()
    played = {
        "virtual": False,
        "dgx_release": fields.get("dgx_release", DGX_RELEASE),
        "kernel": fields.get("kernel_release", KERNEL),
    }
    return probe.read().model_copy(update=played)


def may_measure() -> bool:
    """Whether this host may begin another measurement; one that is not held always may."""
    allowed, begun = MACHINE / "may", PLAYED / "begun"
    if not allowed.exists():
        return True
    return (begun.stat().st_size if begun.exists() else 0) < int(allowed.read_text(encoding="ascii") or 0)


def _fields() -> dict[str, Any]:
    fields: dict[str, Any] = ast.literal_eval((MACHINE / "fields").read_text(encoding="utf-8"))
    return fields
