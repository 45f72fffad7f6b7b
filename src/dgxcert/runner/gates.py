"""Gates: what must hold before an image is built or a container started. Pure."""

from dgxcert.judgement.requirement import Stage
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import Outcome
from dgxcert.plan.selection import Planned
from dgxcert.record.journal import Opened
from dgxcert.record.run import waiver_for
from dgxcert.record.state import RunState

BEHIND = {Stage.HOST: (Stage.IMAGE, Stage.WORK, Stage.AFTER), Stage.IMAGE: (Stage.WORK, Stage.AFTER)}
"""The stages that begin only where all gates of a stage are open."""


def planned(opened: Opened, *stages: Stage) -> list[Planned]:
    """What the run measures in these stages."""
    return [entry for entry in opened.plan if entry.runs and entry.stage in stages]


def problem(opened: Opened, state: RunState, stage: Stage) -> str:
    """Why nothing behind this stage can begin: a gate that is closed, or no GPU for a GPU's container; "" if it can."""
    closed = [entry.key for entry in planned(opened, stage) if entry.gate and not _is_open(entry, opened, state)]
    if closed:
        return f"it needs {' and '.join(closed)} to pass first"
    if opened.profile.uses_gpu and not opened.machine.gpus:
        return "the driver offers no GPU to a container; see GPU-PRESENT"
    return ""


def _is_open(entry: Planned, opened: Opened, state: RunState) -> bool:
    """Whether a gate passed, or failed and has a waiver. One that was not measured stays closed, waiver or not."""
    ending = state.endings.get(entry.key)
    return ending is Outcome.PASSED or (
        ending is Outcome.FAILED and waiver_for(entry.key, entry.id, opened.waivers) is not None
    )


def unreachable(opened: Opened, state: RunState) -> set[Stage]:
    """The stages that this run can never begin, since a gate before them ended and is closed."""
    if opened.options.runtime is Runtime.NATIVE:
        return set()  # outside the container, nothing waits for a gate
    return {
        behind
        for stage, following in BEHIND.items()
        for behind in following
        if not any(state.waits(entry.key) for entry in planned(opened, stage) if entry.gate)
        and problem(opened, state, stage)
    }
