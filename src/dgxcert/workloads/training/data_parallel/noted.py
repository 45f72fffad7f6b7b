"""What is told to the ranks of a LoRA training, and what each of them notes."""

import statistics
from typing import Annotated

from pydantic import AllowInfNan, BaseModel, ConfigDict

from dgxcert.probes.host.processors import Processors
from dgxcert.profiles.workload_sizes import LoraModel

Computed = Annotated[float, AllowInfNan(True)]
"""A result of the training, which may be no number: that is a finding, and no reason to refuse what a rank notes."""


class Part(BaseModel):
    """What goes from process to process: no key that is not known, and no number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Plan(Part):
    """What every rank is told."""

    model: LoraModel
    precision: str
    compile: bool
    warm_up: int
    alone: int
    compared: int
    together: int
    ours: tuple[int, ...]
    """Processes of this run on each GPU."""


class Steps(Part):
    """Timed steps: when the first began and when each ended, in seconds of the clock that all processes share."""

    began: float
    ended: tuple[float, ...]

    @property
    def seconds(self) -> tuple[float, ...]:
        """How long each step took.

        >>> Steps(began=1.0, ended=(1.5, 2.5)).seconds
        (0.5, 1.0)
        """
        return tuple(end - begin for begin, end in zip((self.began, *self.ended), self.ended, strict=False))

    @property
    def rate(self) -> float:
        """Steps per second.

        >>> Steps(began=1.0, ended=(1.5, 2.5)).rate
        1.3333333333333333
        """
        return len(self.ended) / (self.ended[-1] - self.began)


class OneDevice(Part):
    """One device that trains on the rows of all ranks, and how the exchanged gradients compare with its own."""

    losses: tuple[tuple[Computed, ...], ...]
    """Of each step, one for the rows of each rank."""
    angle_deg: Computed
    angle_at: str
    size: Computed
    size_at: str
    tensors: int


class Noted(Part):
    """What one rank notes."""

    alone: Steps
    together: Steps
    forward_s: tuple[float, ...]
    """Seconds of the forward pass in each step together, in which a rank waits for nobody."""
    losses: tuple[Computed, ...]
    """Of its own rows, in every step together from the first."""
    weights: dict[str, str]
    """A digest of each tensor after the last step."""
    one_device: OneDevice | None
    """None on all ranks but the first."""
    compiled: int
    """Graphs that were compiled while steps together were timed."""
    peak_bytes: int
    cpu: tuple[Processors, Processors]
    """The CPU seconds of the machine and of this process, before and after the timed steps together."""
    disturbed: str = ""
    unknown: tuple[str, ...] = ()
    """What to do where it is not known whether others used the GPU, which `disturbed` then says."""

    @property
    def forward_median_s(self) -> float:
        """The median of its forward passes."""
        return statistics.median(self.forward_s)
