"""Hosts: the machines of a room, each with its word, its address, and the run that counts."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dgxcert.console import counted
from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.outcome import CannotStart
from dgxcert.record import journal, run_folders
from dgxcert.record import run as runs_file
from dgxcert.record.room.word import Word
from dgxcert.record.run_folders import RunFolder
from dgxcert.room.conduct import hosts_file
from dgxcert.room.folder import HOST_NAME
from dgxcert.room.merging import extract
from dgxcert.room.merging.extract import Head
from dgxcert.room.merging.verification import Verified

AT_MOST = 64 * MIB
"""The largest hosts.json that is read: one of 10,000 hosts has 10 MiB."""
DEEP = 3
"""Folders below a named one that are searched for runs: a room has its hosts' folders in between."""
MOST_FOLDERS = 200_000
UNPROVEN = (
    "Look at it: dgxcert show RUN; a packed or redacted copy proves nothing, so name the run folder itself.",
    "Validate the machine again: dgxcert validate",
)
NOT_ENDED = ("Continue it on its machine: dgxcert validate --resume latest",)


class Answered(BaseModel):
    """A host as hosts.json has it."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # a newer controller may have written more

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Of the folder of its runs as well, where the room has an inventory."""
    address: str = ""
    word: Word
    said: str = ""
    remedy: tuple[str, ...] = ()
    identity: dict[str, str] = {}
    configuration: dict[str, str] = {}


@dataclass
class Member:
    """A machine of the room: what its controller knows of it, and its runs."""

    answered: Answered
    run: Verified | None = None
    """The one that counts: of those that are proven the latest that ended, else one that is not."""
    notes: tuple[str, ...] = ()
    """What is to be known of its other runs, a sentence each."""


@dataclass
class Found:
    """Run folders, and why anything else that looks like one is skipped."""

    folders: list[RunFolder] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def answered(room: Path) -> list[Answered]:
    """The hosts of a room in the order of its inventory. Raises CannotStart where hosts.json is none."""
    path = room / hosts_file.NAME
    try:
        found = TypeAdapter(list[Answered]).validate_json(untrusted.read_bytes(path, AT_MOST))
    except OSError as error:
        raise CannotStart(
            f"{path} cannot be read: {error.strerror}.",
            "Name the folder of a room, or folders of runs with --out: dgxcert room merge FOLDERS --out DIR",
        ) from error
    except ValidationError as error:
        problem = untrusted.shown(str(error.errors()[0]["msg"]))
        raise CannotStart(f"{path} is no list of hosts: {problem}.", "Run the room again: dgxcert room run") from error
    names = Counter(each.name for each in found)
    if wrong := [name for name, times in names.items() if times > 1 or not HOST_NAME.fullmatch(name)]:
        raise CannotStart(
            f"{path} is no list of hosts: {untrusted.shown(wrong[0])!r} is no name of one host.",
            "Run the room again: dgxcert room run",
        )
    return found


def is_room(folder: Path) -> bool:
    """Whether a folder is that of a room with an inventory."""
    return (folder / hosts_file.NAME).is_file()


def runs_of(room: Path, host: str) -> Found:
    """The run folders that were fetched of one host."""
    listed = run_folders.find(room / host)
    return Found(listed.folders, {f"{host}/{name}": reason for name, reason in listed.skipped.items()})


def runs_below(folders: Iterable[Path]) -> Found:
    """The run folders that are named, or lie below a named one; each once, by where it really is.

    Raises CannotStart for a folder that does not exist, and where there are more than `MOST_FOLDERS`.
    """
    found, seen = Found(), set[Path]()
    listed: dict[Path, run_folders.Found] = {}
    for folder in folders:
        if not folder.is_dir():
            raise CannotStart(f"There is no folder {folder}.", "Name run folders, or folders that hold some.")
        place = folder.resolve()
        if place.parent not in listed and _is_run(place):
            listed[place.parent] = run_folders.find(place.parent)
        if _is_run(place):
            beside = listed[place.parent]
            _add(found, [each for each in beside.folders if each.path == place], seen)
            found.skipped |= {place.name: beside.skipped[place.name]} if place.name in beside.skipped else {}
        else:
            _search(place, DEEP, found, seen)
    return found


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (runs_file.NAME, journal.NAME))


def _search(folder: Path, deep: int, found: Found, seen: set[Path]) -> None:
    listed = run_folders.find(folder)
    _add(found, listed.folders, seen)
    found.skipped |= {f"{folder.name}/{name}": reason for name, reason in listed.skipped.items()}
    if deep == 0:
        return
    runs = {each.path.name for each in listed.folders}
    for name in sorted(os.listdir(folder)):
        below = folder / name
        if name not in runs and not name.startswith(".") and not below.is_symlink() and below.is_dir():
            _search(below, deep - 1, found, seen)


