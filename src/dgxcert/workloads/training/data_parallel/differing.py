"""Differing: of what every rank must have alike, bit for bit, which ranks have another, and in which tensors."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHOWN = 3


@dataclass(frozen=True)
class Differing:
    """How many tensors differ between ranks, of how many, and where."""

    count: int
    of: int
    where: str
    """The ranks that differ and some of their tensors; what was compared where none does."""

    @property
    def unit(self) -> str:
        """The unit of `count`.

        >>> Differing(0, 12, "").unit
        'of 12'
        """
        return f"of {self.of}"


def between(digests: Sequence[Mapping[str, str]], names: Sequence[str]) -> Differing:
    """Compare the digests of tensors by name, of each rank, whose names are `names`.

    What most ranks have counts as right, and what the first one has where as many have either. A tensor that a rank
    does not have differs from any.

    >>> between([{"lora_A": "5f"}, {"lora_A": "5f"}, {"lora_A": "91"}], ["GPU 0", "GPU 1", "GPU 2"])
    Differing(count=1, of=1, where='GPU 2 differs from the other ranks: lora_A')
    >>> between([{"lora_A": "5f"}, {"lora_A": "91"}], ["rank 0", "rank 1"]).where
    'rank 1 differs from rank 0: lora_A'
    """
    tensors = list(dict.fromkeys(name for of_rank in digests for name in of_rank))
    wrong: dict[str, list[str]] = {}
    for tensor in tensors:
        values = [of_rank.get(tensor) for of_rank in digests]
        (usual, _), *_ = Counter(values).most_common()  # the first of several as common ones
        for name, value in zip(names, values, strict=True):
            if value != usual:
                wrong.setdefault(name, []).append(tensor)
    different = {tensor for found in wrong.values() for tensor in found}
    other = names[0] if len(names) == 2 else "the other ranks"
    where = "; ".join(f"{name} differs from {other}: {_some(found)}" for name, found in wrong.items())
    return Differing(len(different), len(tensors), where or f"SHA-256 of each on {', '.join(names)}")


def _some(tensors: Sequence[str]) -> str:
    rest = f" and {len(tensors) - SHOWN} more" if len(tensors) > SHOWN else ""
    return ", ".join(tensors[:SHOWN]) + rest
