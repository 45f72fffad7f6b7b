"""Site profiles of a room: limits from its good machines, tighter than those that ship. Outliers are not among them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dgxcert.console import counted
from dgxcert.files.atomic import SHARED, write_text
from dgxcert.history import site_calibration
from dgxcert.history.site_calibration import Candidate, Made
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart
from dgxcert.profiles import profile as profiles
from dgxcert.profiles import site
from dgxcert.profiles.site_record import LEAST_RUNS
from dgxcert.record import journal, timings
from dgxcert.record import run as runs
from dgxcert.record.room.document import HostResult, Room

MOST_RUNS = 100
"""Machines that a profile is made from: more say nothing new of how machines scatter, and each takes some MiB."""
SHOWN = 5
AGAIN = "Validate more machines of one kind by the standard tier: dgxcert room run"


@dataclass(frozen=True)
class Calibrated:
    """What the good machines of one profile make: the site profile, or why there is none; and who is left out."""

    profile: str
    made: Made | None
    refused: str
    left_out: tuple[str, ...]
    machines: int


def calibrate(room: Room, folder: Path, who: str, made: date) -> list[Calibrated]:
    """The site profile of each profile of a room, or why there is none. Raises CannotStart where no machine is good."""
    names = dict.fromkeys(host.profile for host in room.hosts if host.validated)
    if not names:
        raise CannotStart(f"No machine of {folder} was validated, so that none is known to be good.", AGAIN)
    return [_of_profile(name, room, folder, who, made) for name in names]


def _of_profile(name: str, room: Room, folder: Path, who: str, made: date) -> Calibrated:
    left_out: list[str] = []
    good = [host for host in _good(name, room, left_out) if host.run]
    if len(good) > MOST_RUNS:
        left_out.append(f"{len(good) - MOST_RUNS} more good machines, of which nothing else is learnt")
    candidates = [each for host in good[:MOST_RUNS] for each in _candidate(host, folder, left_out)]
    alike = _alike(candidates, left_out)
    if len(alike) < LEAST_RUNS:
        has = f"{counted(len(alike), 'good machine')} of profile {name}, and a site profile needs {LEAST_RUNS}"
        return Calibrated(name, None, has, tuple(left_out), len(alike))
    try:
        return Calibrated(name, site_calibration.make(alike, who, made), "", tuple(left_out), len(alike))
    except CannotStart as error:
        return Calibrated(name, None, error.problem, tuple(left_out), len(alike))


def _good(name: str, room: Room, left_out: list[str]) -> Iterator[HostResult]:
    """The machines that passed everything and are no outlier; the others are named with the reason."""
    outliers = {each.host: each.says for compared in room.compared for each in compared.outliers}
    wanted = Verdict.CERTIFIED if profiles.load(name).certifies else Verdict.REHEARSED
    for host in (each for each in room.hosts if each.validated and each.profile == name):
        if host.verdict is not wanted:
            left_out.append(f"{host.name}: its verdict is {host.verdict}, not {wanted.value}")
        elif host.name in outliers:
            left_out.append(f"{host.name}: it is an outlier: {outliers[host.name]}")
        else:
            yield host


def _candidate(host: HostResult, folder: Path, left_out: list[str]) -> Iterator[Candidate]:
    """The run of a machine, where it may become part of a site profile."""
    path = folder / (host.run or "")
    try:
        run, sha256 = runs.load_hashed(path)
        candidate = Candidate(run, journal.read(path), timings.of(run, path), sha256)
        unfit = site_calibration.unfitness(candidate)
    except CannotStart as error:
        unfit = error.problem
    if unfit:
        left_out.append(f"{host.name}: {unfit}")
    else:
        yield candidate


def _alike(candidates: Sequence[Candidate], left_out: list[str]) -> list[Candidate]:
    """The largest part of the runs that are of one suite, one stack and one kind of machine."""
    groups: dict[tuple[object, ...], list[Candidate]] = {}
    for each in candidates:
        run = each.run
        stack = run.image.lock_sha256 if run.image else None
        kind = (run.suite.sha256, stack, tuple(sorted(gpu.product for gpu in run.machine.gpus)))
        groups.setdefault(kind, []).append(each)
    most = max(groups.values(), key=len, default=[])
    left_out += [
        f"{each.run.machine.hostname}: its suite, stack or GPUs are others than those of most"
        for group in groups.values()
        if group is not most
        for each in group
    ]
    return most


def write(calibrated: Sequence[Calibrated], into: Path) -> list[Path]:
    """Write each site profile as PROFILE.yaml into a folder.

    Raises CannotStart where there is none, with what is missing, and where a file exists already.
    """
    found = [(each, each.made) for each in calibrated if each.made is not None]
    if not found:
        why = "; ".join(f"{each.refused} ({_some(each.left_out)})" for each in calibrated)
        raise CannotStart(f"This room makes no site profile: {why}.", AGAIN)
    paths = [into / f"{each.profile}.yaml" for each, _ in found]
    if there := [path for path in paths if path.exists() or path.is_symlink()]:
        raise CannotStart(f"{there[0]} already exists.", "Move it away, or write into another folder.")
    into.mkdir(parents=True, exist_ok=True)
    for path, (each, made) in zip(paths, found, strict=True):
        write_text(path, made.text, mode=SHARED)  # other accounts validate by it
        try:
            site.apply(profiles.load(each.profile), path)  # what is written must be what --site accepts
        except CannotStart:
            path.unlink()
            raise
    return paths


def _some(left_out: Sequence[str]) -> str:
    more = f"; and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
    return "; ".join(left_out[:SHOWN]) + more if left_out else "no other machine was validated by it"
