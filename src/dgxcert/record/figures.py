"""Figures: the few measurements of a run that a lab reads aloud, from its evidence alone.

A figure is given only where its requirement ended conclusively: what was inconclusive or not run has none, and that of
a requirement that failed is marked. Of several GPUs the worst counts, and one that failed without a reading marks the
figure of the others. What a lab's own checks record is no figure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dgxcert.judgement.benchmark_cases import COURSE, INT4, LARGE, NF4, SINGLE, SMALL, STOCK, TUNED
from dgxcert.judgement.evidence import Evidence, Value
from dgxcert.judgement.requirement import OWN
from dgxcert.judgement.units import OF_CEILING, OF_LINEAR, OF_MEDIAN, OF_ROOFLINE, OF_TIME
from dgxcert.outcome import Outcome
from dgxcert.plan.selection import any_gpu
from dgxcert.profiles.profile import Profile
from dgxcert.record.run import Result, Run

CONCLUSIVE = (Outcome.PASSED, Outcome.FAILED)
SIXTEEN, FOUR, THIRTY_TWO = ("bf16", "fp16"), (NF4, INT4), ("fp32",)
"""Precisions by their bits, the one that counts first."""
BEYOND_ANY = "only absurd readings exceed it"
"""The note of a profile at a peak that no machine of its kind reaches: shares of it say nothing."""


@dataclass(frozen=True)
class Figure:
    """One headline figure.

    `name` is a stable word: `matmul`, `decode-16bit`. `share` is `value` over its bound, `share_of` says which:
    `of roofline`, or `of ceiling` where the profile's peaks are not the machine's; None and "" where it has none.
    `lowest_gpu` is the GPU that did worst and that `value` is of, None where only one was measured; `spread` is how far
    the best was from it, in `unit`. `keys` are the requirements that it comes from.
    """

    name: str
    label: str
    value: float
    unit: str
    share: float | None = None
    share_of: str = ""
    lowest_gpu: int | None = None
    spread: float | None = None
    keys: tuple[str, ...] = ()
    failed: bool = False
    """Whether a requirement that it comes from failed."""
    gpus: int = 1
    """How many GPUs were measured."""
    unmeasured: int = 0
    """How many more were to be measured, and ended inconclusive or not at all."""
    higher_is_better: bool = True

    @property
    def best(self) -> float:
        """The value of the GPU that did best."""
        apart = self.spread or 0.0
        return self.value + apart if self.higher_is_better else self.value - apart


@dataclass(frozen=True)
class Wanted:
    """Where a figure is found: in the evidence of that name and unit of the first requirement that has any."""

    name: str
    label: str
    unit: str
    evidence: re.Pattern[str]
    requirements: tuple[str, ...] = ()
    """Keys without their GPU, the one that counts first; empty for the worst of all requirements."""
    higher_is_better: bool = True
    has_share: bool = False

    def readings(self, results: Iterable[Result]) -> "list[Reading]":
        """Every number of that name and unit; text, and yes or no, is none."""
        return [
            Reading(result, item, float(item.value))
            for result in results
            for item in result.evidence
            if self.evidence.fullmatch(item.name) and item.unit == self.unit and _is_number(item.value)
        ]

    def worst(self, readings: "Iterable[Reading]") -> "Reading":
        """The lowest of what is better the higher it is, and the other way round."""
        choose = min if self.higher_is_better else max
        return choose(readings, key=lambda reading: reading.value)


@dataclass(frozen=True)
class Reading:
    """One value of a figure, of one requirement of one GPU."""

    result: Result
    evidence: Evidence
    value: float

    @property
    def gpu(self) -> int | None:
        """The number of its GPU; None where the key names none, as on a machine with one."""
        return gpu_of(self.result.key)


def figures(run: Run) -> tuple[Figure, ...]:
    """The headline figures of a run, in the order in which every report shows them."""
    has_peaks = has_own_peaks(run.profile)
    ours = tuple(result for result in run.results if result.group != OWN)
    found = {wanted.name: figure for wanted in WANTED if (figure := _figure(wanted, ours, has_peaks))}
    for usual, instead in INSTEAD.items():
        if usual in found:
            found.pop(instead, None)
    return tuple(found.values())


def has_own_peaks(profile: Profile) -> bool:
    """Whether a profile's peaks are those of a machine; `cpu` and `generic-nvidia` fit machines of any speed."""
    bandwidth = profile.physical.get("memory_bandwidth")
    return bandwidth is not None and BEYOND_ANY not in bandwidth.source


