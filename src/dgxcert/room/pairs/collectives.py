"""PAIR-COLLECTIVES: what both ends did together is exact, fast enough for the cable, and went over it. Pure.

A speed is a share of what the cable carries as the lab or the profile promises it. What is faster than the negotiated
speed went another way, and proves nothing; so does a slow result that is beyond the conditions of its limit.
"""

from collections.abc import Mapping

from dgxcert.judgement.evidence import Quantity, Recorder
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.links.pair import counters
from dgxcert.record.room.pair_answer import PairAnswer, Speed
from dgxcert.room.pairs import link
from dgxcert.room.pairs.ends import End, Pair, halves
from dgxcert.workloads.distributed import operations

ONE_WAY = ("forth", "back")
RANKS = 2
ROUNDING = 1.05
"""The largest error of a sum in bf16, in what rounding explains: as one machine's collectives."""
ABOVE = 1.02
"""Clocks are accurate to about 2 %, as `ceiling.share` has it."""
MIB = 1024**2
JUMBO_B = 9000
GBITS_TO_GBS = 1 / 8
ERRORS = ("rx_crc_errors", "rx_frame_errors", "link_downed")
"""Counters by their names in /sys/class/net/*/statistics and /sys/class/infiniband/*/ports/*/counters."""


def judge(evidence: Recorder, pair: Pair) -> None:
    """Record and compare all of it. Raises Wrong and Inconclusive."""
    first, second = answers(pair)
    _exact(evidence, pair)
    require_ended(pair)
    _carried(evidence, pair, first)
    _errors(evidence, pair)
    for speed, theirs in zip(first.speeds, second.speeds, strict=True):
        _speed(evidence, pair, speed, theirs)


def answers(pair: Pair) -> tuple[PairAnswer, PairAnswer]:
    """What both ends say of their work. Raises Inconclusive where one has said nothing."""
    first, second = (end.work for end in pair.ends)
    for end in pair.ends:
        if end.work is None:
            raise Inconclusive(f"{end.name} says nothing of its work: {end.silent or 'it was not asked'}")
    if first is None or second is None:
        raise Inconclusive("an end says nothing of its work")
    return first, second


def require_ended(pair: Pair) -> None:
    """Raise Wrong or Inconclusive where an end's work did not come to its end, with the words of both."""
    stopped = [(end.name, end.work.stopped) for end in pair.ends if end.work and end.work.stopped]
    if stopped:
        said = "; ".join(f"{name} at {why.phase}: {why.problem}" for name, why in stopped)
        worst = next((why for _, why in stopped if why.kind == "wrong"), stopped[0][1])
        raise (Wrong if worst.kind == "wrong" else Inconclusive)(said, *worst.remedy)
    for end in pair.ends:
        if end.work is None or not end.work.complete:
            raise Inconclusive(f"the answer of {end.name} is not complete: it was cut off")


def _exact(evidence: Recorder, pair: Pair) -> None:
    """Integers that name their origin, and sums in bf16, on both ends."""
    for end in pair.ends:
        found = end.work.exactness if end.work else None
        if found is None:
            continue  # it has stopped before: `require_ended` says where
        source = "; ".join(found.findings) or f"{found.compared} integers that name their origin"
        wrong = evidence.record(f"{end.name}, blocks with a wrong element", found.wrong, source=source)
        _ = wrong == 0
        error = evidence.record(
            f"{end.name}, error of sums in bf16", found.rounding, unit="of rounding", source="against sums in fp64"
        )
        most = Limit(name="rounding", max=ROUNDING, unit="of rounding", source="no sum is further from the exact one")
        _ = error <= most
    bits = [end.work.exactness.bits for end in pair.ends if end.work and end.work.exactness]
    if len(bits) == RANKS:
        same = evidence.record("both ends have the same bits", bits[0] == bits[1], source="a digest of the sum in bf16")
        same.holds()


# Over which network it went


def payload_bytes(answer: PairAnswer) -> float:
    """What the timed rounds alone must move through the link, sent and received by one end."""
    return sum(
        len(speed.rounds_s)
        * speed.plateau_bytes
        * operations.factor(speed.operation, RANKS)
        * (1 if speed.operation in ONE_WAY else 2)
        for speed in answer.speeds
    )


