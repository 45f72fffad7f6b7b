"""Benchmark names: what a benchmark is called beside a plot, and in which order people expect benchmarks."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dgxcert.console import clipped

KINDS: dict[str, tuple[str, str]] = {
    "DECODE-SPEED": ("Decode", ""),
    "PREFILL-SPEED": ("Prefill", ""),
    "LORA-SPEED": ("LoRA training", ""),
    "MATMUL-SPEED": ("Hardware", "matmul "),
    "MEMORY-BANDWIDTH": ("Hardware", "memory "),
    "HOST-TRANSFER": ("Hardware", "transfer "),
    "WEIGHTS-LOAD": ("Hardware", "load from disk, "),
}
"""The group of a benchmark, and what its cases are called there before their parameters, in the order of a report."""
OTHER = "Other"
SETTINGS = ("single", "long", "full", "full_long", "course", "small", "large")
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "fp8", "nf4", "int4")
PATHS = ("stock", "tuned")
LABEL_CHARS = 28
"""Longer labels would leave no space for a plot on a phone."""


@dataclass(frozen=True)
class BenchmarkName:
    """A benchmark's group, and its label within that group; `place` sorts benchmarks as people think of them."""

    group: str
    label: str
    place: tuple[int, ...]

    @property
    def whole(self) -> str:
        """Its label with its group, where benchmarks of several groups stand in one list.

        >>> names(["DECODE-SPEED[int4-tuned-single]"])["DECODE-SPEED[int4-tuned-single]"].whole
        'decode int4 tuned single'
        """
        group = {"LoRA training": "LoRA "}.get(self.group, f"{self.group.lower()} ")
        return clipped(self.label if self.group in ("Hardware", OTHER) else group + self.label, LABEL_CHARS)


def names(keys: Iterable[str]) -> dict[str, BenchmarkName]:
    """The name of each key, in the order of a report; the GPU is named where there are several.

    >>> [name.label for name in names(["MATMUL-SPEED[bf16]", "DECODE-SPEED[bf16-tuned-full_long-gpu0]"]).values()]
    ['bf16 tuned full long', 'matmul bf16']
    >>> list(names(["DECODE-SPEED[int4-stock-gpu1]", "DECODE-SPEED[int4-stock-gpu0]"]).values())[1].label
    'int4 stock, GPU 1'
    """
    unsorted = {key: _parts(key) for key in keys}
    several = len({gpu for _, _, gpu in unsorted.values() if gpu is not None}) > 1
    named = {key: _name(key, *parts, several=several) for key, parts in unsorted.items()}
    return dict(sorted(named.items(), key=lambda item: (item[1].place, item[0])))


def _parts(key: str) -> tuple[str, list[str], int | None]:
    """Id, parameters and GPU of a key."""
    id_, _, rest = key.partition("[")
    found = re.fullmatch(r"(.*?)-?gpu(\d{1,4})", rest.removesuffix("]"))
    parameters, gpu = (found[1], int(found[2])) if found else (rest.removesuffix("]"), None)
    return id_, parameters.split("-") if parameters else [], gpu


def _name(key: str, id_: str, parameters: list[str], gpu: int | None, *, several: bool) -> BenchmarkName:
    group, prefix = KINDS.get(id_, (OTHER, ""))
    label = prefix + " ".join(parameters).replace("_", " ") if id_ in KINDS else key
    of_gpu = f", GPU {gpu}" if several and gpu is not None else ""
    kind = [*KINDS].index(id_) if id_ in KINDS else len(KINDS)
    place = (kind, _first(parameters, SETTINGS), _first(parameters, PRECISIONS), _first(parameters, PATHS), gpu or 0)
    return BenchmarkName(group, clipped(label, LABEL_CHARS - len(of_gpu)) + of_gpu, place)


def _first(parameters: list[str], known: tuple[str, ...]) -> int:
    """Index of the parameter that is known; those that are not known come last."""
    return next((known.index(each) for each in parameters if each in known), len(known))
