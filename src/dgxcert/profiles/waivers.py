"""Waivers: what somebody answers for although it does not hold, on one machine, with a reason and until a day.

    waivers:
      - requirement: DISK-SPACE
        machine: spark-07
        reason: models lie on the NFS share
        who: Ada Lovelace
        until: 2027-01-31

A waiver changes no outcome: what failed is shown as failed, on every face, with who answers for it.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dgxcert.judgement.units import nearest
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles.yaml_reader import StrictLoader

NAME = "waivers.yaml"

Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class Waiver(BaseModel):
    """One requirement of one machine that somebody answers for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requirement: Words
    """An id or a key: `DISK-SPACE`, `DECODE-SPEED[bf16-tuned-single]`. No patterns: each is named."""
    machine: Words
    """Host name, serial number or a GPU's UUID."""
    reason: Words
    who: Words
    until: date
    """The last day on which it holds, by UTC."""

    @property
    def words(self) -> str:
        """On one line: `DISK-SPACE: models lie on the NFS share (Ada Lovelace, until 2027-01-31)`."""
        return f"{self.requirement}: {self.reason} ({self.who}, until {self.until})"

    def meant_for(self, machine: Machine) -> bool:
        """Whether it is about this machine."""
        return self.machine in names(machine)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    waivers: tuple[Waiver, ...]


def names(machine: Machine) -> set[str]:
    """What a machine may be called by."""
    return {name for name in (machine.hostname, machine.serial, *(gpu.uuid for gpu in machine.gpus)) if name}


def load(path: Path, known: Iterable[str], machine: Machine, today: date) -> tuple[Waiver, ...]:
    """The waivers of a file that are meant for this machine; `known` are ids and keys of all requirements.

    Raises CannotStart for a file that is no list of waivers, and for any waiver in it that has expired, that stands
    twice or that names no requirement, whichever machine it is for: a list that nobody tends is not one to sign.
    """
    found = _read(path)
    requirements = sorted(set(known))
    for number, waiver in enumerate(found, start=1):
        where = f"{path}, waiver {number} ({waiver.requirement} of {waiver.machine})"
        if waiver.requirement not in requirements:
            raise CannotStart(
                f"{where}: no requirement is called that; {nearest(waiver.requirement, requirements)}",
                "`dgxcert list` shows every requirement.",
            )
        _must_hold(waiver, today, where)
        same = [each for each in found if (each.requirement, each.machine) == (waiver.requirement, waiver.machine)]
        if len(same) > 1:
            raise CannotStart(f"{where} stands {len(same)} times.", "Leave one of them.")
    return tuple(waiver for waiver in found if waiver.meant_for(machine))


def must_hold(waivers: Iterable[Waiver], today: date) -> None:
    """Raise CannotStart for a waiver that has expired."""
    for waiver in waivers:
        _must_hold(waiver, today, f"The waiver of {waiver.requirement}, with which this run began,")


def _must_hold(waiver: Waiver, today: date, where: str) -> None:
    if waiver.until < today:
        raise CannotStart(
            f"{where} expired on {waiver.until}.",
            "Mend the machine and remove the waiver, or have somebody answer for it anew; then start a new run.",
        )


def _read(path: Path) -> tuple[Waiver, ...]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), StrictLoader)  # noqa: S506 (a SafeLoader)
        return _File.model_validate(content).waivers
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Name another with --waivers.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path} is no YAML: {' '.join(str(error).split())}.", "Mend the file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CannotStart(
            f"{path}: {place}: {first['msg']}.",
            "Each waiver gives requirement, machine, reason, who and until (YYYY-MM-DD), and nothing else.",
        ) from error