def carried(end: End) -> dict[str, int]:
    """What each half has sent and received, by interface: through the kernel, and by its RDMA device past it."""
    if end.work is None:
        return {}
    counted = counters.carried_bytes(end.work.before, end.work.after)
    return {
        half.name: counted.get(half.name, 0)
        + (counted.get(f"{half.port.hca}/1", 0) if half.port and half.port.hca else 0)
        for half in halves(end)
    }


def elsewhere(end: End) -> dict[str, int]:
    """What every other interface has carried meanwhile, without the loopback."""
    if end.work is None:
        return {}
    counted = counters.carried_bytes(end.work.before, end.work.after)
    mine = {half.name for half in halves(end)} | {f"{half.port.hca}/1" for half in halves(end) if half.port}
    return {name: count for name, count in counted.items() if name not in mine and name != "lo"}


def _carried(evidence: Recorder, pair: Pair, first: PairAnswer) -> None:
    payload = payload_bytes(first)
    if payload <= 0:
        raise Inconclusive("nothing was timed")
    for end in pair.ends:
        unknown = [half.name for half in halves(end) if half.port is None]
        if unknown:
            raise Inconclusive(f"nothing is known of {end.name}'s {unknown[0]}, which may have carried the bytes")
        by_half = carried(end)
        known = {each.name for each in end.work.after} if end.work else set()
        if not known & by_half.keys():
            raise Inconclusive(f"the counters of {end.name}'s link cannot be read: {link.SYSFS}")
        source = f"{_bytes(by_half)} of {payload / 1e9:.3g} GB in timed rounds; others: {_bytes(elsewhere(end))}"
        least = end.profile.limit("pair.carried")
        share = sum(by_half.values()) / payload
        moved = evidence.record(f"{end.name}, payload that its link carried", share, unit=least.unit, source=source)
        _ = moved >= least


def _bytes(counted: Mapping[str, int]) -> str:
    """`p0 1.2 GB, p1 1.1 GB`, the largest first."""
    largest = sorted(counted.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name} {count / 1e9:.3g} GB" for name, count in largest) or "nothing"


def _errors(evidence: Recorder, pair: Pair) -> None:
    for end in pair.ends:
        if end.work is None:
            continue
        names = {half.name for half in halves(end)} | {f"{half.port.hca}/1" for half in halves(end) if half.port}
        before = {each.name: each.others for each in end.work.before if each.name in names}
        grown = {
            f"{each.name} {name}": each.others[name] - before[each.name].get(name, 0)
            for each in end.work.after
            if each.name in before
            for name in ERRORS
            if name in each.others
        }
        source = ", ".join(f"{name} {count}" for name, count in grown.items()) or "this driver counts none"
        errors = evidence.record(
            f"{end.name}, errors of its link meanwhile", sum(grown.values()), unit="error", source=source
        )
        _ = errors <= end.profile.limit("pair.errors")


# How fast it went


def _speed(evidence: Recorder, pair: Pair, speed: Speed, theirs: Speed) -> None:
    first = pair.ends[0]
    if speed.gbs is None or not speed.rounds_s:
        raise Inconclusive(f"{speed.operation} was not timed")
    for end, said in zip(pair.ends, (speed, theirs), strict=True):
        wrong = evidence.record(
            f"{speed.operation}, wrong elements on {end.name}", said.wrong, source="the last timed result"
        )
        _ = wrong == 0
    rate = evidence.record(
        f"{speed.operation} bus bandwidth",
        speed.gbs,
        unit="GB/s",
        source=_how(first, speed),
        roofline=line_rate(pair),
        rounds_s=speed.rounds_s,
    )
    _require_possible(pair, speed)
    least = limit_of(pair, speed.operation)
    if not rate >= least:
        _doubt(evidence, rate, pair, speed, theirs)


