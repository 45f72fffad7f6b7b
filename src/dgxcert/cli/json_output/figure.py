"""A headline figure in a document."""

from dgxcert.cli.json_output.document import Part
from dgxcert.record import figures


class Figure(Part):
    """One headline figure; of several GPUs that of the worst."""

    name: str
    """A stable name: matmul, memory-bandwidth, decode-16bit, lora-tokens, …"""
    label: str
    """The same for people, with the case in which it was measured."""
    value: float
    unit: str
    share: float | None
    """Of the bound that `share_of` names."""
    share_of: str
    lowest_gpu: int | None
    """The GPU that did worst, where several were measured."""
    spread: float | None
    """How far the best GPU was from it, in `unit`."""
    gpus: int
    """How many GPUs were measured."""
    unmeasured: int
    """How many more were to be measured, and were not: the figure says nothing about them."""
    keys: tuple[str, ...]
    """The requirements that measured it."""
    failed: bool
    """Whether one of them failed."""


def of(figure: figures.Figure) -> Figure:
    """The figure of a run, for a document."""
    return Figure(**{name: getattr(figure, name) for name in Figure.model_fields})
