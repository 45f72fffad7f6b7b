"""Speed: rounds of one collective on every rank, timed by the slowest one, up to the size where it grows no faster.

Runs on each rank. What must agree between ranks, such as which round is the last one, goes over gloo beside the
backend that is timed, so that NCCL's log shows nothing else.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import ALL_TO_ALL, SENDRECV
from dgxcert.probes.host import processors
from dgxcert.profiles.workload_sizes import Timing
from dgxcert.workloads import allocation
from dgxcert.workloads.distributed import nccl_log, operations, phase
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware.together import neighbours
from dgxcert.workloads.round_timer import Monitor, RoundTimer

if TYPE_CHECKING:
    import torch

ELEMENT = 4
"""Bytes of fp32, which nccl-tests sends unless asked for another type."""
VALUES = 251
"""Elements are integers below this prime: sums over all ranks are exact in fp32."""
CHUNK = 2**24
"""Elements that are compared at a time."""
SMALL, CALLS = 2**20, 20
"""Below so many bytes a round is of so many calls: one alone would be timed with the start of its kernel."""
LOOKS = 5
"""Rounds of each size on the way up, of which the median counts."""
LEAST_PLATEAU = 32 * 2**20
"""No plateau is looked for below this: protocols and algorithms change there, and the bandwidth with them."""
STEP_SMALL, STEP = 8, 2
"""How sizes grow below SMALL and above it."""
PAIRS, PAIR_BYTES, PAIR_ROUNDS = "pairs", 256 * 2**20, 5
"""Two ranks at a time exchange so much, so many times: 28 pairs of eight GPUs take a few seconds."""
BUFFERS = 4
"""Memory for what is given, the result, NCCL's own buffers, and what the result is compared with."""


class RankMonitor(Monitor):
    """What goes on around the rounds of one rank."""

    def __init__(self, rank: Rank, ours: int) -> None:
        super().__init__(rank.device)
        self._rank, self._ours = rank, ours
        self._began: processors.Processors | None = None
        self.own_share = 0.0
        """Share of all processors that this rank used: to the others it is another process."""

    def start(self) -> None:
        """Start, and note the processor time so far."""
        super().start()
        self._began = processors.read()

    def stop(self) -> None:
        """Stop, and note the processor time since the start."""
        if self._running and self._began is not None:
            now = processors.read()
            capacity_s = (now.at_s - self._began.at_s) * now.count
            self.own_share = (now.own_s - self._began.own_s) / capacity_s if capacity_s > 0 else 0.0
        super().stop()

    def _look_for_others(self, *, sampled: bool) -> None:
        samples = self._samples() if sampled and self._samples is not None else None
        if self._rank.device.kind != "cuda":
            return
        seen, unknown = neighbours.seen(self._rank.device, self._ours, samples)
        self.disturbance, self.unknown = (None, seen) if unknown else (seen or None, "")


class Agreement:
    """What all ranks know of each other, over gloo on the CPU."""

    def __init__(self, rank: Rank) -> None:
        import torch.distributed as dist

        self._rank = rank
        self._group = dist.new_group(backend="gloo")

    def most(self, mine: float) -> float:
        """The largest value of all ranks."""
        import torch
        import torch.distributed as dist

        value = torch.tensor([mine], dtype=torch.float64)
        dist.all_reduce(value, dist.ReduceOp.MAX, group=self._group)
        return float(value)

    def told(self, *flags: bool) -> tuple[bool, ...]:
        """What rank 0 says."""
        import torch
        import torch.distributed as dist

        value = torch.tensor([int(flag) for flag in flags])
        dist.broadcast(value, 0, group=self._group)
        return tuple(bool(flag) for flag in value.tolist())


