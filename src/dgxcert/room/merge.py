"""Merge: the runs of many machines as one room, each rebuilt from its record, compared with its like.

A run that its record does not prove gives no verdict: its machine is not validated, whatever run.json says.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dgxcert.console import counted
from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan import suite
from dgxcert.plan.suite import Suite
from dgxcert.record import economy
from dgxcert.record.room.document import Clash, Compared, Difference, HostResult, PairResult, Room
from dgxcert.record.room.word import Word
from dgxcert.room.comparison import compare, configuration, identity
from dgxcert.room.comparison.compare import Peers
from dgxcert.room.comparison.outliers import LEAST
from dgxcert.room.comparison.quantities import Table
from dgxcert.room.folder import RoomFolder
from dgxcert.room.merging import extract, hosts, verification
from dgxcert.room.merging.extract import Body, Kind
from dgxcert.room.merging.hosts import UNPROVEN, Member

PAIRS = Path("pairs") / "pairs.json"
PAIRS_AT_MOST = 64 * MIB
MOST_NOTES = 20
"""Notes of one sort; more are counted."""
WELL = (Verdict.CERTIFIED, Verdict.REHEARSED, Verdict.PARTIAL)

Say = Callable[[str], None]


def _quiet(_: str) -> None:
    """Say nothing."""


@dataclass
class Group:
    """Machines whose runs are alike, so that they are compared with each other."""

    kind: Kind
    names: list[str]
    configurations: list[dict[str, str]]
    table: Table


def merge(folder: Path, now: datetime, say: Say = _quiet) -> Room:
    """The room in a folder that `dgxcert room run` made: every host of its inventory.

    Raises CannotStart where it is no such folder.
    """
    inventory = hosts.answered(folder)
    found = {each.name: hosts.runs_of(folder, each.name) for each in inventory}
    verified = verification.verify([run for each in found.values() for run in each.folders], folder, now, say)
    of_host: dict[str, list[verification.Verified]] = {}
    for each in verified:
        of_host.setdefault(each.path.relative_to(folder).parts[0], []).append(each)
    skipped = {name: reason for each in found.values() for name, reason in each.skipped.items()}
    about = RoomFolder(folder).about()
    pairs, problem = _pairs(folder)
    notes = [*_skipped(skipped), *([problem] if problem else [])]
    members = hosts.members(inventory, of_host)
    return _room(folder, members, pairs, notes, about.suite, now, started=about.started)


def merge_folders(folders: Sequence[Path], out: Path, now: datetime, say: Say = _quiet) -> Room:
    """The room of the runs in any folders, of which each machine has the latest that ended.

    Raises CannotStart where there is none.
    """
    found = hosts.runs_below(folders)
    if not found.folders:
        raise CannotStart(
            f"There is no run in {', '.join(str(folder) for folder in folders[:3])}.",
            "Name run folders, or folders that hold some: ls -d results/*",
        )
    verified = verification.verify(found.folders, out, now, say)
    return _room(
        out.resolve(), hosts.by_machine(verified), (), _skipped(found.skipped), suite.identity(suite.root()), now
    )


def _pairs(folder: Path) -> tuple[tuple[PairResult, ...], str]:
    """The pairs of a room, and what is wrong with their file; a room need not have any."""
    path = folder / PAIRS
    try:
        return tuple(TypeAdapter(list[PairResult]).validate_json(untrusted.read_bytes(path, PAIRS_AT_MOST))), ""
    except FileNotFoundError:
        return (), ""
    except OSError as error:
        return (), f"{path} cannot be read, so that no pair counts: {error.strerror}"
    except ValidationError as error:
        return (), f"{path} is no list of pairs, so that none counts: {untrusted.shown(error.errors()[0]['msg'])}"


def _skipped(skipped: dict[str, str]) -> list[str]:
    return _some([f"{name} is skipped: {reason}" for name, reason in sorted(skipped.items())], "folders are skipped")


def _some(notes: list[str], what: str) -> list[str]:
    """Some notes, and how many more there are."""
    more = len(notes) - MOST_NOTES
    return notes if more <= 0 else [*notes[:MOST_NOTES], f"{more} more {what}"]


def _room(
    folder: Path,
    members: Sequence[Member],
    pairs: tuple[PairResult, ...],
    notes: list[str],
    made_by: Suite,
    now: datetime,
    started: str = "",
) -> Room:
    results: list[HostResult] = []
    groups: dict[Kind, Group] = {}
    unchecked: dict[str, int] = {}
    with economy.uncollected():
        for member in members:
            body = _body(member)
            results.append(_result(member, body, folder))
            if body is not None and results[-1].validated:
                _add(groups, results[-1], body)
                unchecked[body.unchecked] = unchecked.get(body.unchecked, 0) + bool(body.unchecked)
    moments = [each.started for each in results if each.started]
    clashes = identity.clashes([each.name for each in results], [each.identity for each in results])
    return Room(
        name=folder.resolve().name,
        suite=made_by,
        started=started or min(moments, key=datetime.fromisoformat, default=now.isoformat()),
        ended=now.isoformat(timespec="seconds"),
        hosts=tuple(results),
        compared=tuple(_compared(groups)),
        differences=tuple(_differences(results)),
        clashes=clashes,
        pairs=pairs,
        notes=(
            *notes,
            *_some([note for member in members for note in member.notes], "notes about runs that do not count"),
            *(f"{counted(number, 'run')}: {what}" for what, number in unchecked.items() if what),
            *_about_groups(groups),
        ),
        exit_code=exit_code(results, pairs, clashes),
    )


def _body(member: Member) -> Body | None:
    return extract.body(member.run.line) if member.run is not None and member.run.line else None


def _result(member: Member, body: Body | None, folder: Path) -> HostResult:
    """A host as its controller knows it, with the run that its record proves."""
    answered, run = member.answered, member.run
    settings = configuration.answered(answered.configuration)
    own = identity.proper(answered.identity)
    about = HostResult(
        name=answered.name,
        address=answered.address or answered.name,
        word=answered.word,
        said=answered.said,
        remedy=answered.remedy,
        run=None if run is None else os.path.relpath(run.path, folder),
        configuration=settings,
        identity=own,
    )
    if answered.word is not Word.VALIDATED or body is None or run is None:
        return _without(about, run)
    head = extract.head(run.line)
    return about.model_copy(
        update={
            "said": "",
            "remedy": (),
            "profile": body.kind.profile,
            "run_id": head.id,
            "verdict": body.verdict,
            "says": body.says,
            "started": head.started,
            "duration_s": (head.when - datetime.fromisoformat(head.started)).total_seconds(),
            "figures": body.figures,
            "problems": body.problems,
            "configuration": configuration.joined(body.configuration, settings),
            "identity": {**body.identity, **own},
        }
    )


def _without(about: HostResult, run: verification.Verified | None) -> HostResult:
    """A host that is not validated, with its reason."""
    if about.word is not Word.VALIDATED:
        remedy = about.remedy or (UNPROVEN if about.word is Word.UNPROVEN else ())
        return about.model_copy(update={"remedy": remedy})
    said = run.trouble if run is not None else "It is said to be validated, and its run is not here."
    return about.model_copy(update={"word": Word.UNPROVEN, "said": said, "remedy": UNPROVEN})


def _add(groups: dict[Kind, Group], host: HostResult, body: Body) -> None:
    """Put a machine among its like."""
    group = groups.setdefault(body.kind, Group(body.kind, [], [], Table()))
    group.table.add(len(group.names), body.readings())
    group.names.append(host.name)
    group.configurations.append(host.configuration)


def _compared(groups: dict[Kind, Group]) -> Iterator[Compared]:
    for group in groups.values():
        among = _among(group.kind, [kind for kind in groups if kind.profile == group.kind.profile])
        peers = Peers(group.kind.profile, among, tuple(group.names), tuple(group.configurations))
        yield from compare.compare(group.table, peers)


def _among(kind: Kind, kinds: Sequence[Kind]) -> str:
    """What sets one kind of run apart from the others of its profile: `tier quick`; "" for the only one."""
    names = [name for name in Kind.model_fields if len({getattr(each, name) for each in kinds}) > 1]
    return ", ".join(f"{name.replace('version', 'suite')} {getattr(kind, name)}" for name in names)


def _about_groups(groups: dict[Kind, Group]) -> Iterator[str]:
    for profile in dict.fromkeys(kind.profile for kind in groups):
        mine = [group for group in groups.values() if group.kind.profile == profile]
        kinds = [group.kind for group in mine]
        if len(mine) > 1:
            each = ", ".join(f"{len(group.names)} of {_among(group.kind, kinds)}" for group in mine[:MOST_NOTES])
            yield f"{profile}: runs are compared with their like alone: {each}"
        few = sum(len(group.names) for group in mine if len(group.names) < LEAST)
        if few:
            machines = counted(few, "machine")
            yield f"{profile}: {machines} among fewer than {LEAST} of a kind, so that no outlier is claimed of them"


def _differences(results: Sequence[HostResult]) -> Iterator[Difference]:
    by_profile: dict[str, list[HostResult]] = {}
    for host in results:
        if host.validated:
            by_profile.setdefault(host.profile, []).append(host)
    for profile, each in by_profile.items():
        yield from configuration.differences(
            profile, [host.name for host in each], [host.configuration for host in each]
        )


def exit_code(results: Sequence[HostResult], pairs: Sequence[PairResult], clashes: Sequence[Clash]) -> int:
    """1: a machine is rejected, or a pair failed; 2: one is not validated, inconclusive, not tested, or two are one.

    0 where every machine is certified, rehearsed or partial, and every pair passed or has no limits.
    """
    tested = [pair for pair in pairs if not pair.confirmation]
    rejected = any(host.validated and host.verdict is Verdict.REJECTED for host in results)
    if rejected or any(pair.outcome is Outcome.FAILED for pair in tested):
        return 1
    well = all(host.validated and host.verdict in WELL for host in results)
    return 0 if results and well and all(pair.well for pair in tested) and not clashes else 2
