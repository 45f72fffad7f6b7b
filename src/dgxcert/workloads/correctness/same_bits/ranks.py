"""Ranks: every GPU computes the same seeded work twice, and its bits are compared with those of its kind.

Only hashes travel between the processes, over gloo; where two differ, the bytes of one result do, to find the values.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness.same_bits import answers, computations, kind, majority
from dgxcert.workloads.correctness.same_bits.answers import NOT_FINITE, Answer, Answers, Apart
from dgxcert.workloads.correctness.same_bits.computations import Computation
from dgxcert.workloads.distributed import exchange, launch, phase
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.training.repeatability import WORKSPACE

if TYPE_CHECKING:
    import torch

MODULE = "correctness.same_bits.ranks"
LIMIT_S = 240.0
MOST_POSITIONS = 1024
"""Values that differ, of each GPU, that are compared with fp64: enough to tell, and few enough to be exact about."""


def run(devices: Sequence[Device]) -> Answers:
    """What all devices computed, one process for each; raises what `launch.run` raises."""
    for device in devices:
        device.release()
    return answers.parse(launch.run(MODULE, devices, {}, limit_s=LIMIT_S, backend="gloo", variables=WORKSPACE))


def work(rank: Rank, _settings: dict[str, Any]) -> dict[str, Any]:
    """The name and kind of this rank's device, and its answer for each result."""
    make_repeatable(rank.device)
    kinds = exchange.gathered(rank, kind.of(rank.device))
    results: dict[str, Any] = {}
    for number, computation in enumerate(computations.every(rank.device.kind), start=1):
        phase.enter(f"computing {number}: {computation}")
        results |= {name: asdict(answer) for name, answer in answer_of(rank, computation, kinds).items()}
    return {"name": rank.name, "kind": kinds[rank.index], "results": results}


def make_repeatable(device: Device) -> None:
    """Make this process add up in a fixed order for good."""
    import torch

    torch.use_deterministic_algorithms(True)
    if device.kind == "cpu":
        torch.set_num_threads(1)  # several threads would split sums, and add up the parts, in a varying order


def answer_of(rank: Rank, computation: Computation, kinds: Sequence[str]) -> dict[str, Answer]:
    """This rank's answers, by the name of the result; all ranks go through this together."""
    first, repeated = _computed_twice(rank.device, computation)
    mine = {name: (numerics.fingerprint(values), repeated[name], values.nbytes) for name, values in first.items()}
    everyone = exchange.gathered(rank, mine)
    found = {name: Answer(digest, unrepeated) for name, (digest, unrepeated, _) in mine.items()}
    for name in sorted({name for each in everyone for name in each}):
        for like in dict.fromkeys(kinds):
            members = {index: everyone[index].get(name) for index in range(rank.size) if kinds[index] == like}
            having = {index: answer for index, answer in members.items() if answer is not None}
            digests = {str(index): digest for index, (digest, _, _) in having.items()}
            if len(set(digests.values())) > 1:
                compared = _compare(rank, computation, name, first.get(name), digests, next(iter(having.values()))[2])
                found |= {name: Answer(*mine[name][:2], *compared)} if rank.index in having else {}
    return found


def _computed_twice(device: Device, computation: Computation) -> "tuple[dict[str, torch.Tensor], dict[str, int]]":
    """The results on the CPU, and in how many values the second computation differs."""
    twice = list(computation.results(device))
    device.wait()
    if not twice:
        return {}, {}
    first, second = twice
    repeated = {name: int(numerics.differing(first[name], second[name])) for name in first}
    return {name: values.cpu() for name, values in first.items()}, repeated


def _compare(
    rank: Rank,
    computation: Computation,
    name: str,
    mine: "torch.Tensor | None",
    digests: dict[str, str],
    size_bytes: int,
) -> tuple[Apart | None, float | None]:
    """Where this rank's result differs from that of the first rank with the majority's, and its error there.

    Every rank takes part, those of other kinds only to pass the bytes on. The error is computed where no majority
    decides, at the values in which any rank of the kind differs.
    """
    import torch

    found = majority.vote(digests)
    source = int(next(index for index in digests if index not in found.odd or not found.settled))
    other = exchange.sent_by(source, rank, mine, size_bytes)
    takes_part = mine is not None and str(rank.index) in digests
    differ = torch.empty(0, dtype=torch.int64)
    if mine is not None and takes_part:
        word = {2: torch.int16, 4: torch.int32}[mine.itemsize]
        differ = (mine.contiguous().flatten().view(word) != other.view(word)).nonzero().flatten()
    told = exchange.gathered(rank, differ[:MOST_POSITIONS].tolist())
    if mine is None or not takes_part:
        return None, None
    apart = _apart(mine, differ, rank.other(source).name) if len(differ) else None
    positions = torch.tensor(sorted({position for each in told for position in each}), dtype=torch.int64)
    return apart, None if found.settled else _error(computation, name, mine, positions)


def _apart(mine: "torch.Tensor", differ: "torch.Tensor", versus: str) -> Apart:
    import torch

    ends = (torch.unravel_index(differ[end], mine.shape) for end in (0, -1))
    first, last = (tuple(int(index) for index in each) for each in ends)
    return Apart(len(differ), mine.numel(), first, last, versus)


def _error(computation: Computation, name: str, mine: "torch.Tensor", positions: "torch.Tensor") -> float | None:
    """The largest error at these positions, relative to the exact values; NOT_FINITE where a value is not finite."""
    exact = computation.exact(name, positions)
    if exact is None:
        return None
    errors = (mine.flatten()[positions].double() - exact).abs() / exact.square().mean().sqrt()
    worst = float(errors.max())
    return worst if math.isfinite(worst) else NOT_FINITE
