"""One earlier run of a machine: what it reached, and in which state of hardware and software. A line of its history."""

from pydantic import BaseModel, ConfigDict, PositiveFloat

from dgxcert.judgement.verdict import Verdict


class Earlier(BaseModel):
    """What a history needs of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    started: str
    machine: str
    """What the machine is known by: see `history.known_as`."""
    hostname: str
    verdict: Verdict
    waived: int = 0
    state: dict[str, str]
    """Driver, firmware, kernel, image, ...: what a step in speed may come from."""
    rates: dict[str, PositiveFloat]
    """What was timed and believed, by requirement."""
    units: dict[str, str]
