"""A listed run: the line of a run in the history of its results folder, with what people know and choose it by."""

from pathlib import Path

from dgxcert.history import timeline
from dgxcert.record import figures
from dgxcert.record.figures import Figure
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run

BEYOND = 1e18
"""No figure of a machine comes near; below it no sum or difference of two overflows."""


class Listed(Earlier):
    """What a history needs of a run, and its place in the list."""

    folder: str
    """The name of its run folder, which for a copy may be another than the run's."""
    id: str
    gpus: tuple[str, ...]
    """The product of each GPU."""
    profile: str
    tier: str
    figures: tuple[Figure, ...]
    """The headline figures, in the order of every report."""

    @property
    def earlier(self) -> Earlier:
        """The line that a later run of the machine keeps in its record."""
        return Earlier(**{name: getattr(self, name) for name in Earlier.model_fields})


def of(run: Run, folder: Path) -> Listed:
    """The run of a folder, listed."""
    return Listed(
        **dict(timeline.of(run)),
        folder=folder.name,
        id=run.id,
        gpus=tuple(gpu.product for gpu in run.machine.gpus),
        profile=run.profile.name,
        tier=run.options.tier.value,
        figures=tuple(figure for figure in figures.figures(run) if abs(figure.value) < BEYOND),
    )


def gpus(products: tuple[str, ...]) -> str:
    """The GPUs of a machine in a few words.

    >>> gpus(("NVIDIA H200",) * 8), gpus(("NVIDIA GB10",)), gpus(())
    ('8 x H200', 'GB10', 'no GPU')
    """
    counts = {product: products.count(product) for product in dict.fromkeys(products)}
    named = [
        f"{count} x {product.removeprefix('NVIDIA ')}" if count > 1 else product.removeprefix("NVIDIA ")
        for product, count in counts.items()
    ]
    return ", ".join(named) or "no GPU"
