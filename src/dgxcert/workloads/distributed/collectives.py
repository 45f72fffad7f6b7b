"""Collectives: all ranks of a machine prove and time what they do together; what they say is put together here."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dgxcert.judgement.benchmark_cases import COLLECTIVES
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.rounds import Around, Rounds, Work
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.judgement.units import OF_ROUNDING
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Collectives, Timing
from dgxcert.workloads.distributed import nccl_log, operations, speed
from dgxcert.workloads.distributed.launch import Batch, Said
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.distributed.task import Job
from dgxcert.workloads.hardware.together import neighbours
from dgxcert.workloads.quiet import PATIENCE
from dgxcert.workloads.round_timer import keep_rounds

LIMIT_S = 240.0
"""A sweep of twenty sizes and the rounds take about 30 s, beside the start."""
PROOF_LIMIT_S = 150.0
"""Sixteen processes start torch, make a context and join each other in about 40 s on a slow disk; the rest computes."""
SHOWN = 4
PROOF = "proof"
BEHIND, BEHIND_OF_ROUND = 0.5, 0.1
"""A rank is behind where it works so much longer by itself than the others, and by this share of a round at least."""


@dataclass(frozen=True)
class Proof:
    """What the ranks found: each part with a description for evidence."""

    misplaced: tuple[str, ...]
    wrong: int
    findings: tuple[str, ...]
    compared: int
    rounding: float
    rounded: str
    """The operation and the rank of the largest error."""
    apart: tuple[str, ...]
    """Ranks whose bits of the same sum differ from those that most ranks have."""

    @property
    def places(self) -> str:
        """Which rank is not on its device, for evidence."""
        return "; ".join(self.misplaced) or "the device that each process works on, as it says itself"

    @property
    def found(self) -> str:
        """What is wrong in which result, for evidence."""
        told = f": {'; '.join(self.findings[:SHOWN])}" if self.findings else ""
        return f"{self.compared} integers of {', '.join(COLLECTIVES)}, every element compared{told}"

    @property
    def difference(self) -> str:
        """Which ranks hold other bits of the same sum, for evidence."""
        told = f": {', '.join(self.apart)}" if self.apart else ""
        return f"all_reduce in bf16, its bits on every rank{told}"


def sum_tolerance() -> Limit:
    """Limit of the error of a sum in bf16, in what rounding explains at most.

    >>> sum_tolerance().max
    1.05
    """
    source = "each addition rounds to 8 bits, at most by 2^-8 of the magnitudes; rounded sums are rounded again"
    return Limit(name="tolerance of sums in bf16", max=1.05, unit=OF_ROUNDING, source=source)


def prove(devices: Sequence[Device], machine: Machine, sizes: Collectives) -> Proof:
    """Every collective on integers and in bf16, on all devices. Raises what `Batch.answer` raises."""
    return put_together(devices, machine, _compared(tuple(devices), sizes).answer(PROOF, PROOF_LIMIT_S))


@cache
def _compared(devices: tuple[Device, ...], sizes: Collectives) -> Batch:
    """What checks ask: the proof, and the pairs, kept so that one launch serves both."""
    proof = Job("distributed.proof", {"counts": list(sizes.counts), "bf16_count": sizes.bf16_count})
    pairs = {"operation": speed.PAIRS, "largest_bytes": sizes.largest_mib * 2**20}
    return Batch(devices, {PROOF: proof, speed.PAIRS: Job("distributed.speed", pairs)}, nccl_log.VARIABLES)


@cache
def _timed(devices: tuple[Device, ...], sizes: Collectives, timing: Timing) -> Batch:
    """What benchmarks ask: every collective, kept so that one launch serves them all."""
    settings = {
        "smallest_bytes": sizes.smallest_bytes,
        "largest_bytes": sizes.largest_mib * 2**20,
        "growth": sizes.growth,
        "timing": timing.model_dump(),
        "ours": neighbours.ours(devices),
    }
    jobs = {operation: Job("distributed.speed", {**settings, "operation": operation}) for operation in COLLECTIVES}
    return Batch(devices, jobs, nccl_log.VARIABLES)


def put_together(devices: Sequence[Device], machine: Machine, said: Sequence[dict[str, Any]]) -> Proof:
    """What the ranks said, as one proof; pure."""
    names = [Rank(index, tuple(devices)).name for index in range(len(devices))]
    expected = [_expected(device, machine) for device in devices]
    misplaced = tuple(
        f"{name} works on {_place(each['device'], machine)}"
        for name, each, wanted in zip(names, said, expected, strict=True)
        if each["device"] != wanted
    )
    rounding, rounded = max(
        (error, f"{operation} on {name}")
        for name, each in zip(names, said, strict=True)
        for operation, error in each["bf16"].items()
    )
    bits = [each["bits"] for each in said]
    usual = max(bits, key=bits.count)
    return Proof(
        misplaced,
        sum(each["wrong"] for each in said),
        tuple(
            f"{finding['operation']} of {finding['count']} integers: {finding['text']}"
            for each in said
            for finding in each["findings"]
        ),
        sum(each["compared"] for each in said),
        rounding,
        rounded,
        tuple(name for name, each in zip(names, bits, strict=True) if each != usual),
    )


def _expected(device: Device, machine: Machine) -> str:
    """What a rank says of its place when it is on its device."""
    if device.kind != "cuda":
        return f"rank {device.index}"
    return next((gpu.uuid for gpu in machine.gpus if gpu.index == device.index), f"GPU {device.index}, not listed")


def _place(said: str, machine: Machine) -> str:
    """The number of the GPU that a rank is on, where the driver lists it."""
    return next((f"GPU {gpu.index}" for gpu in machine.gpus if gpu.uuid == said), said)


class Collective:
    """One collective of all devices: timed in their processes, so that its work is known only after that."""

    def __init__(self, devices: Sequence[Device], profile: Profile, operation: str) -> None:
        self.devices, self.operation = tuple(devices), operation
        self._batch = _timed(self.devices, profile.workloads.collectives, profile.workloads.timing)
        self._peak = link_peak(profile, operation)
        self._factor = operations.factor(operation, len(devices))
        self.said: Said = ()
        """What each rank said, after `run`."""

    def run(self, before: Callable[[], object] = lambda: None) -> None:
        """Time it on all ranks, with all that is not timed yet. Raises what `Batch.answer` raises."""
        self.said = self._batch.answer(self.operation, LIMIT_S, before)

    @property
    def work(self) -> Work:
        """Bytes times nccl-tests' factor, so that the rate is the bus bandwidth."""
        return Work(self.devices[0], self.said[0]["bytes"] * self._factor / 1e9, self._peak)

    @property
    def algorithm(self) -> str:
        """The algorithm, as limits name it; "unknown" where NCCL's log does not say it."""
        return str(self.said[0]["algorithm"]) or "unknown"

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Record what was chosen and how it grew with the size; raises Wrong where the last result is."""
        lead = self.said[0]
        wrong = {Rank(index, self.devices).name: each["wrong"] for index, each in enumerate(self.said)}
        where = "".join(f"; {count} on {name}" for name, count in wrong.items() if count)
        source = f"the last result of each rank{where}"
        evidence.require(evidence.record("wrong elements", sum(wrong.values()), source=source) == 0)
        own = behind(self.devices, self.said)
        evidence.record("rank behind the others", own.name or "none", source=own.source)
        evidence.advise(*own.remedy)
        source = f"{lead['how']}, for {lead['bytes']} bytes"
        evidence.record(f"algorithm of {self.operation}", self.algorithm, source=source)
        _keep_sweep(evidence, self.operation, lead["swept"], self._factor)


@dataclass(frozen=True)
class Pairs:
    """How fast each pair of ranks exchanges data while the others wait."""

    slowest: float
    """The bandwidth of the slowest pair, as a share of the median pair's."""
    wrong: int
    source: str


