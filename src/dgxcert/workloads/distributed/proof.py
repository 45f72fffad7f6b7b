"""Proof: every collective moves and adds what it should, shown by integers that name their origin, and in bf16.

Runs on each rank. What is wrong is returned and not raised: one wrong rank must not hide what the others see.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import ALL_TO_ALL, COLLECTIVES, SENDRECV
from dgxcert.workloads import numerics
from dgxcert.workloads.distributed import operations, pattern, phase, placement
from dgxcert.workloads.distributed.pattern import EVERYBODY, POISON, Digits
from dgxcert.workloads.distributed.rank import Rank

if TYPE_CHECKING:
    import torch

TO_ONE = (SENDRECV, operations.FORTH, operations.BACK)
"""What a rank sends to the next one alone."""
SUMS = ("all_reduce", "reduce_scatter")
RUNS = 2
"""Runs of each size in the same buffers: a result that the second one does not write is the first one's."""
SEED = 23
BF16_ROUNDING = 2.0**-8
"""The largest relative error of one rounding to bf16, which keeps 8 bits."""
MOST_FINDINGS = 8


@dataclass(frozen=True)
class Finding:
    """One block of a result that is wrong, as the rank that received it says it."""

    operation: str
    count: int
    text: str


@dataclass(frozen=True)
class Job:
    """One operation on one size, with its root where it has one."""

    operation: str
    count: int
    root: int = operations.ROOT


def work(rank: Rank, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Prove each operation on blocks of each of `settings["counts"]` elements; what was found, and on which device."""
    prover = Prover(rank)
    findings: list[Finding] = []
    compared = 0
    asked = settings.get("operations", tuple(COLLECTIVES))
    for number, job in enumerate(jobs(settings["counts"], rank.size, asked)):
        phase.enter(f"{job.operation} of {job.count} integers")
        for run in range(1, RUNS + 1):
            found, values = prover.prove(job, number * RUNS + run, fresh=run == 1)
            findings += found
            compared += values
    phase.enter("sums in bf16")
    rounded = {operation: prover.rounded(operation, settings["bf16_count"]) for operation in SUMS}
    return {
        "device": placement.identity(rank),
        "findings": [asdict(finding) for finding in findings[:MOST_FINDINGS]],
        "wrong": len(findings),
        "compared": compared,
        "bf16": {operation: error for operation, (error, _) in rounded.items()},
        "bits": rounded["all_reduce"][1],
    }


def jobs(counts: list[int], ranks: int, asked: Iterable[str] = tuple(COLLECTIVES)) -> Iterator[Job]:
    """Every operation on every size, and a broadcast from every rank."""
    for operation in asked:
        for count in counts:
            for root in range(ranks) if operation == "broadcast" else (operations.ROOT,):
                yield Job(operation, count, root)


class Prover:
    """Runs operations on this rank and compares every element of their results."""

    def __init__(self, rank: Rank) -> None:
        self._rank = rank
        self._digits = Digits(rank.size)
        self._result: torch.Tensor | None = None

    def prove(self, job: Job, run: int, *, fresh: bool) -> tuple[list[Finding], int]:
        """One run of an operation: what is wrong in its result, and how many elements were compared."""
        import torch

        shape = operations.shape(job.operation, self._rank.size)
        given = self._given(job, run)
        if fresh or self._result is None:
            self._result = torch.full((shape.blocks_out * job.count,), POISON, device=self._rank.device.name)
        result = self._result
        if operations.in_place(job.operation) and not self._receives(job):
            result.copy_(given)
        operations.run(job.operation, given, result, job.root)
        self._rank.device.wait()
        if not operations.is_written(job.operation, self._rank.index):
            return [], 0
        found = [finding for index in range(shape.blocks_out) for finding in self._compare(job, run, index, result)]
        return found, result.numel()

    def _receives(self, job: Job) -> bool:
        return job.operation == "broadcast" and self._rank.index != job.root

    def _given(self, job: Job, run: int) -> "torch.Tensor":
        import torch

        mine, size, device = self._rank.index, self._rank.size, self._rank.device.name
        if job.operation in SUMS:
            blocks = operations.shape(job.operation, size).blocks_in
            return self._digits.term(run, mine, 0, blocks * job.count, device)
        if job.operation == ALL_TO_ALL:
            return torch.cat([pattern.block(run, mine, to, job.count, device) for to in range(size)])
        to = (mine + 1) % size if job.operation in TO_ONE else EVERYBODY
        return pattern.block(run, mine, to, job.count, device)

    def _compare(self, job: Job, run: int, index: int, result: "torch.Tensor") -> Iterator[Finding]:
        """The first wrong element of one block of the result, if it has one."""
        import torch

        block = result[index * job.count : (index + 1) * job.count]
        wanted, whose = self._wanted(job, run, index)
        wrong = torch.nonzero(block != wanted).flatten()
        if not len(wrong):
            return
        first = int(wrong[0])
        found, right = int(block[first]), int(wanted[first])
        name = self._name
        if job.operation in SUMS:
            why = self._digits.fault(found, right, name)
        else:
            why = f"there is {pattern.origin(found, name)}"
        text = f"{len(wrong)} of {job.count} elements of {whose} are wrong, the first at {first}: {why}"
        yield Finding(job.operation, job.count, f"{self._rank.name} got in run {run}: {text}")

    def _wanted(self, job: Job, run: int, index: int) -> tuple["torch.Tensor", str]:
        """What a block of the result should hold, and whose it is."""
        mine, size, device = self._rank.index, self._rank.size, self._rank.device.name
        if job.operation in SUMS:
            first = mine * job.count if job.operation == "reduce_scatter" else 0
            return self._digits.total(run, first, job.count, device), "the sum"
        sender = {"all_gather": index, ALL_TO_ALL: index, "broadcast": job.root}.get(job.operation, (mine - 1) % size)
        receiver = mine if job.operation == ALL_TO_ALL or job.operation in TO_ONE else EVERYBODY
        return pattern.block(run, sender, receiver, job.count, device), f"{self._name(sender)}'s block"

    def _name(self, index: int) -> str:
        return self._rank.other(index).name if index < self._rank.size else f"a rank {index} that does not exist"

    def rounded(self, operation: str, count: int) -> tuple[float, str]:
        """The largest error of a sum in bf16, in what rounding explains, and a hash of the sum's bits.

        A sum of n terms is rounded n - 1 times, each time by at most 2^-8 of a partial sum, which is at most the sum of
        the magnitudes, in whatever order they are added.
        """
        mine, size = self._rank.index, self._rank.size
        whole = count * operations.shape(operation, size).blocks_in
        terms = [_random(rank, whole) for rank in range(size)]
        given = terms[mine].to(self._rank.device.name)
        result = given.clone() if operations.in_place(operation) else given.new_zeros(count)
        operations.run(operation, given, result)
        self._rank.device.wait()
        part = slice(mine * count, (mine + 1) * count) if operation == "reduce_scatter" else slice(None)
        exact = sum(term[part].double() for term in terms)
        most = sum(term[part].double().abs() for term in terms) * (max(1, size - 1) * BF16_ROUNDING)
        error = (result.cpu().double() - exact).abs() / most
        worst = float(error.max()) if bool(error.isfinite().all()) else float("inf")
        return min(worst, 1e9), numerics.fingerprint(result)


def _random(rank: int, count: int) -> "torch.Tensor":
    """What a rank adds in bf16: the same on every rank that computes it."""
    import torch

    return torch.randn(count, generator=torch.Generator().manual_seed(SEED + rank)).bfloat16()
