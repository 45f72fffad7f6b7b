"""Decode steps: what can be added to a tuned decoding step, as a table, and where each can be used.

Whether one pays depends on the GPU and on torch, so none is assumed to: `step_trial` measures them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.judgement.benchmark_cases import INT4, NF4
from dgxcert.workloads.inference import fused_products

if TYPE_CHECKING:
    import torch

DEPENDENT_LAUNCH = "dependent launch"
ACTIVATION_ONCE = "activation once"
FUSED_NORM = "fused norm"
FUSED_ROTARY = "fused rotary"
BLOCK_ARGMAX = "argmax by blocks"
HEAD_ARGMAX = "argmax in the head"

Steps = frozenset[str]
"""Names of decode steps that are used together."""
PLAIN: Steps = frozenset()

HOPPER = (9, 0)
"""The compute capability from which kernels can be launched before the one they depend on has ended."""


@dataclass(frozen=True)
class Place:
    """Where a decoding step runs: what decides which steps can be used."""

    kind: str
    capability: tuple[int, int]
    """Compute capability of the GPU; (0, 0) for a CPU."""
    compiled: bool
    precision: str
    batch: int
    vocabulary: int
    halves_alike: bool
    """Whether the rotation of both halves of a head is by the same angles."""
    has_dependent_launch: bool
    """Whether torch's compiler can generate programmatic dependent launch."""
    has_triton: bool


@dataclass(frozen=True)
class Step:
    """One step of the table: its name, what it changes, and what it needs, each as a reason why it cannot be used."""

    name: str
    changes: str
    needs: tuple[Callable[[Place], str], ...]

    def obstacle(self, place: Place) -> str:
        """Why the step cannot be used in a place; empty where it can."""
        return next((reason for need in self.needs if (reason := need(place))), "")


def _one_dense_row(place: Place) -> str:
    if place.batch != 1:
        return "products of several rows are a library's, with which nothing fuses"
    return "4-bit products have kernels of their own" if place.precision in (INT4, NF4) else ""


def _sixteen_bits(place: Place) -> str:
    """fp32 is taken for 16 bits on a CPU, where they are slow, and where one row is enough to compare."""
    if place.kind == "cpu":
        return "" if place.precision not in (INT4, NF4) and place.batch == 1 else "compared for one dense row only"
    return "" if place.precision in ("fp16", "bf16") else "tried in 16 bits only"


def _hopper(place: Place) -> str:
    if place.capability < HOPPER:
        return "needs a GPU of compute capability 9.0 or more"
    return "" if place.compiled else "the step is not compiled"


def _dependent_launch(place: Place) -> str:
    return "" if place.has_dependent_launch else "this torch cannot generate it"


def _halves_alike(place: Place) -> str:
    return "" if place.halves_alike else "the halves of a head are rotated by different angles"


def _triton(place: Place) -> str:
    if place.kind == "cpu":
        return "Triton compiles for GPUs"
    return "" if place.has_triton else "Triton is not installed"


def _whole_blocks(place: Place) -> str:
    block = fused_products.BLOCK
    return f"the vocabulary is no multiple of {block}" if place.vocabulary % block else ""


TABLE = (
    Step(
        DEPENDENT_LAUNCH,
        "kernels start before the one they depend on has ended, and wait where they read its result",
        (_sixteen_bits, _hopper, _dependent_launch),
    ),
    Step(
        ACTIVATION_ONCE,
        "silu(gate) * up is stored, where each row of the down product would compute it",
        (_sixteen_bits, _one_dense_row),
    ),
    Step(
        FUSED_NORM,
        "the sum of squares is part of the product after a norm, where it was a kernel before it",
        (_sixteen_bits, _one_dense_row),
    ),
    Step(
        FUSED_ROTARY,
        "queries and keys are rotated from the two halves of their product, before it is rounded",
        (_sixteen_bits, _one_dense_row, _halves_alike),
    ),
    Step(
        BLOCK_ARGMAX,
        "the next token comes from the largest logits of blocks, the head being compiled with it",
        (_sixteen_bits, _whole_blocks),
    ),
    Step(
        HEAD_ARGMAX,
        "the head's product finds the largest logit of each block as it computes them",
        (_sixteen_bits, _one_dense_row, _triton),
    ),
)
"""Every step that is tried, in the order of what it is expected to save."""


def usable(place: Place) -> tuple[str, ...]:
    """Names of the steps that can be used in a place."""
    return tuple(step.name for step in TABLE if not step.obstacle(place))


def obstacles(place: Place) -> dict[str, str]:
    """Why each of the others cannot be used, by name."""
    return {step.name: reason for step in TABLE if (reason := step.obstacle(place))}


def named(steps: Steps) -> str:
    """Steps in the order of the table, for a reader.

    >>> named(frozenset({FUSED_NORM, ACTIVATION_ONCE})), named(PLAIN)
    ('activation once + fused norm', 'plain')
    """
    return " + ".join(step.name for step in TABLE if step.name in steps) or "plain"


def has_dependent_launch() -> bool:
    """Whether this torch's compiler knows programmatic dependent launch: an option that older ones lack."""
    import torch._inductor.config as inductor

    return hasattr(getattr(inductor, "triton", None), "enable_pdl")


def compiler_options(steps: Steps) -> dict[str, bool]:
    """inductor's options for these steps."""
    return {"triton.enable_pdl": True} if DEPENDENT_LAUNCH in steps else {}


def are_halves_alike(table: "torch.Tensor") -> bool:
    """Whether both halves of each row (..., head_dim) of a table of angles are the same."""
    first, second = table.chunk(2, -1)
    return bool((first == second).all())
