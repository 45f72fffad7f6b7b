"""What `dgxcert list --json` prints: every requirement."""

from collections.abc import Iterable

from dgxcert.cli.json_output.document import Document, Part
from dgxcert.judgement.requirement import Stage, Tier
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.selection import any_gpu


class Requirement(Part):
    """One requirement, for one set of parameters."""

    key: str
    """Its id with its parameters, as `--only` and a waiver take it; a run adds the number of the GPU."""
    id: str
    group: str
    tier: Tier
    """The smallest tier that includes it."""
    stage: Stage
    title: str
    """What must be true."""
    why: str
    takes_s: float
    """What it takes on a healthy machine."""
    gate: bool
    """Whether no work is started where it does not pass."""
    real_weights: bool
    """Whether it is run with `--weights hub` only."""


class Requirements(Document):
    """All requirements, in the order in which they are run."""

    requirements: tuple[Requirement, ...]


def of(catalogue: Iterable[Entry]) -> Requirements:
    """The document of a catalogue."""
    shared = ("id", "group", "tier", "stage", "title", "why", "takes_s", "gate", "real_weights")
    return Requirements(
        requirements=tuple(
            Requirement(key=any_gpu(entry.key), **{name: getattr(entry, name) for name in shared})
            for entry in catalogue
        )
    )