class Timed:
    """One collective of a size, with buffers on this rank's device."""

    def __init__(self, rank: Rank, operation: str, size_bytes: int) -> None:
        import torch

        self._rank, self._operation = rank, operation
        self._shape = operations.shape(operation, rank.size)
        self.count = max(1, size_bytes // ELEMENT // self._shape.blocks)
        self.size_bytes = self.count * self._shape.blocks * ELEMENT
        self.calls = CALLS if size_bytes < SMALL else 1
        self.own_s = 0.0
        """Seconds of the last round that this rank worked by itself, while no other one could make it wait."""
        device = rank.device.name
        self._given = torch.empty(self.count * self._shape.blocks_in, device=device)
        self._result = torch.full((self.count * self._shape.blocks_out,), -1.0, device=device)
        self._tiny = torch.zeros(1, device=device)
        for block in range(self._shape.blocks_in):
            for first, part in self._parts(self._given, block):
                part.copy_(_values(rank.index, self._receiver(block), first, len(part), device))

    def round(self) -> float:
        """Seconds of one call on this rank, begun together with the others."""
        import torch.distributed as dist

        began = time.perf_counter()
        if operations.in_place(self._operation):
            self._result.copy_(self._given)
        else:
            self._given.mul_(1)  # changes nothing: shows how fast this rank works alone
        self._rank.device.wait()
        self.own_s = time.perf_counter() - began
        dist.all_reduce(self._tiny)  # a rank that begins late would make the others wait for it
        self._rank.device.wait()
        start = last = time.perf_counter()
        for _ in range(self.calls):
            operations.run(self._operation, self._given, self._result)
            self.own_s += operations.arrived_s - last
            last = time.perf_counter()
        self._rank.device.wait()
        return (time.perf_counter() - start) / self.calls

    def wrong(self) -> int:
        """Elements of the last result that are wrong; where a round is of several sums in place, of one more."""
        if operations.in_place(self._operation) and self.calls > 1:
            self.calls = 1
            self.round()
        if not operations.is_written(self._operation, self._rank.index):
            return 0
        wrong = 0
        for block in range(self._shape.blocks_out):
            for first, part in self._parts(self._result, block):
                wrong += int((part != self._wanted(block, first, len(part))).sum())
        return wrong

    def _parts(self, buffer: "torch.Tensor", block: int) -> "list[tuple[int, torch.Tensor]]":
        whole = buffer[block * self.count : (block + 1) * self.count]
        return [(index * CHUNK, part) for index, part in enumerate(whole.split(CHUNK))]

    def _receiver(self, block: int) -> int:
        return block if self._operation in ("reduce_scatter", ALL_TO_ALL) else 0

    def _wanted(self, block: int, first: int, count: int) -> "torch.Tensor":
        mine, size, device = self._rank.index, self._rank.size, self._rank.device.name
        receiver = mine if self._operation in ("reduce_scatter", ALL_TO_ALL) else 0
        senders = {
            "all_reduce": range(size),
            "reduce_scatter": range(size),
            "broadcast": [operations.ROOT],
            SENDRECV: [(mine - 1) % size],
            operations.FORTH: [operations.SENDERS[operations.FORTH]],
            operations.BACK: [operations.SENDERS[operations.BACK]],
        }.get(self._operation, [block])
        total = _values(senders[0], receiver, first, count, device)
        for sender in senders[1:]:
            total += _values(sender, receiver, first, count, device)
        return total


def _values(sender: int, receiver: int, first: int, count: int, device: str) -> "torch.Tensor":
    """What one rank gives for another at `count` places, (count,) of fp32: integers."""
    import torch

    places = torch.arange(first, first + count, device=device)
    return ((places * 7 + sender * 13 + receiver * 29) % VALUES).float()


def work(rank: Rank, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Time one operation on growing sizes, then in rounds on the size of its plateau; what the parent needs of it.

    The operation `pairs` is sendrecv of two ranks at a time, on one size.
    """
    agreement = Agreement(rank)
    operation = settings["operation"]
    largest = min(settings["largest_bytes"], -int(agreement.most(-_budget(rank))))
    if operation == PAIRS:
        return _pairs(rank, agreement, min(largest, PAIR_BYTES))
    swept = _sweep(rank, operation, agreement, settings, largest)
    factor = operations.factor(operation, rank.size)
    best = max(swept, key=lambda size: size * factor / swept[size])
    phase.enter(f"{operation} of {best} bytes, timed in rounds")
    timed = Timed(rank, operation, best)
    answer = _rounds(rank, timed, agreement, Timing(**settings["timing"]), settings["ours"][rank.index])
    phase.enter(f"{operation} of {best} bytes, compared")
    answer |= {"wrong": timed.wrong(), "bytes": timed.size_bytes, "swept": list(swept.items())}
    return answer | _chosen(rank, operation, timed)


def _budget(rank: Rank) -> int:
    """Bytes of an operation that fit on this rank; ranks on a CPU share its memory."""
    shared = rank.beside if rank.device.kind == "cpu" or rank.device.shares_system_memory else 1
    return allocation.allowed_bytes(rank.device) // BUFFERS // shared


def _sweep(
    rank: Rank, operation: str, agreement: Agreement, settings: Mapping[str, Any], largest: int
) -> dict[int, float]:
    """Seconds of a call by its size in bytes, from the smallest to where the bandwidth has grown twice no more."""
    swept: dict[int, float] = {}
    size, best, still = settings["smallest_bytes"], 0.0, 0
    while still < 2 and (size <= largest or not swept):
        phase.enter(f"{operation} of {size} bytes")
        timed = Timed(rank, operation, size)
        timed.round()  # connects the ranks for this size
        seconds = statistics.median(agreement.most(timed.round()) for _ in range(LOOKS))
        swept[timed.size_bytes] = seconds
        rate = timed.size_bytes / seconds
        still = still + 1 if rate <= best * (1 + settings["growth"]) and size >= LEAST_PLATEAU else 0
        best = max(best, rate)
        size *= STEP_SMALL if size < SMALL else STEP
        del timed
        rank.device.release()
    return swept


def _rounds(rank: Rank, timed: Timed, agreement: Agreement, sizes: Timing, ours: int) -> dict[str, Any]:
    """Rounds until rank 0 knows their median well enough; each lasts as long as on the slowest rank."""
    monitor, timer = RankMonitor(rank, ours), RoundTimer(rank.device, sizes)
    timer.monitor = monitor
    lead = rank.index == 0
    wanted, own_s = True, []
    try:
        while wanted:
            seconds = agreement.most(timed.round())
            own_s.append(timed.own_s)
            wanted, started = agreement.told(lead and timer.add_round(seconds), lead and monitor.started)
            if not lead:
                _follow(monitor, started)
    finally:
        monitor.stop()
    rounds = timer.rounds() if lead else None
    around = rounds.around if rounds else monitor.around(0, steady=True)
    return {
        "seconds": rounds.seconds if rounds else (),
        "around": dataclasses.asdict(around),
        "own_s": statistics.median(own_s),
        "own_share": monitor.own_share,
        "disturbance": monitor.disturbance or "",
        "unknown": monitor.unknown,
    }


def _follow(monitor: RankMonitor, started: bool) -> None:
    """What another rank than the first does after a round."""
    if started and not monitor.started:
        monitor.start()
    elif monitor.started:
        monitor.look()


def _chosen(rank: Rank, operation: str, timed: Timed) -> dict[str, Any]:
    """By which algorithm it was done, and what NCCL's log says of it."""
    if rank.device.kind != "cuda":
        return {"algorithm": "gloo", "how": f"gloo over TCP on {os.environ.get('GLOO_SOCKET_IFNAME', 'lo')}"}
    log = nccl_log.parse(Path(os.environ["NCCL_DEBUG_FILE"]).read_text(encoding="utf-8", errors="replace"))
    via = f"over {', '.join(log.transports[:3])}" if log.transports else "over a transport that its log does not name"
    about = f"NCCL {log.version}, {via}; {log.channels}"
    if operation not in nccl_log.FUNCTIONS:
        return {"algorithm": "p2p", "how": about}
    choice = log.chosen(operation, (timed.size_bytes, timed.size_bytes // rank.size))
    if choice is None:
        return {"algorithm": "", "how": about}
    return {"algorithm": choice.algorithm, "how": f"{choice.protocol} on {choice.channels} channels, {about}"}


def _pairs(rank: Rank, agreement: Agreement, size_bytes: int) -> dict[str, Any]:
    """Seconds in which each pair of ranks exchanges so many bytes both ways, while all other ranks wait."""
    import torch

    count = size_bytes // ELEMENT
    given = torch.full((count,), float(rank.index), device=rank.device.name)
    result = torch.full_like(given, -1.0)
    found, wrong = [], 0
    for first in range(rank.size):
        for second in range(first + 1, rank.size):
            phase.enter(f"ranks {first} and {second} exchange {size_bytes} bytes")
            peer = {first: second, second: first}.get(rank.index)
            times = [agreement.most(_swapped(rank, given, result, peer)) for _ in range(PAIR_ROUNDS + 1)]
            found.append([first, second, statistics.median(times[1:])])  # the first one connects them
            wrong += 0 if peer is None else int((result != float(peer)).sum())
    return {"pairs": found, "wrong": wrong}


def _swapped(rank: Rank, given: "torch.Tensor", result: "torch.Tensor", peer: int | None) -> float:
    """Seconds of an exchange with another rank; a rank without one has nothing to do."""
    start = time.perf_counter()
    if peer is not None:
        operations.swap(given, result, peer, peer)
        rank.device.wait()
    return time.perf_counter() - start
