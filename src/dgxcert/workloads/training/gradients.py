"""Gradients: whether a parameter has one that it can learn from, and whether it is the exact one.

Gradients are compared with exact ones by parameter, and within a matrix by blocks of rows, so that one head of many
shows: by direction, the angle between the two, and by size, the ratio of their norms.
"""

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.evidence import Quantity, Recorder
from dgxcert.judgement.units import OF_EXACT
from dgxcert.outcome import Inconclusive, Wrong

if TYPE_CHECKING:
    import torch

ROWS = 64
"""Rows of one block: the smallest size of an attention head in use, and half a head of most Llamas."""
NEGLIGIBLE = 1e-5
"""Share of the median block's root mean square below which an exact gradient is rounding, and has no direction: that of
a key's bias is zero by arithmetic, since softmax ignores what all scores have in common."""

LORA_B_STD = 0.02
"""Standard deviation of each B at the start, that of the frozen weights. PEFT starts it at zero, which would leave A's
first gradient zero, whatever the backward pass computes."""
LORA_B_SEED = 23


def is_usable(gradient: "torch.Tensor | None") -> bool:
    """Whether a gradient is present, finite, and not all zeros.

    >>> import torch
    >>> is_usable(torch.tensor([0.0, 0.5])), is_usable(torch.zeros(2)), is_usable(None)
    (True, False, False)
    """
    return gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())


