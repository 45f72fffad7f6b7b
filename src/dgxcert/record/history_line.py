"""One earlier run of a machine: its rates, and its state of hardware and software. A line of the machine's history."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dgxcert.judgement.verdict import Verdict

Rate = Annotated[float, Field(gt=1e-15, lt=1e18)]
"""Within these bounds, which no benchmark comes near, no sum or quotient of rates overflows."""


class Earlier(BaseModel):
    """What a history needs of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    started: str
    machine: str
    """The name that identifies the machine, from `history.timeline.known_as`."""
    hostname: str
    verdict: Verdict
    waived: int = 0
    state: dict[str, str]
    """Driver, firmware, kernel, image, ...: possible causes of a step in speed."""
    rates: dict[str, Rate]
    """The rate of each conclusive benchmark, by requirement."""
    units: dict[str, str]
