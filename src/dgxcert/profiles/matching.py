"""Matching: the profile of a machine, by its GPUs and by what its firmware calls it.

A machine that its firmware names (`match.systems`) is judged as what it was sold as, whatever the driver lists: a DGX
H200 with seven GPUs is a faulty DGX H200, and one with a GPU of another model too. Elsewhere every GPU must match, by
product, compute capability and, where two products share a name, memory. Where the answer depends on what cannot be
read, no profile is chosen: the laxer of two would let a faulty machine pass.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from dgxcert.console import counted
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles import inheritance
from dgxcert.profiles.inheritance import SHIPPED
from dgxcert.profiles.profile import FALLBACK, Match, Profile, load, names

PLACEHOLDERS = frozenset(
    {"", "defaultstring", "none", "notapplicable", "notspecified", "oem", "systemproductname", "tobefilledbyoem"}
    | {"unknown", "undefined", "productname", "invalid", "na"}
)
"""What firmware has in place of a name that nobody wrote, compared by letters and digits alone."""


def choose(machine: Machine) -> Profile:
    """The profile that ships for a machine. Raises CannotStart as `chosen` does."""
    return load(chosen(machine, shipped()))


@cache
def shipped() -> dict[str, Match]:
    """What the profiles that ship are chosen by, by name; it is never inherited, so that no base is read.

    >>> shipped()["dgx-a100-80"].systems
    ('DGX A100',)
    """
    contents = {name: inheritance.read(SHIPPED / f"{name}.yaml").content for name in names()}
    return {name: Match.model_validate(content["match"]) for name, content in contents.items() if "match" in content}


def chosen(machine: Machine, known: Mapping[str, Match]) -> str:
    """The name of the profile that fits a machine, of `known` ones.

    No GPU in a machine without a known name, or none that a profile matches, gives `generic-nvidia`, whose GPU-PRESENT
    then fails: a machine without a GPU is never silently rehearsed. Raises CannotStart, naming the profiles, where it
    cannot be told which one fits.

    >>> gpus = tuple(Gpu(index=index, product="NVIDIA H200", uuid=f"GPU-{index}", compute_capability="9.0",
    ...                  memory_gib=140.4) for index in range(8))
    >>> one = Machine(hostname="h", kernel="6", architecture="x86_64", cores=1, product="DGXH200", gpus=gpus)
    >>> other = one.model_copy(update={"product": "SYS-821GE-TNHR"})
    >>> chosen(one, shipped()), chosen(other, shipped())
    ('dgx-h200', 'h200')
    """
    told = {name: match for name, match in known.items() if _is_told(match, machine)}
    if len(told) > 1 and not machine.gpus:
        return FALLBACK
    if told:
        return _only(_with_most_gpus(told, machine.gpus), machine, machine.product or "")
    fitting = {name: match for name, match in known.items() if machine.gpus and _fits_all(match, machine.gpus)}
    sure = [name for name, match in fitting.items() if not match.systems and _is_sure(match, machine.gpus)]
    unsure = [name for name, match in fitting.items() if name not in sure and _may_be(match, machine)]
    if unsure:
        what = f"{counted(len(machine.gpus), 'GPU')} ({machine.gpus[0].product})"
        return _only([*sure, *unsure, *([] if sure else [FALLBACK])], machine, what)
    return _only(sure, machine, machine.gpus[0].product) if sure else FALLBACK


def is_named(product: str | None, systems: Iterable[str]) -> bool:
    """Whether firmware calls a machine by one of these names: by itself, after its maker, or before a part number.

    Case, spaces, hyphens and underscores make no difference.

    >>> [is_named(name, ["DGX A100"]) for name in ("DGXA100 920-23687-2530-000", "NVIDIA_DGX_A100", "DGX Station A100")]
    [True, True, False]
    """
    words = re.findall(r"[a-z0-9]+", (product or "").casefold())
    words = words[1:] if words[:1] == ["nvidia"] else words
    beginnings = {"".join(words[:number]) for number in range(1, len(words) + 1)}
    return any(_letters(system) in beginnings for system in systems)


def is_known(product: str | None) -> bool:
    """Whether the firmware names the machine at all.

    >>> is_known("PowerEdge XE9680"), is_known("To Be Filled By O.E.M."), is_known(None)
    (True, False, False)
    """
    return _letters(product or "") not in PLACEHOLDERS


def _is_told(match: Match, machine: Machine) -> bool:
    """Whether the name in the firmware, or an adapter for its monitor beside such a GPU, tells the machine."""
    adapters = {adapter.product for adapter in machine.display_adapters}
    beside = match.display_adapter in adapters and any(_fits(match, gpu) for gpu in machine.gpus)
    return beside or is_named(machine.product, match.systems)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.casefold())


def _with_most_gpus(told: Mapping[str, Match], gpus: Sequence[Gpu]) -> list[str]:
    """Of profiles that share the name of a machine, those that most of its GPUs are of (DGX A100, 40 and 80 GB)."""
    numbers = {name: sum(_fits(match, gpu) for gpu in gpus) for name, match in told.items()}
    return [name for name, number in numbers.items() if number == max(numbers.values())]


def _fits_all(match: Match, gpus: Iterable[Gpu]) -> bool:
    return all(_fits(match, gpu) for gpu in gpus)


def _fits(match: Match, gpu: Gpu) -> bool:
    """Whether a GPU may be one of a profile's; without a figure for its memory it may."""
    if (match.product, match.compute_capability) != (gpu.product, gpu.compute_capability):
        return False
    if match.memory_gib is None or gpu.memory_gib is None:
        return True
    least, most = match.memory_gib
    return least <= gpu.memory_gib <= most


def _is_sure(match: Match, gpus: Iterable[Gpu]) -> bool:
    """Whether the memory of a GPU is known where the profile is told by it."""
    return match.memory_gib is None or any(gpu.memory_gib is not None for gpu in gpus)


def _may_be(match: Match, machine: Machine) -> bool:
    """Whether a machine whose GPUs fit may be one that is known by a name in its firmware, or by memory.

    It may where firmware names nothing. A single GPU is a card in some machine, not the rest of a machine of eight.
    """
    if not match.systems:
        return True
    return not is_known(machine.product) and len(machine.gpus) > 1


def _only(fitting: Sequence[str], machine: Machine, what: str) -> str:
    if len(fitting) == 1:
        return fitting[0]
    firmware = f"its firmware calls it {machine.product!r}" if is_known(machine.product) else "its firmware has no name"
    raise CannotStart(
        f"It cannot be told which of the profiles {', '.join(fitting[:-1])} and {fitting[-1]} fits {what}: {firmware}.",
        f"Name the one that it was sold as with --profile, such as --profile {fitting[0]}",
        "Read the name in the firmware, also in a container: cat /sys/class/dmi/id/product_name",
    )