def _add(found: Found, folders: Iterable[RunFolder], seen: set[Path]) -> None:
    new = [each for each in folders if each.path not in seen]
    seen.update(each.path for each in new)
    found.folders += new
    if len(found.folders) > MOST_FOLDERS:
        raise CannotStart(f"There are more than {MOST_FOLDERS:,} runs.", "Merge fewer of them.")


def members(inventory: Sequence[Answered], runs: Mapping[str, Sequence[Verified]]) -> list[Member]:
    """The machines of an inventory, each with the run of its own that counts."""
    return [_with_runs(Member(each), runs.get(each.name, ())) for each in inventory]


def _with_runs(member: Member, runs: Sequence[Verified]) -> Member:
    member.run = counts(runs)
    if member.run is not None and len(runs) > 1:
        member.notes = tuple(
            _about_others(member.answered.name, member.run, [each for each in runs if each is not member.run])
        )
    return member


def _about_others(host: str, chosen: Verified, others: Sequence[Verified]) -> Iterator[str]:
    """What is to be known of the runs of a machine that do not count."""
    if not chosen.line:
        yield f"{host}: none of {counted(len(others) + 1, 'run')} is proven by its record"
        return
    head = extract.head(chosen.line)
    whose = [(each, extract.head(each.line)) for each in others if each.line]
    copies = [each.path.name for each, other in whose if (other.id, other.ended) == (head.id, head.ended)]
    if copies:
        yield f"{host}: {chosen.path.name} is here {len(copies) + 1} times"
    if earlier := len(whose) - len(copies):
        yield f"{host}: {chosen.path.name} counts, the latest that ended; {counted(earlier, 'run')} of it before"
    for each in others:
        if not each.line:
            yield f"{host}: {each.path.name} does not count: {each.trouble}"


def counts(runs: Sequence[Verified]) -> Verified | None:
    """The run that counts: of those that are proven the latest that ended; else any, or None."""
    proven = [each for each in runs if each.line]
    if not proven:
        return runs[-1] if runs else None
    return max(proven, key=lambda each: (extract.head(each.line).when, str(each.path)))


def by_machine(verified: Sequence[Verified]) -> list[Member]:
    """The machines that some runs are of, by name; runs of one machine are those of the same GPUs and host name.

    A run that proves nothing does not say of which machine it is: it stands alone, by the name of its folder.
    """
    groups: dict[tuple[str, str], list[tuple[Head, Verified]]] = {}
    unproven = []
    for each in verified:
        if not each.line:
            unproven.append(each)
            continue
        head = extract.head(each.line)
        groups.setdefault((head.hostname, head.known_as), []).append((head, each))
    machines = [group for runs in groups.values() for group in _by_serial(runs)]
    found = []
    for name, group in _named(machines):
        found.append(_with_runs(Member(_answered(name, Word.VALIDATED)), [each for _, each in group]))
    found.sort(key=lambda member: member.answered.name)
    for each in unproven:
        name = f"{each.path.parent.name}/{each.path.name}"
        ended = os.path.lexists(each.path / runs_file.NAME)
        found.append(Member(_answered(name, Word.UNPROVEN if ended else Word.DIED, each.trouble), each))
    return found


def _answered(name: str, word: Word, said: str = "") -> Answered:
    return Answered(name=untrusted.shown(name)[:200] or "unnamed", word=word, said=said)


def _by_serial(runs: list[tuple[Head, Verified]]) -> list[list[tuple[Head, Verified]]]:
    """Runs of one host name and the same GPUs, apart where their serial numbers differ.

    A run without one, which only root reads, is of the machine that the others are of, where that is one.
    """
    serials = dict.fromkeys(head.serial for head, _ in runs if head.serial)
    if len(serials) < 2:
        return [runs]
    parts = [[pair for pair in runs if pair[0].serial == serial] for serial in serials]
    rest = [pair for pair in runs if not pair[0].serial]
    return [*parts, rest] if rest else parts


def _named(
    machines: list[list[tuple[Head, Verified]]],
) -> Iterable[tuple[str, list[tuple[Head, Verified]]]]:
    """Each machine with its host name; where several have the same one, with what tells them apart."""
    used: dict[str, int] = {}
    for runs in machines:
        used[runs[0][0].hostname] = used.get(runs[0][0].hostname, 0) + 1
    given: set[str] = set()
    for runs in machines:
        head = runs[0][0]
        name = head.hostname
        if used[name] > 1:
            name = f"{name} ({head.serial or head.known_as.partition(',')[0]})"
        if name in given:
            name = f"{head.hostname} (run {head.id})"
        given.add(name)
        yield name, runs