def kept(parameters: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """A copy of the gradients that parameters hold now, in fp32 on the CPU; a missing one is left out."""
    gradients = {name: values.grad for name, values in parameters.items()}
    return {name: values.detach().float().cpu().clone() for name, values in gradients.items() if values is not None}


def with_effect(model: Any) -> Any:
    """The PEFT model with each B drawn at random, the same numbers on every kind of device."""
    import torch

    generator = torch.Generator("cpu").manual_seed(LORA_B_SEED)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "lora_B" in name:
                values.copy_(LORA_B_STD * torch.randn(values.shape, generator=generator))
    return model


@dataclass(frozen=True)
class Agreement:
    """How gradients agree with exact ones: the worst block by direction, and the worst by size."""

    angle_deg: float
    """Largest angle between a gradient and the exact one: 0 where they agree, 90 for noise, 180 where it is negated."""
    angle_at: str
    size: float
    """Norm of a gradient over that of the exact one, the farthest from 1."""
    size_at: str
    tensors: int
    """Parameters that were compared."""

    def about(self, where: str) -> str:
        """What was compared, and the worst block, as evidence states it.

        >>> Agreement(0.01, "layers.3.q_proj.lora_B", 1.0, "lora_A", tensors=24).about("lora_A")
        '24 tensors in blocks of 64 rows, against exact gradients in fp32; worst at lora_A'
        """
        compared = f"{self.tensors} tensors in blocks of {ROWS} rows, against exact gradients in fp32"
        return f"{compared}; worst at {where}"

    def worst(self, other: "Agreement") -> "Agreement":
        """The worst of two comparisons, by direction and by size.

        >>> first = Agreement(0.1, "lora_A", 0.99, "lora_B", tensors=2)
        >>> first.worst(Agreement(0.2, "lora_B", 1.001, "lora_A", tensors=2))
        Agreement(angle_deg=0.2, angle_at='lora_B', size=0.99, size_at='lora_B', tensors=2)
        """
        turned = max(self, other, key=lambda agreement: agreement.angle_deg)
        sized = max(self, other, key=lambda agreement: _distance(agreement.size))
        tensors = min(self.tensors, other.tensors)
        return Agreement(turned.angle_deg, turned.angle_at, sized.size, sized.size_at, tensors)


@dataclass(frozen=True)
class _Block:
    """Root mean squares of a gradient and of the exact one, and the angle between the two."""

    name: str
    rms: float
    exact_rms: float
    angle_deg: float

    def size(self, floor: float) -> float:
        """The ratio of both, each with `floor` added in squares, so that it is 1 for two negligible gradients."""
        return math.hypot(self.rms, floor) / math.hypot(self.exact_rms, floor)


def compare(gradients: "dict[str, torch.Tensor]", exact: "dict[str, torch.Tensor]") -> Agreement:
    """Compare gradients with exact ones, by parameter name; a missing gradient counts as zeros.

    Raises Wrong where a value is not finite; Inconclusive where there is nothing to compare.

    >>> import torch
    >>> compare({"model.layers.0.lora_B": -torch.ones(2, 2)}, {"model.layers.0.lora_B": torch.ones(2, 2)})
    Agreement(angle_deg=180.0, angle_at='layers.0.lora_B', size=1.0, size_at='layers.0.lora_B', tensors=1)
    """
    import torch

    if not all(bool(values.isfinite().all()) for values in exact.values()):
        raise Inconclusive("an exact gradient is not finite, so that nothing can be compared with it")
    if unknown := sorted(gradients.keys() - exact.keys()):
        raise Inconclusive(f"{unknown[0]} has a gradient, and no exact one to compare it with")
    if broken := [name for name, values in gradients.items() if not bool(values.isfinite().all())]:
        raise Wrong(f"the gradient of {short_name(broken[0])} is not finite")
    complete = {name: gradients.get(name, torch.zeros_like(values)) for name, values in exact.items()}
    pairs = zip(_joined(complete).items(), _joined(exact).values(), strict=True)
    blocks = [block for (name, mine), theirs in pairs for block in _blocks(short_name(name), mine, theirs)]
    floor = NEGLIGIBLE * statistics.median([block.exact_rms for block in blocks if block.exact_rms] or [0.0])
    directed = [block for block in blocks if block.exact_rms > floor]
    if not directed:
        raise Inconclusive("all exact gradients are zero, so that nothing can be compared with them")
    turned = max(directed, key=lambda block: block.angle_deg)
    sized = max(blocks, key=lambda block: _distance(block.size(floor)))
    return Agreement(turned.angle_deg, turned.name, sized.size(floor), sized.name, len(exact))


def record(
    evidence: Recorder, agreement: Agreement, step: str = "first step", of: str = "gradients"
) -> tuple[Quantity, Quantity]:
    """Record the largest angle of gradients to exact ones, and the size that is farthest from theirs.

    >>> same = Agreement(0.0, "lora_A", 1.0, "lora_A", tensors=28)
    >>> record(Recorder(), same)
    (<angle to exact gradients is 0 °>, <size of gradients is 1 of exact>)
    """
    sources = [f"{step}: {agreement.about(where)}" for where in (agreement.angle_at, agreement.size_at)]
    angle = evidence.record(f"angle to exact {of}", agreement.angle_deg, unit="°", source=sources[0])
    return angle, evidence.record(f"size of {of}", agreement.size, unit=OF_EXACT, source=sources[1])


def short_name(parameter: str) -> str:
    """A parameter's name without what all of them have in common.

    >>> short_name("base_model.model.model.layers.3.self_attn.q_proj.lora_B.default.weight")
    'layers.3.self_attn.q_proj.lora_B'
    """
    return parameter.removeprefix("base_model.model.").removeprefix("model.").removesuffix(".default.weight")


def _joined(gradients: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The gradients, each short bias as a column of its weights.

    That of a classifier is a sum over rows of two signs: where it nearly cancels, it has no direction of its own.
    """
    import torch

    joined = dict(gradients)
    for name, bias in gradients.items():
        owner, _, last = name.rpartition(".")
        weight = gradients.get(f"{owner}.weight")
        if last == "bias" and len(bias) < ROWS and weight is not None:
            joined[f"{owner}.weight"] = torch.cat((weight, joined.pop(name)[:, None]), 1)
    return joined


def _blocks(name: str, gradient: "torch.Tensor", exact: "torch.Tensor") -> "list[_Block]":
    """A matrix with a multiple of ROWS rows by blocks of as many rows, anything else as a whole."""
    import torch

    rows = exact.shape[0] if exact.ndim == 2 else 1
    count = rows // ROWS if rows % ROWS == 0 else 1
    mine, theirs = (values.double().reshape(count, -1) for values in (gradient, exact))
    rms, exact_rms = (values.square().mean(dim=1).sqrt() for values in (mine, theirs))
    # A norm of zero leaves zeros, whose angle to anything is then 90 degrees.
    first, second = (torch.nn.functional.normalize(values, dim=1, eps=0.0).nan_to_num() for values in (mine, theirs))
    # Accurate for small angles as well, where an arc cosine has lost half of the digits (Kahan 2006, section 12).
    angles = 2 * torch.atan2((first - second).norm(dim=1), (first + second).norm(dim=1)).rad2deg()
    places = [f"{name} rows {ROWS * index}-{ROWS * (index + 1) - 1}" for index in range(count)] if count > 1 else [name]
    return [_Block(*block) for block in zip(places, rms.tolist(), exact_rms.tolist(), angles.tolist(), strict=True)]


def _distance(size: float) -> float:
    """How far a ratio is from 1, the same for a half and for a double."""
    return abs(math.log(size)) if size > 0 else math.inf
