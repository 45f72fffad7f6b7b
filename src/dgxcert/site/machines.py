"""The machines of a results folder, each with its runs and what became of it, as the site page shows them."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel

from dgxcert import report
from dgxcert.certificate.statement import CERTIFICATE
from dgxcert.history import run_index, timeline
from dgxcert.history.listed_run import Listed
from dgxcert.judgement.verdict import Verdict
from dgxcert.record.history_line import Earlier
from dgxcert.redaction import models
from dgxcert.site import standing
from dgxcert.site.standing import Signers, Standing, State

NAME_CHARS = 40
BY_WORK = (Verdict.REJECTED, Verdict.INCONCLUSIVE, Verdict.PARTIAL, Verdict.REHEARSED, Verdict.CERTIFIED)
HASH = 8
"""Hexadecimal digits of a hash: enough to tell machines of one name apart."""
MOST_VERIFIED = 3
"""Certificates of one machine that are verified in search of a valid one: each takes a second."""


@dataclass(frozen=True)
class SeenRun:
    """One run of a machine."""

    line: Listed
    """Without secrets."""
    changed: tuple[str, ...]
    """What differs from the run before: `driver 580 → 590`."""
    standing: Standing | None
    report: str
    """Where its report.html is, as a link from the site page; "" where it cannot be reached from there."""


@dataclass(frozen=True)
class SeenMachine:
    """One machine with its runs, oldest first."""

    runs: tuple[SeenRun, ...]
    page: str
    """The name of its page: `machine-spark-07-3f2a91bc.html`."""

    @property
    def last(self) -> SeenRun:
        """Its latest run."""
        return self.runs[-1]

    @property
    def measured(self) -> SeenRun | None:
        """Its latest run that has headline figures: a run of the quick tier has none."""
        return next((run for run in reversed(self.runs) if run.line.figures), None)

    @property
    def certificates(self) -> list[SeenRun]:
        """The runs that are signed as a certificate, latest first."""
        return [run for run in reversed(self.runs) if run.standing and run.standing.kind == CERTIFICATE]

    @property
    def certificate(self) -> SeenRun | None:
        """The certificate that counts: the latest that is valid, else the latest that may be, else the latest."""
        order = list(State)
        return min(self.certificates, key=lambda run: order.index(_of(run).state), default=None)


@dataclass(frozen=True)
class Seen:
    """A whole results folder: machines by name, and what is no run, each on one line."""

    machines: tuple[SeenMachine, ...]
    unreadable: tuple[str, ...]
    unfinished: tuple[str, ...]

    @property
    def runs(self) -> int:
        """How many runs there are in all."""
        return sum(len(machine.runs) for machine in self.machines)


class Lines(BaseModel):
    """All that strangers wrote, in one model, so that each text is looked through for secrets once."""

    runs: tuple[Listed, ...]
    unreadable: dict[str, str]
    unfinished: tuple[str, ...]


def read(results: Path, out: Path, now: datetime, signers: Signers | None, say: Callable[[str], None]) -> Seen:
    """What a results folder holds. `out` is where the pages go, from which reports are linked.

    Without `signers` no signature is verified. Raises CannotStart where the folder cannot be read.
    """
    known = run_index.read(results)
    shown = models.scrubbed(Lines(runs=known.runs, unreadable=known.unreadable, unfinished=known.unfinished))
    way = _way(out, results)
    places = {line.folder: results / line.folder for line in known.runs}
    by_machine: dict[str, list[SeenRun]] = {}
    before: dict[str, Earlier] = {}
    completed = timeline.completed(shown.runs)
    for original, line, whole in zip(known.runs, shown.runs, completed, strict=True):
        folder = places[original.folder]
        changed = timeline.changes(before[original.machine], whole) if original.machine in before else {}
        before[original.machine] = whole
        by_machine.setdefault(original.machine, []).append(
            SeenRun(line, _described(changed), standing.read(folder, now), _link(way, folder))
        )
    machines = []
    for identity, runs in by_machine.items():
        page = _page(runs[-1].line.hostname, identity)
        machine = SeenMachine(tuple(runs), page)
        machines.append(_verified(machine, results, now, signers, say) if signers else machine)
    machines.sort(key=lambda machine: (machine.last.line.hostname, machine.page))
    skipped = tuple(f"{folder}: {problem}" for folder, problem in shown.unreadable.items())
    return Seen(tuple(machines), skipped, shown.unfinished)


def _verified(
    machine: SeenMachine, results: Path, now: datetime, signers: Signers, say: Callable[[str], None]
) -> SeenMachine:
    """The machine with its latest certificates verified, until one is valid."""
    runs = list(machine.runs)
    open_ones = [at for at in reversed(range(len(runs))) if _is_open(runs[at].standing)]
    for at in open_ones[:MOST_VERIFIED]:
        run = runs[at]
        say(f"verifying {run.line.folder}")
        found = standing.verified(results / run.line.folder, _of(run), now, signers)
        runs[at] = SeenRun(run.line, run.changed, found, run.report)
        if found.certifies:
            break
    return SeenMachine(tuple(runs), machine.page)


def _is_open(found: Standing | None) -> bool:
    return found is not None and found.kind == CERTIFICATE and found.state is State.UNVERIFIED


def _of(run: SeenRun) -> Standing:
    """The standing of a signed run."""
    return run.standing or Standing(State.INVALID, CERTIFICATE)


def _described(changed: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{name} {before} → {after}" for name, (before, after) in changed.items())


def _way(out: Path, results: Path) -> str | None:
    """The way from one folder to another; None where they have nothing but the root in common.

    Such a link would work on this machine alone, and tell others where things lie on it.
    """
    here, there = os.path.realpath(out), os.path.realpath(results)
    return None if os.path.commonpath([here, there]) == os.sep else os.path.relpath(there, here)


def _link(way: str | None, folder: Path) -> str:
    """The link to the report of a run, which must be a file."""
    path = folder / report.HTML
    if way is None or path.is_symlink() or not path.is_file():
        return ""
    return quote(f"{way}/{folder.name}/{report.HTML}")


def _page(hostname: str, identity: str) -> str:
    r"""The name of a machine's page, whatever a host is called: its letters, and a hash of what identifies it.

    >>> _page("Spark 07", "GPU-5b1f0c1d"), _page("../\n", "GPU-5b1f0c1d")
    ('machine-spark-07-b123c9b8.html', 'machine-unnamed-b123c9b8.html')
    """
    name = re.sub(r"[^a-z0-9]+", "-", hostname[:200].lower()).strip("-")[:NAME_CHARS].strip("-") or "unnamed"
    return f"machine-{name}-{hashlib.sha256(identity.encode(errors='surrogatepass')).hexdigest()[:HASH]}.html"


def last_verdicts(machines: Iterable[SeenMachine]) -> dict[str, int]:
    """How many machines have which verdict in their last run, what needs work first."""
    counts = Counter(machine.last.line.verdict for machine in machines)
    return {verdict.value: counts[verdict] for verdict in BY_WORK if counts[verdict]}