@LEDGER.on(Spent.BUILDING)
def prepare(devices: Sequence[Device], profile: Profile, operation: str) -> Collective:
    """A collective of a profile's sizes."""
    return Collective(devices, profile, operation)


def time_rounds(benchmark: Any, workload: Collective, profile: Profile, evidence: Recorder) -> Rounds:  # noqa: ARG001
    """The rounds of a collective, each as long as on the slowest rank; `benchmark` is pytest-benchmark's fixture.

    Raises what `Batch.answer` raises, and Inconclusive where nothing was timed.
    """
    benchmark.pedantic(workload.run, (lambda: PATIENCE.wait(workload.devices[0], evidence.say),))
    return keep_rounds(benchmark, lambda: rounds_of(workload.devices, workload.said), workload, evidence)


@dataclass(frozen=True)
class Behind:
    """The rank that the others wait for, if there is one; `source` says how long each works by itself in a round."""

    name: str
    source: str

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about that rank; nothing where there is none."""
        if not self.name:
            return ()
        return (
            f"{self.name} is behind: it works longer by itself than the others ({self.source}), and all wait for it.",
            "See what this run says of that GPU alone, its clock and its memory; look for its heat and its power: "
            "nvidia-smi -q -d CLOCK,PERFORMANCE,TEMPERATURE",
            "Look for other work on the processors beside it: top; then run it again.",
            "Restart the machine: sudo reboot; then open a hardware case with the run folder if the same one is named.",
        )


def behind(devices: Sequence[Device], said: Sequence[dict[str, Any]]) -> Behind:
    """Which rank is behind the others by what it does itself, which they wait for in every round; pure.

    What the ranks do together takes as long on all of them, so only this tells a slow one from a slow link.
    """
    names = [Rank(index, tuple(devices)).name for index in range(len(devices))]
    own_s = [each["own_s"] for each in said]
    slow = max(range(len(own_s)), key=lambda index: own_s[index])
    others_s = statistics.median([*own_s[:slow], *own_s[slow + 1 :]] or own_s)
    late_s = own_s[slow] - others_s
    is_behind = late_s > BEHIND * others_s and late_s > BEHIND_OF_ROUND * statistics.median(said[0]["seconds"])
    told = ", ".join(f"{name} {seconds * 1e3:.3g} ms" for name, seconds in zip(names, own_s, strict=True))
    return Behind(names[slow] if is_behind else "", f"median of what each does itself in a round: {told}")


def link_peak(profile: Profile, operation: str) -> Bound:
    """What bounds a bus bandwidth: the NVLinks of a GPU, or its slot where the profile says that it has none.

    Where the switches add up, a GPU sends and receives each byte once, and the bus bandwidth of all_reduce counts it
    up to twice; a PCIe switch adds nothing. Memory bounds only what ranks on a CPU copy: on a GPU its bandwidth is many
    times that of the links, and an impossible rate would pass. Raises Inconclusive where no peak is known.
    """
    if not profile.uses_gpu:
        return profile.peak("memory_bandwidth")
    if "nvlink" not in profile.physical:
        return profile.peak("host_link")
    peak = profile.peak("nvlink")
    if operation != "all_reduce":
        return peak
    return peak.model_copy(update={"value": 2 * peak.value, "source": f"twice {peak.source}, added up in the switches"})


def rounds_of(devices: Sequence[Device], said: Sequence[dict[str, Any]]) -> Rounds:
    """The rounds of the slowest rank, with what went on around any of them."""
    names = [Rank(index, tuple(devices)).name for index in range(len(devices))]
    around = [Around(**each["around"]) for each in said]
    ours = sum(each["own_share"] for each in said[1:])  # to the first rank these are other processes

    def worst(name: str) -> float | None:
        return max((value for each in around if (value := getattr(each, name)) is not None), default=None)

    merged = dataclasses.replace(
        around[0],
        others=max(0.0, (around[0].others or 0.0) - ours),
        busiest=max(0.0, (around[0].busiest or 0.0) - ours),
        compiled=max(each.compiled for each in around),
        peak_bytes=max(each.peak_bytes for each in around),
        power_w=worst("power_w"),
        hot=worst("hot"),
        braked=worst("braked"),
    )
    seen = "; ".join(
        f"{name}: {each['disturbance']}" for name, each in zip(names, said, strict=True) if each["disturbance"]
    )
    unknown = next((each["unknown"] for each in said if each["unknown"]), "")
    return Rounds(tuple(said[0]["seconds"]), seen or None, merged, unknown)


def _keep_sweep(evidence: Recorder, operation: str, swept: Sequence[Sequence[float]], factor: float) -> None:
    """Record the time of the smallest size, and the bus bandwidth of each size: compared with nothing."""
    size, seconds = swept[0]
    source = f"median of rounds on {size:.0f} bytes, the slowest rank"
    evidence.record(f"latency of {operation}", seconds * 1e6, unit="µs", source=source)
    for size, seconds in swept:
        rate = size * factor / seconds / 1e9
        evidence.record(f"{operation} of {_in_words(int(size))}", rate, unit="GB/s", source="median on the way up")


def _in_words(size: int) -> str:
    """A size in the unit of nccl-tests' tables.

    >>> _in_words(1024), _in_words(8 * 2**30), _in_words(2**20 - 4)
    ('1 KiB', '8 GiB', '1 MiB')
    """
    power = max(0, (size + size // 100).bit_length() - 1) // 10
    return f"{size / 2 ** (10 * power):.0f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def exchanged(devices: Sequence[Device], profile: Profile) -> Pairs:
    """How fast each pair of devices exchanges data both ways. Raises what `Batch.answer` raises."""
    return compare_pairs(devices, _compared(tuple(devices), profile.workloads.collectives).answer(speed.PAIRS, LIMIT_S))


def compare_pairs(devices: Sequence[Device], said: Sequence[dict[str, Any]]) -> Pairs:
    """The slowest pair beside the median pair; pure."""
    names = [Rank(index, tuple(devices)).name for index in range(len(devices))]
    times = {(int(first), int(second)): seconds for first, second, seconds in said[0]["pairs"]}
    median_s = statistics.median(times.values())
    slow = max(times, key=lambda pair: times[pair])
    share = median_s / times[slow]
    source = f"{names[slow[0]]} and {names[slow[1]]}, the slowest of {len(times)} pairs, each while the others wait"
    return Pairs(share, sum(each["wrong"] for each in said), source)
