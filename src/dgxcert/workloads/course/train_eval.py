"""Train and eval: what the two modes change in dropout, batch normalisation and layer normalisation."""

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
    """What dropout did to the same values in both modes."""

    changed: int
    """Values that eval mode changed."""
    dropped: float
    """Share of values that training mode set to zero."""
    scale_error: float
    """The largest relative error of 1 / (1 - p) among values that training mode kept."""


@dataclass(frozen=True)
class Normalisation:
    """Relative errors of both kinds of normalisation against fp64 by hand, and values that a mode wrongly changed."""

    batch_train: float
    batch_eval: float
    running: float
    eval_changes: int
    """Running statistics that eval mode changed."""
    layer_differs: int
    """Values of LayerNorm that differ between the modes."""
    layer: float


def dropout(device: Device) -> Dropout:
    """Pass the same values through dropout in both modes; the module is nested, as in every model."""
    import torch

    model = torch.nn.Sequential(torch.nn.Dropout(P)).to(device.name)
    values = _values().to(device.name).abs() + 1  # no zeros, so that every zero in the output was dropped
    with torch.no_grad():
        changed = int(numerics.differing(model.eval()(values), values))
        trained = model.train()(values)
    kept = trained != 0
    scale = (trained[kept] / values[kept]).double() * (1 - P)
    return Dropout(changed, 1 - float(kept.double().mean()), float((scale - 1).abs().max()))


def normalisation(device: Device) -> Normalisation:
    """Pass one batch through both kinds of normalisation, in both modes.

    BatchNorm normalises by the batch's mean and biased variance, and averages its mean and unbiased variance into the
    running statistics, which start at 0 and 1 (Ioffe and Szegedy, 2015).
    """
    import torch

    batch = torch.nn.BatchNorm1d(WIDTH, momentum=MOMENTUM, eps=EPSILON)
    layer = torch.nn.LayerNorm(WIDTH, eps=EPSILON)
    modules = torch.nn.ModuleList([batch, layer]).to(device.name)
    values = _values()
    exact, on_device = values.double(), values.to(device.name)
    mean, variance = exact.mean(0), exact.var(0, unbiased=False)
    running = torch.cat([MOMENTUM * mean, (1 - MOMENTUM) + MOMENTUM * exact.var(0)])
    with torch.no_grad():
        modules.train()
        batch_train, layer_train = batch(on_device), layer(on_device)
        statistics = _statistics(batch)
        modules.eval()
        batch_eval, layer_eval = batch(on_device), layer(on_device)
    by_row = (exact - exact.mean(1, keepdim=True)) / (exact.var(1, keepdim=True, unbiased=False) + EPSILON).sqrt()
    by_running = (exact - running[:WIDTH]) / (running[WIDTH:] + EPSILON).sqrt()
    return Normalisation(
        batch_train=numerics.relative_error(batch_train, (exact - mean) / (variance + EPSILON).sqrt()),
        batch_eval=numerics.relative_error(batch_eval, by_running),
        running=numerics.relative_error(statistics, running),
        eval_changes=int(numerics.differing(_statistics(batch), statistics)),
        layer_differs=int(numerics.differing(layer_eval, layer_train)),
        layer=numerics.relative_error(layer_train, by_row),
    )


def _values() -> "torch.Tensor":
    """Random values of shape (rows, width); each column has its own mean and deviation."""
    import torch

    generator = torch.Generator("cpu").manual_seed(WIDTH)
    columns = torch.linspace(0.5, 3.0, WIDTH)
    return torch.randn(ROWS, WIDTH, generator=generator) * columns + columns.flip(0)


def _statistics(batch: "torch.nn.BatchNorm1d") -> "torch.Tensor":
    """A copy of the running means and variances, shape (2 * width)."""
    import torch

    mean, variance = batch.running_mean, batch.running_var
    return torch.cat([torch.as_tensor(mean), torch.as_tensor(variance)]).clone()