def _how(first: End, speed: Speed) -> str:
    mtus = sorted({half.port.mtu for half in halves(first) if half.port and half.port.mtu})
    at = f", MTU {'/'.join(map(str, mtus))}" if mtus else ""
    how = f", {speed.how}" if speed.how else f", {speed.algorithm}" if speed.algorithm else ""
    return f"median of {len(speed.rounds_s)} rounds of {speed.plateau_bytes / MIB:g} MiB{at}{how}"


def line_rate(pair: Pair) -> Bound:
    """What the cable carries in one direction, in GB/s: as promised, else as negotiated.

    Raises Inconclusive where neither is known.
    """
    promised = [limit.min for end in pair.ends if (limit := link.speed_limit(end)) and limit.min]
    if promised:
        gbits, source = min(promised), "as the lab or the profile promises it"
    else:
        negotiated = _negotiated(pair)
        if negotiated is None:
            raise Inconclusive(
                "what the cable carries is not known: the interface does not say it",
                "Write it into the inventory, in Gbit/s: link_speed",
            )
        gbits, source = negotiated, "as the interface says it"
    return Bound(value=gbits * GBITS_TO_GBS, unit="GB/s", source=f"{gbits:g} Gbit/s, {source}")


def _negotiated(pair: Pair) -> float | None:
    """The slower end's speed: of one port, both halves name the same."""
    known = [half.port.gbits for end in pair.ends for half in halves(end) if half.port and half.port.gbits]
    return min(known, default=None)


def _require_possible(pair: Pair, speed: Speed) -> None:
    """Raise Inconclusive for what no cable of its speed carries; a virtual interface has no speed that holds."""
    hardware = all(half.port and half.port.function for end in pair.ends for half in halves(end))
    negotiated = _negotiated(pair)
    if hardware and negotiated and speed.gbs and speed.gbs > ABOVE * negotiated * GBITS_TO_GBS:
        raise Inconclusive(
            f"{speed.operation} reaches {speed.gbs:.4g} GB/s, more than a cable of {negotiated:g} Gbit/s carries",
            "Report this with the folder of the room: either the clock or the way is another one.",
        )


def limit_of(pair: Pair, operation: str) -> Limit:
    """The limit of an operation: of the backend, and of large frames where both ends have them and one is known.

    Raises Inconclusive where the profile has none.
    """
    first = pair.ends[0]
    backend = first.work.plan.backend if first.work else "gloo"
    name = f"pair.{'one_way' if operation in ONE_WAY else operation}.{backend}"
    mtus = [half.port.mtu or 0 for end in pair.ends for half in halves(end) if half.port]
    large = f"{name}.jumbo"
    if mtus and min(mtus) >= JUMBO_B and large in first.profile.limits:
        return first.profile.limit(large)
    return first.profile.limit(name)


def _doubt(evidence: Recorder, rate: Quantity, pair: Pair, speed: Speed, theirs: Speed) -> None:
    """Say what lets a slow result prove nothing: other work, or conditions that its limit has no figures for."""
    why = [said.disturbed for said in (speed, theirs) if said.disturbed]
    least = pair.ends[0].profile.limit("pair.message")
    if least.min is not None and speed.plateau_bytes < least.min * MIB:
        why.append(f"its messages were {speed.plateau_bytes / MIB:g} MiB, and the limit is of {least.min:g} and more")
    version = nccl_code(pair.ends[0].work.versions.nccl if pair.ends[0].work and pair.ends[0].work.versions else "")
    known = pair.ends[0].profile.limits.get("pair.nccl")
    if version and known is not None and known.min is not None and version < known.min:
        why.append(f"NCCL has version code {version}, and the limit is of {known.min:g} and newer")
    if why:
        evidence.disturbed(rate, "; ".join(why))


def nccl_code(version: str) -> int:
    """A version as nccl.h's NCCL_VERSION_CODE has it; 0 where it is unknown.

    >>> nccl_code("2.28.9"), nccl_code("2.30.7"), nccl_code("")
    (22809, 23007, 0)
    """
    try:
        major, minor, patch = map(int, version.split(".")[:3])
    except ValueError:
        return 0
    return major * 10000 + minor * 100 + patch
