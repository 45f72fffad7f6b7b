"""Drift: what has changed on a machine since its certificate, and whether that still stands. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dgxcert.certificate.statement import CERTIFICATE, Ours
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.machine.image import Image


class Now(StrEnum):
    """What became of one thing that a certificate rests on."""

    SAME = "the same"
    CHANGED = "changed"
    UNKNOWN = "could not look"
    NOTED = "changed, which it does not rest on"


@dataclass(frozen=True)
class Compared:
    """One thing, then and now."""

    what: str
    then: str
    now: str
    state: Now


def compare(ours: Ours, machine: Machine, image: Image | None, unseen: str = "") -> list[Compared]:
    """What a certificate names of its machine, against the machine as it is; `unseen` says why there is no image.

    GPUs, driver, firmware, image and lock decide; a kernel or a host name may change without a new measurement.
    """
    then = ours.machine
    found = [
        _of("GPUs", _gpus(then.gpus), _gpus(machine.gpus)),
        _of("serial number", then.serial, machine.serial),
        _of("driver", then.driver, machine.driver),
        _of("CUDA of the driver", then.cuda_driver, machine.cuda_driver),
        _of("firmware", then.firmware, machine.firmware),
        _of("VBIOS", _vbios(then.gpus), _vbios(machine.gpus)),
        _noted("kernel", then.kernel, machine.kernel),
        _noted("operating system", then.operating_system, machine.operating_system),
        _noted("host name", then.hostname, machine.hostname),
    ]
    software = ours.software
    if software.image_id is None:
        return found
    if image is None:
        lost = unseen or f"there is no image {software.image}"
        state = Now.UNKNOWN if unseen else Now.CHANGED
        return [*found, Compared("image", _short(software.image_id), lost, state)]
    found.append(_of("image", _short(software.image_id), _short(image.id)))
    found.append(_of("lock", (software.lock_sha256 or "")[:12], image.lock_sha256[:12]))
    return found


def is_valid(ours: Ours, compared: Iterable[Compared], now: datetime) -> bool | None:
    """Whether a certificate is still valid; None where something that it depends on could not be checked."""
    states = {each.state for each in compared}
    if ours.kind != CERTIFICATE or ours.expires <= now or Now.CHANGED in states:
        return False
    return None if Now.UNKNOWN in states else True


def same_machine(ours: Ours, machine: Machine) -> bool:
    """Whether it is the machine that was certified: a GPU of it is there, or where there is none its host name."""
    then = {gpu.uuid for gpu in ours.machine.gpus}
    if then and machine.gpus:
        return bool(then & {gpu.uuid for gpu in machine.gpus})
    if ours.machine.serial and machine.serial:
        return ours.machine.serial == machine.serial
    return ours.machine.hostname == machine.hostname


def _of(what: str, then: str | None, now: str | None) -> Compared:
    if then is None:  # nobody read it then either, so that it rests on nothing
        return Compared(what, "not readable", now or "not readable", Now.SAME if now is None else Now.NOTED)
    if now is None:
        return Compared(what, then, "not readable", Now.UNKNOWN)
    return Compared(what, then, now, Now.SAME if then == now else Now.CHANGED)


def _noted(what: str, then: str | None, now: str | None) -> Compared:
    return Compared(what, then or "unknown", now or "unknown", Now.SAME if then == now else Now.NOTED)


def _gpus(gpus: tuple[Gpu, ...]) -> str:
    return ", ".join(sorted(gpu.uuid for gpu in gpus)) or "none"


def _vbios(gpus: tuple[Gpu, ...]) -> str | None:
    known = [gpu.vbios for gpu in gpus if gpu.vbios]
    return ", ".join(sorted(known)) or None


def _short(identity: str) -> str:
    return identity.removeprefix("sha256:")[:12]
