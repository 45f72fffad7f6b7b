"""Traits of a machine and of a run on it, on which a step of a remedy may depend.

A conditional step is text that begins with its condition, `On DGX OS: sudo apt full-upgrade`. Where the trait is known,
the condition is cut off or the step left out; elsewhere the step is shown as it is, and its reader decides.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from dgxcert.machine.identity import Machine, MemoryKind

MODULE = re.compile(r"SXM|HBM3|NVIDIA (H200|B200|B300|H20)$|NVIDIA G[HB]\d")
"""Products that are mounted on NVIDIA's own baseboard, so that only its service replaces them. Superchips too: GH200,
GB200, GB300."""
CARD = re.compile(r"PCIe|NVL\b|GeForce|RTX|NVIDIA (L4|L40S?|A2|A10|A16|A30|A40|T4)$", re.IGNORECASE)


class Trait(StrEnum):
    """What a machine or a run may be; the value is how a step says so."""

    DGX_OS = "On DGX OS"
    OTHER_OS = "Without DGX OS"
    SPARK = "On a DGX Spark"
    CARD = "For a GPU on a card"
    SOLDERED = "For a soldered GPU"
    VIRTUAL = "In a virtual machine"
    PHYSICAL = "On a physical machine"
    CONTAINER = "For work in the container"
    NATIVE = "For work outside the container"

    def only(self, step: str) -> str:
        """A step that is for machines with this trait alone.

        >>> Trait.DGX_OS.only("Update it: sudo apt full-upgrade")
        'On DGX OS: Update it: sudo apt full-upgrade'
        """
        return f"{self}: {step}"


def of(machine: Machine, *, memory: MemoryKind, in_container: bool) -> dict[Trait, bool]:
    """The traits that are known to hold, or not to hold."""
    products = [gpu.product for gpu in machine.gpus]
    known: dict[Trait, bool | None] = {
        Trait.DGX_OS: machine.dgx_release is not None,
        Trait.OTHER_OS: machine.dgx_release is None,
        Trait.SPARK: any("GB10" in product for product in products) if products else None,
        Trait.CARD: _is_card(products, memory),
        Trait.SOLDERED: memory is not MemoryKind.SEPARATE if products else None,
        Trait.VIRTUAL: machine.virtual,
        Trait.PHYSICAL: None if machine.virtual is None else not machine.virtual,
        Trait.CONTAINER: in_container,
        Trait.NATIVE: not in_container,
    }
    return {trait: holds for trait, holds in known.items() if holds is not None}


def _is_card(products: list[str], memory: MemoryKind) -> bool | None:
    """Whether the GPUs are cards in slots; None where their names do not tell."""
    if memory is not MemoryKind.SEPARATE or any(MODULE.search(product) for product in products):
        return False
    return True if any(CARD.search(product) for product in products) else None


def applicable(steps: Iterable[str], traits: Mapping[Trait, bool], options: str = "") -> tuple[str, ...]:
    """The steps that apply, without the conditions that are known to hold.

    `options` are those of make that lead to the place where this run did its work.

    >>> steps = ("Read the log.", "On DGX OS: sudo apt full-upgrade", "In a virtual machine: Ask its host's owner.")
    >>> applicable(steps, {Trait.DGX_OS: True, Trait.VIRTUAL: False})
    ('Read the log.', 'sudo apt full-upgrade')
    >>> applicable(("Run: make validate ONLY=GPU-CUDA",), {}, "PROFILE=cpu")
    ('Run: make validate PROFILE=cpu ONLY=GPU-CUDA',)
    """
    chosen = []
    for step in steps:
        if options:
            step = re.sub(r"\bmake (shell|validate(?= ONLY=))", rf"\g<0> {options}", step)
        condition, _, rest = step.partition(": ")
        trait = Trait(condition) if condition in list(Trait) else None
        if trait not in traits:
            chosen.append(step)
        elif trait is not None and traits[trait]:
            chosen.append(rest)
    return tuple(chosen)
