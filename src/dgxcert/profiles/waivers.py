"""Waivers: failures that a person accepts, for one requirement of one machine, with a reason and an expiry date.

    waivers:
      - requirement: DISK-SPACE
        machine: spark-07
        reason: models are on the NFS share
        who: Ada Lovelace
        until: 2027-01-31

A waiver changes no outcome: every report shows the failure as a failure, and who accepts it.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dgxcert import near_miss
from dgxcert.files import yaml_document
from dgxcert.files.yaml_document import Document
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles import inheritance, schema_errors
from dgxcert.profiles.day import Day

NAME = "waivers.yaml"

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class Waiver(BaseModel):
    """One requirement of one machine whose failure is accepted.

    >>> waiver = Waiver(requirement="DISK-SPACE", machine="spark-07", reason="models are on the NFS share",
    ...                 who="Ada Lovelace", until=date(2027, 1, 31))
    >>> waiver.description
    'DISK-SPACE: models are on the NFS share (Ada Lovelace, until 2027-01-31)'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    requirement: Text
    """An id or a key: `DISK-SPACE`, `DECODE-SPEED[bf16-tuned-single]`. No patterns: each is named."""
    machine: Text
    """Host name, serial number or a GPU's UUID."""
    reason: Text
    who: Text
    until: Day
    """The last day on which it is valid, in UTC."""

    @property
    def description(self) -> str:
        """Requirement, reason, who and until, on one line."""
        return f"{self.requirement}: {self.reason} ({self.who}, until {self.until})"

    def meant_for(self, machine: Machine) -> bool:
        """Whether it is a waiver of this machine."""
        return self.machine in names(machine)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    waivers: tuple[Waiver, ...]


def names(machine: Machine) -> set[str]:
    """The names that a waiver may call a machine by: host name, serial number, UUIDs of its GPUs."""
    return {name for name in (machine.hostname, machine.serial, *(gpu.uuid for gpu in machine.gpus)) if name}


def load(path: Path, known: Iterable[str], machine: Machine, today: date) -> tuple[Waiver, ...]:
    """The waivers of a file that are meant for this machine; `known` are ids and keys of all requirements.

    Raises CannotStart for a file that is not a list of waivers, and for any waiver in it that has expired, is repeated
    or names no requirement, whichever machine it is for: an unmaintained list must not be signed.
    """
    document, waivers = _read(path)
    requirements = sorted(set(known))
    times = Counter((waiver.requirement, waiver.machine) for waiver in waivers)
    for number, waiver in enumerate(waivers):
        where = document.at(f"waivers.{number}")
        label = f"{where}: waiver {number + 1} ({waiver.requirement} of {waiver.machine})"
        if waiver.requirement not in requirements:
            raise CannotStart(
                f"{label}: there is no such requirement; {near_miss.hint(waiver.requirement, requirements)}",
                "`dgxcert list` shows every requirement.",
            )
        _require_valid(waiver, today, label)
        if (same := times[waiver.requirement, waiver.machine]) > 1:
            raise CannotStart(f"{label} is given {same} times.", "Keep one of them.")
    return tuple(waiver for waiver in waivers if waiver.meant_for(machine))


def require_valid(waivers: Iterable[Waiver], today: date) -> None:
    """Raise CannotStart for a waiver that has expired since its run began."""
    for waiver in waivers:
        _require_valid(waiver, today, f"The waiver of {waiver.requirement}, with which this run began,")


def _require_valid(waiver: Waiver, today: date, label: str) -> None:
    if waiver.until < today:
        raise CannotStart(
            f"{label} expired on {waiver.until}.",
            "Fix the machine and remove the waiver, or extend the waiver; then start a new run.",
        )


def _read(path: Path) -> tuple[Document, tuple[Waiver, ...]]:
    document = yaml_document.load(path, "Waivers in")
    try:
        return document, _File.model_validate(document.content).waivers
    except ValidationError as error:
        problems = schema_errors.problems(error, _File)
        raise CannotStart(
            f"{inheritance.place((document,), problems[0])}: {schema_errors.summary(problems)}",
            "Each waiver gives requirement, machine, reason, who and until (YYYY-MM-DD), and nothing else.",
        ) from error
