"""Modes: what `train()` and `eval()` change in dropout, batch normalisation and layer normalisation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

P = 0.3
ROWS, WIDTH = 4096, 64
MOMENTUM = 0.1
EPSILON = 1e-5

DROPPED = Limit(
    name="share dropped in training",
    min=P - 0.006,
    max=P + 0.006,
    unit="of values",
    source=f"p = {P}, with a standard error of 0.0009 for {ROWS * WIDTH} values; six of those and more",
)
SCALED = Limit(
    name="scale of what is left",
    max=1e-5,
    unit="relative",
    source="1 / (1 - p), so that the expected sum stays; two roundings to 24 bits make 1.2e-7",
)
NORMALISED = Limit(
    name="tolerance of normalisation",
    max=1e-4,
    unit="relative",
    source="means and variances of a few thousand values in 24 bits, against fp64: 1e-7 to 1e-6; batch statistics in "
    "place of running ones are off by more than 0.1",
)


@dataclass(frozen=True)
class Dropout:
    """`changed` counts values that dropout altered in eval mode; the rest is about training mode."""

    changed: int
    dropped: float
    scale_error: float


@dataclass(frozen=True)
class Normalisation:
    """Relative errors against fp64 by hand. `moved` counts running statistics that eval mode altered."""

    batch_train: float
    batch_eval: float
    running: float
    moved: int
    layer_differs: int
    layer: float


def dropout(device: Device) -> Dropout:
    """The same values through dropout in both modes; the module sits inside another, as in every model."""
    import torch

    model = torch.nn.Sequential(torch.nn.Dropout(P)).to(device.name)
    values = _values().to(device.name).abs() + 1  # no value is zero by itself
    with torch.no_grad():
        changed = int(numerics.differing(model.eval()(values), values))
        trained = model.train()(values)
    left = trained != 0
    scale = (trained[left] / values[left]).double() * (1 - P)
    return Dropout(changed, 1 - float(left.double().mean()), float((scale - 1).abs().max()))


def normalisation(device: Device) -> Normalisation:
    """Batches through both kinds of normalisation, in both modes."""
    import torch

    batch = torch.nn.BatchNorm1d(WIDTH, momentum=MOMENTUM, eps=EPSILON)
    layer = torch.nn.LayerNorm(WIDTH, eps=EPSILON)
    both = torch.nn.ModuleList([batch, layer]).to(device.name)
    values = _values()
    exact, placed = values.double(), values.to(device.name)
    mean, variance = exact.mean(0), exact.var(0, unbiased=False)
    running = torch.cat([MOMENTUM * mean, (1 - MOMENTUM) + MOMENTUM * exact.var(0)])
    with torch.no_grad():
        both.train()
        batch_train, layer_train = batch(placed), layer(placed)
        kept = _statistics(batch)
        both.eval()
        batch_eval, layer_eval = batch(placed), layer(placed)
    by_row = (exact - exact.mean(1, keepdim=True)) / (exact.var(1, keepdim=True, unbiased=False) + EPSILON).sqrt()
    still = (exact - running[:WIDTH]) / (running[WIDTH:] + EPSILON).sqrt()
    return Normalisation(
        batch_train=numerics.relative_error(batch_train, (exact - mean) / (variance + EPSILON).sqrt()),
        batch_eval=numerics.relative_error(batch_eval, still),
        running=numerics.relative_error(kept, running),
        moved=int(numerics.differing(_statistics(batch), kept)),
        layer_differs=int(numerics.differing(layer_eval, layer_train)),
        layer=numerics.relative_error(layer_train, by_row),
    )


def _values() -> "torch.Tensor":
    """Rows whose columns have means and deviations of their own, shape (rows, width)."""
    import torch

    generator = torch.Generator("cpu").manual_seed(WIDTH)
    columns = torch.linspace(0.5, 3.0, WIDTH)
    return torch.randn(ROWS, WIDTH, generator=generator) * columns + columns.flip(0)


def _statistics(batch: "torch.nn.BatchNorm1d") -> "torch.Tensor":
    """A copy of running means and variances, shape (2 * width)."""
    import torch

    mean, variance = batch.running_mean, batch.running_var
    return torch.cat([torch.as_tensor(mean), torch.as_tensor(variance)]).clone()
