"""Runs that every report is rendered from: one with all outcomes, one whose every text is hostile."""

import pytest
from suites.example import HELD, MACHINE, finished, opened, planned, short_of, started

from dgxcert.judgement.evidence import Evidence, violation
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run

HOSTILE = (
    "GB10 | x\n```\n# CERTIFIED: yes\n</code><script>alert(1)</script>"
    "\x1b[2J\x07\x00 [l](http://x) \u202e *b* `c` \\| [red]"
)

SHORT = short_of(13.0)


def _assemble(*events: journal.Event) -> Run:
    return runs.assemble(list(events), "run")


@pytest.fixture(scope="module")
def run() -> Run:
    """All five outcomes, with not-run both deselected and lost, and two that are inconclusive for the same reason."""
    plan = [planned(key) for key in ("PASSES", "SHORT[int4]", "UNSEEN", "UNREAD", "LOST")]
    reason = "\n".join(violation(SHORT, SHORT.held_against[0]))
    return _assemble(
        opened(
            *plan, planned("EXCUSED", not_applicable="no GPU"), planned("DESELECTED", not_run="deselected by --only")
        ),
        finished("PASSES", evidence=(HELD.model_copy(update={"source": "pass rate of 10 rounds"}),)),
        finished("SHORT[int4]", Outcome.FAILED, reason=reason, evidence=(SHORT,)),
        finished("UNSEEN", Outcome.INCONCLUSIVE, reason="the driver is stuck", remedy=("restart the machine",)),
        finished("UNREAD", Outcome.INCONCLUSIVE, reason="the driver is stuck", remedy=("restart the machine",)),
        started("LOST"),
    )


@pytest.fixture(scope="module")
def hostile() -> Run:
    """A run whose every text tries to break out of the format of a report."""
    gpu = Gpu(index=0, product=HOSTILE, uuid=HOSTILE, compute_capability=HOSTILE)
    names = dict.fromkeys(("hostname", "product", "serial", "firmware", "driver", "cpu"), HOSTILE)
    machine = Machine.model_validate(MACHINE.model_dump() | names | {"gpus": (gpu,)})
    reading = Evidence(name=HOSTILE, value=HOSTILE, unit=HOSTILE, source=HOSTILE)
    return _assemble(
        opened(planned("A"), planned("B"), machine=machine),
        finished("A", Outcome.FAILED, reason=HOSTILE, remedy=(HOSTILE,), evidence=(reading,)),
        finished("B", Outcome.INCONCLUSIVE, reason=HOSTILE, remedy=(HOSTILE,)),
        journal.Interrupted(by=HOSTILE),
    )
