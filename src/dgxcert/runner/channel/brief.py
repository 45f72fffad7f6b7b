"""The brief: all that a child needs to know of its run, handed to it on standard input. A child reads no record."""

from pydantic import BaseModel, ConfigDict

from dgxcert.judgement.computation import Computation
from dgxcert.judgement.evidence import Value
from dgxcert.judgement.requirement import OWN
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles.profile import Profile
from dgxcert.record.journal import Opened
from dgxcert.record.state import RunState
from dgxcert.runner.lanes.host_share import WHOLE, Share


class Brief(BaseModel):
    """What one child is to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    number: int
    """The number of this child, counted over the whole run."""
    keys: tuple[str, ...]
    """The requirements that it measures."""
    share: Share = WHOLE
    """What it may use of the host."""
    reads_software: bool
    """Whether it is the first of its stage, which says what software it runs on."""
    package_sha256: str
    """The suite that the run began with, which that of an image must equal."""
    options: Options
    profile: Profile
    machine: Machine
    plan: tuple[Planned, ...]
    image: Image | None
    passed: tuple[str, ...]
    """Keys of what has passed so far."""
    read: tuple[tuple[str, str, Value], ...]
    """Key, name and value of each quantity that was recorded before the work."""

    @property
    def computation(self) -> Computation:
        """Which requirements were to compute, which passed, and what was read before them."""
        planned = tuple(entry.key for entry in self.plan if entry.runs)
        return Computation(planned, frozenset(self.passed), {(key, name): value for key, name, value in self.read})


def write(
    opened: Opened, state: RunState, stage: str, number: int, keys: tuple[str, ...], share: Share = WHOLE
) -> Brief:
    """The brief of a child that is about to start."""
    return Brief(
        stage=stage,
        number=number,
        keys=keys,
        share=share,
        reads_software=stage not in state.software and not stage.startswith(f"{OWN}-"),
        package_sha256=opened.suite.package_sha256,
        options=opened.options,
        profile=opened.profile,
        machine=opened.machine,
        plan=opened.plan,
        image=state.image,
        passed=tuple(sorted(state.passed)),
        read=tuple((key, name, value) for (key, name), value in state.read_before_work().items()),
    )