def gpu_of(key: str) -> int | None:
    """The number of the GPU that a key names.

    >>> gpu_of("DECODE-SPEED[bf16-tuned-single-gpu3]"), gpu_of("MATMUL-SPEED[bf16]")
    (3, None)
    """
    found = re.search(r"[-\[]gpu([0-9]{1,4})\]$", key)
    return int(found.group(1)) if found else None


def _cases(id: str, precisions: tuple[str, ...], paths: tuple[str, ...], settings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{id}[{each}-{path}-{setting}]" for each in precisions for setting in settings for path in paths)


def _rate(name: str, label: str, unit: str, evidence: str, *requirements: str) -> Wanted:
    """A rate that has a roofline."""
    return Wanted(name, label, unit, re.compile(evidence), requirements, has_share=True)


def _cost(name: str, label: str, unit: str, evidence: str, *requirements: str) -> Wanted:
    """What is better the lower it is."""
    return Wanted(name, label, unit, re.compile(evidence), requirements, higher_is_better=False)


PATHS = (TUNED, STOCK)
"""`tuned` shows the hardware, `stock` what transformers does of itself, which alone is timed to the first token."""
PREFILL_16 = _cases("PREFILL-SPEED", SIXTEEN, PATHS, (SINGLE,))
PREFILL_32 = _cases("PREFILL-SPEED", THIRTY_TWO, PATHS, (SINGLE,))
DECODE_16 = _cases("DECODE-SPEED", SIXTEEN, PATHS, (SINGLE,))
DECODE_32 = _cases("DECODE-SPEED", THIRTY_TWO, PATHS, (SINGLE,))
LORA = _cases("LORA-SPEED", (*SIXTEEN, *THIRTY_TWO, *FOUR), PATHS, (LARGE, SMALL, COURSE))
MATMUL = tuple(f"MATMUL-SPEED[{precision}]" for precision in ("bf16", "fp16", "tf32", "fp32"))
BANDWIDTH = ("MEMORY-BANDWIDTH[read]", "MEMORY-BANDWIDTH[copy]")
ALL_GPUS = ("ALL-GPUS-LOAD",)
WEIGHTS = ("WEIGHTS-LOAD[mmap]", "WEIGHTS-LOAD[read]")

WANTED = (
    _rate("matmul", "matmul", "TFLOP/s", ".* matmul", *MATMUL),
    _rate("memory-bandwidth", "memory bandwidth", "GB/s", "read|copy", *BANDWIDTH),
    _rate("prefill-16bit", "prefill", "token/s", "prefill", *PREFILL_16),
    _rate("prefill-32bit", "prefill", "token/s", "prefill", *PREFILL_32),
    _rate("prefill-4bit", "prefill", "token/s", "prefill", *_cases("PREFILL-SPEED", FOUR, PATHS, (SINGLE,))),
    _rate("decode-16bit", "decode", "token/s", "decode", *DECODE_16),
    _rate("decode-32bit", "decode", "token/s", "decode", *DECODE_32),
    _rate("decode-4bit", "decode", "token/s", "decode", *_cases("DECODE-SPEED", FOUR, PATHS, (SINGLE,))),
    _cost("time-to-first-token", "time to first token", "ms", "time to first token", *PREFILL_16, *PREFILL_32),
    _cost("time-per-token", "time per token", "ms", "time per output token", *DECODE_16, *DECODE_32),
    _rate("lora-steps", "LoRA", "step/s", "LoRA", *LORA),
    Wanted("lora-tokens", "LoRA", "token/s", re.compile("tokens"), LORA),
    Wanted("lora-scaling", "LoRA on all GPUs", OF_LINEAR, re.compile("LoRA scaling"), ("LORA-SCALING",)),
    Wanted("load-from-disk", "load from disk", "GB/s", re.compile("load by .*"), WEIGHTS),
    Wanted(
        "slowest-gpu", "slowest GPU at work with all", OF_MEDIAN, re.compile("slowest beside its siblings"), ALL_GPUS
    ),
    _cost("temperature", "highest temperature", "°C", "highest temperature"),
    _cost("throttling", "throttled", OF_TIME, r"slowed down for (heat|power)( of .*)?|power brake"),
    _cost("energy-per-token", "energy per token", "J/token", "energy of decode", *DECODE_16, *DECODE_32),
)
"""Every figure, in order. At its usual power cap a healthy GPU works: `throttling` is heat and the power brake."""
INSTEAD = {"prefill-16bit": "prefill-32bit", "decode-16bit": "decode-32bit"}
"""What is a headline only where there is nothing in 16 bits, as on a CPU."""


def _figure(wanted: Wanted, results: tuple[Result, ...], has_peaks: bool) -> Figure | None:
    """A figure, of the first requirement that measured it; None where none did."""
    for name in wanted.requirements or ("",):
        named = [result for result in results if not name or any_gpu(result.key) == name]
        if readings := wanted.readings(result for result in named if result.outcome in CONCLUSIVE):
            unmeasured = sum(each.wanted and each.outcome not in CONCLUSIVE for each in named) if name else 0
            figure = _worst(wanted, _label(wanted, name), readings, unmeasured, has_peaks)
            # a GPU that failed before it gave a reading is no better than one whose reading is too low
            return replace(figure, failed=True) if name and _has_failed(named) else figure
    return None


def _label(wanted: Wanted, name: str) -> str:
    """The label with the case in which it was measured; `tuned` and `single` are what a headline is anyway.

    >>> _label(WANTED[2], "PREFILL-SPEED[bf16-tuned-single]"), _label(WANTED[1], "MEMORY-BANDWIDTH[read]")
    ('prefill bf16', 'memory bandwidth read')
    """
    case = name.partition("[")[2].rstrip("]").split("-")
    return " ".join([wanted.label, *(word for word in case if word not in ("", TUNED, SINGLE))])


def _worst(wanted: Wanted, label: str, readings: list[Reading], unmeasured: int, has_peaks: bool) -> Figure:
    """The figure of the GPU that did worst."""
    by_gpu: dict[int | None, list[Reading]] = {}
    for reading in readings:
        by_gpu.setdefault(reading.gpu, []).append(reading)
    of_each = [wanted.worst(of_gpu) for of_gpu in by_gpu.values()]
    worst, values = wanted.worst(of_each), [reading.value for reading in of_each]
    share, share_of = _share(worst, has_peaks) if wanted.has_share else (None, "")
    return Figure(
        name=wanted.name,
        label=label,
        value=worst.value,
        unit=wanted.unit,
        share=share,
        share_of=share_of,
        lowest_gpu=worst.gpu if len(of_each) > 1 else None,
        spread=max(values) - min(values) if len(of_each) > 1 else None,
        keys=tuple(reading.result.key for reading in of_each),
        failed=any(_failed(reading, whole=bool(wanted.requirements)) for reading in of_each),
        gpus=len(of_each),
        unmeasured=unmeasured,
        higher_is_better=wanted.higher_is_better,
    )


def _share(reading: Reading, has_peaks: bool) -> tuple[float | None, str]:
    """The value over its bound, and which bound that is."""
    bound = reading.evidence.roofline if has_peaks else reading.evidence.ceiling
    if bound is None or bound.value <= 0 or bound.unit != reading.evidence.unit:
        return None, ""
    return reading.value / bound.value, OF_ROOFLINE if has_peaks else OF_CEILING


def _failed(reading: Reading, *, whole: bool) -> bool:
    """Whether its requirement failed: for whatever reason, or only by this very value unless `whole`."""
    return reading.result.outcome is Outcome.FAILED and (whole or bool(reading.evidence.violated))


def _has_failed(results: Iterable[Result]) -> bool:
    return any(result.outcome is Outcome.FAILED for result in results)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
