"""Drift: what has changed on a machine since its certificate, and whether the certificate is still valid. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dgxcert.certificate.statement import CERTIFICATE, Extension
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.machine.image import Image


class State(StrEnum):
    """The state of one fact of a certificate, as it is printed."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    UNKNOWN = "could not be checked"
    IRRELEVANT = "changed, but the certificate does not depend on it"


@dataclass(frozen=True)
class Compared:
    """One fact as certified and as it is."""

    name: str
    certified: str
    current: str
    state: State


def compare(certified: Extension, machine: Machine, image: Image | None, unreadable: str = "") -> list[Compared]:
    """The facts of a certificate compared with its machine as it is.

    `unreadable` is why the image could not be checked; where it is empty and `image` is None, the image is missing.
    GPUs, driver, firmware, image and lock decide; kernel, system and host name may change without a new run.
    """
    before = certified.machine
    compared = [
        _decisive("GPUs", _gpus(before.gpus), _gpus(machine.gpus)),
        _decisive("serial number", before.serial, machine.serial),
        _decisive("driver", before.driver, machine.driver),
        _decisive("CUDA of the driver", before.cuda_driver, machine.cuda_driver),
        _decisive("firmware", before.firmware, machine.firmware),
        _decisive("VBIOS", _vbios(before.gpus), _vbios(machine.gpus)),
        _irrelevant("kernel", before.kernel, machine.kernel),
        _irrelevant("operating system", before.operating_system, machine.operating_system),
        _irrelevant("host name", before.hostname, machine.hostname),
    ]
    software = certified.software
    if software.image_id is None:
        return compared
    if image is None:
        problem = unreadable or f"there is no image {software.image}"
        state = State.UNKNOWN if unreadable else State.CHANGED
        return [*compared, Compared("image", _short(software.image_id), problem, state)]
    compared.append(_decisive("image", _short(software.image_id), _short(image.id)))
    compared.append(_decisive("lock", (software.lock_sha256 or "")[:12], image.lock_sha256[:12]))
    return compared


def is_valid(certified: Extension, compared: Iterable[Compared], now: datetime, *, verified: bool) -> bool | None:
    """Whether a certificate is still valid; None where its signature or something else could not be checked."""
    states = {item.state for item in compared}
    if certified.kind != CERTIFICATE or certified.expires <= now or State.CHANGED in states:
        return False
    return None if State.UNKNOWN in states or not verified else True


def same_machine(certified: Extension, machine: Machine) -> bool:
    """Whether this is the certified machine: by a GPU in common, else by serial number, else by host name."""
    uuids = {gpu.uuid for gpu in certified.machine.gpus}
    if uuids and machine.gpus:
        return bool(uuids & {gpu.uuid for gpu in machine.gpus})
    if certified.machine.serial and machine.serial:
        return certified.machine.serial == machine.serial
    return certified.machine.hostname == machine.hostname


def _decisive(name: str, before: str | None, current: str | None) -> Compared:
    if before is None:  # it could not be read for the certificate either, so the certificate does not depend on it
        state = State.UNCHANGED if current is None else State.IRRELEVANT
        return Compared(name, "not readable", current or "not readable", state)
    if current is None:
        return Compared(name, before, "not readable", State.UNKNOWN)
    return Compared(name, before, current, State.UNCHANGED if before == current else State.CHANGED)


def _irrelevant(name: str, before: str | None, current: str | None) -> Compared:
    state = State.UNCHANGED if before == current else State.IRRELEVANT
    return Compared(name, before or "unknown", current or "unknown", state)


def _gpus(gpus: tuple[Gpu, ...]) -> str:
    return ", ".join(sorted(gpu.uuid for gpu in gpus)) or "none"


def _vbios(gpus: tuple[Gpu, ...]) -> str | None:
    versions = [gpu.vbios for gpu in gpus if gpu.vbios]
    return ", ".join(sorted(versions)) or None


def _short(identity: str) -> str:
    """The twelve digits that Docker shows of an id.

    >>> _short("sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945")
    '4f53cda18c2b'
    """
    return identity.removeprefix("sha256:")[:12]
