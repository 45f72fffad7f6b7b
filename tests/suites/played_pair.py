"""Two machines with a cable, as their answers would have them: two DGX Sparks, healthy until something is changed.

Names, speeds and functions are those of real units: lspci, ethtool and ibstat of servethehome.com (networking of the
GB10) and geerlingguy/sbc-reviews#92, bus bandwidths of pmeenan/jitLLM at MTU 1500 with NCCL 2.30.7.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dgxcert.judgement.evidence import Evidence, Recorder
from dgxcert.profiles import profile
from dgxcert.record.room.link_answer import LinkAnswer, Reach
from dgxcert.record.room.pair_answer import (
    Counters,
    Exactness,
    LinkFacts,
    Nccl,
    PairAnswer,
    Plan,
    Port,
    Speed,
    Stopped,
    Swept,
    Training,
    Versions,
)
from dgxcert.room.cables import Link
from dgxcert.room.inventory import Host
from dgxcert.room.pairs.ends import End, Pair

AT = "2026-12-01T02:00:00+00:00"
MIB = 1024**2
OPERATIONS = ("forth", "back", "sendrecv", "all_gather", "all_reduce")
GBS = {"forth": 22.6, "back": 22.6, "sendrecv": 22.35, "all_gather": 20.40, "all_reduce": 22.20}
HALVES = ("enp1s0f0np0", "enP2p1s0f0np0")
FUNCTIONS = ("0000:01:00.0", "0002:01:00.0")
HCAS = ("rocep1s0f0", "roceP2p1s0f0")
ROUNDS, PLATEAU = 10, 512 * MIB
PAYLOAD = ROUNDS * PLATEAU * 8
"""Bytes of the timed rounds (forth 1, back 1, sendrecv 2, all_gather 1, all_reduce 2), and one more for the rest."""


def mac(number: int, half: int) -> str:
    return f"4c:bb:47:00:0{number}:0{half}"


def port(number: int, half: int, **changed: Any) -> Port:
    known: dict[str, Any] = {
        "interface": HALVES[half],
        "up": True,
        "carrier": True,
        "gbits": 200.0,
        "mtu": 1500,
        "addresses": (f"192.168.10{half}.{number}/24",),
        "mac": mac(number, half),
        "driver": "mlx5_core",
        "firmware": "28.45.4028",
        "function": FUNCTIONS[half],
        "pcie_gts": 32.0,
        "pcie_width": 4,
        "pcie_most_gts": 32.0,
        "pcie_most_width": 4,
        "hca": HCAS[half],
        "hca_state": "ACTIVE",
        "hca_gbits": 200.0,
        "asked": True,
    }
    return Port(**(known | changed))


def reach(number: int, peer: int, half: int, **changed: Any) -> Reach:
    known: dict[str, Any] = {
        "interface": HALVES[half],
        "address": f"192.168.10{half}.{number}",
        "peer": f"192.168.10{half}.{peer}",
        "sent": 20,
        "answered": 20,
        "size_bytes": 1500,
        "sent_full": 20,
        "answered_full": 20,
        "answers_as": f"spark-0{peer}",
        "at": HALVES[half],
        "mac": mac(peer, half),
    }
    return Reach(**(known | changed))


MANAGEMENT = Port(
    interface="enP7s7", up=True, carrier=True, gbits=10.0, mtu=1500, addresses=("10.0.0.1/24",), mac="4c:bb:47:00:00:99"
)


def speed(operation: str, **changed: Any) -> Speed:
    gbs = changed.pop("gbs", GBS[operation])
    known: dict[str, Any] = {
        "operation": operation,
        "swept": (Swept(size_bytes=MIB, seconds=0.0001, gbs=10.0), Swept(size_bytes=PLATEAU, seconds=0.02, gbs=gbs)),
        "plateau_bytes": PLATEAU,
        "rounds_s": (0.02,) * ROUNDS,
        "gbs": gbs,
        "wrong": 0,
        "algorithm": "ring",
        "how": "NCCL 2.30.7, ring",
    }
    return Speed(**(known | changed))


def counted(first: int = 0, second: int = 0, management: int = 0) -> tuple[Counters, ...]:
    """Counters of which the RDMA devices have carried what is said; the kernel's own see nothing of it."""
    carried = {HALVES[0]: 0, HALVES[1]: 0, "enP7s7": management, f"{HCAS[0]}/1": first, f"{HCAS[1]}/1": second}
    return tuple(
        Counters(
            name=name,
            kind="infiniband" if "/" in name else "net",
            received_bytes=1000 + count // 2,
            sent_bytes=1000 + count - count // 2,
            others={"link_downed": 0} if "/" in name else {"rx_crc_errors": 0},
        )
        for name, count in carried.items()
    )


def compared(difference: int = 0) -> tuple[Evidence, ...]:
    evidence = Recorder()
    _ = evidence.record("gradients that differ between ends", difference, unit="tensor", source="fp32") == 0
    return tuple(evidence.kept)


VERSIONS = Versions(
    dgxcert="0.1.0", suite="0" * 64, python="3.12.3", torch="2.14.0a0", nccl="2.30.7", accelerator="NVIDIA GB10"
)


def work(number: int, peer: int, **changed: Any) -> PairAnswer:
    first = number == 1
    known: dict[str, Any] = {
        "rank": number - 1,
        "host": f"spark-0{number}",
        "peer_host": f"spark-0{peer}",
        "address": f"192.168.100.{number}",
        "peer": f"192.168.100.{peer}",
        "began": AT,
        "ended": AT,
        "plan": Plan(
            profile="dgx-spark",
            backend="nccl",
            seed=1,
            operations=OPERATIONS,
            smallest_bytes=MIB,
            largest_bytes=PLATEAU,
            limit_s=900,
        ),
        "runtime": "container",
        "versions": VERSIONS,
        "before": counted(),
        "after": counted(PAYLOAD // 2, PAYLOAD // 2, 10**6),
        "exactness": Exactness(compared=10**6, wrong=0, rounding=0.9, bits="f00d"),
        "speeds": tuple(speed(each, **({} if first else {"rounds_s": ()})) for each in OPERATIONS),
        "training": Training(
            compared=compared(),
            wrong=False,
            weights={"lora_A": "aa", "lora_B": "bb"},
            alone=1.0,
            together=1.9,
            losses=(2.0, 1.9),
            model="LoRA",
        ),
        "nccl": Nccl(version="2.30.7", hcas=("rocep1s0f0:1", "roceP2p1s0f0:1"), network="IB"),
    }
    return PairAnswer(**(known | changed))


def link(number: int, peer: int, ports: tuple[Port, ...] = (), reached: tuple[Reach, ...] = ()) -> LinkAnswer:
    ports = ports or (*(port(number, half) for half in (0, 1)), MANAGEMENT)
    return LinkAnswer(
        host=f"spark-0{number}",
        peer_host=f"spark-0{peer}",
        meeting="m",
        began=AT,
        ended=AT,
        facts=LinkFacts(ports=ports, bios="5.36_0ACUM018", bios_date="11/03/2025", kernel="6.17.0-1029-nvidia"),
        reached=reached or tuple(reach(number, peer, half) for half in (0, 1)),
    )


def end(number: int, peer: int, profile_name: str = "dgx-spark", **changed: Any) -> End:
    name = f"spark-0{number}"
    written = Link(addresses=(f"192.168.100.{number}", f"192.168.101.{number}"), ports=HALVES)
    known: dict[str, Any] = {
        "host": Host(name, f"10.0.0.{number}", link=written),
        "profile": profile.load(profile_name),
        "link": link(number, peer),
        "work": work(number, peer),
    }
    return End(**(known | changed))


def pair() -> Pair:
    """Two healthy DGX Sparks at MTU 1500."""
    return Pair((end(1, 2), end(2, 1)))


@dataclass(frozen=True)
class Change:
    """One thing that is changed on one end, 1 or 2, or on both with 0."""

    of: int
    change: Callable[[End], End]

    def __call__(self, healthy: Pair) -> Pair:
        ends = tuple(
            self.change(each) if self.of in (0, number) else each for number, each in enumerate(healthy.ends, 1)
        )
        return replace(healthy, ends=ends)


def ports_changed(*halves: int, **changed: Any) -> Callable[[End], End]:
    """Facts of halves of an end."""

    def change(each: End) -> End:
        assert each.link is not None
        facts = each.link.facts
        ports = tuple(
            known.model_copy(update=changed) if known.interface in [HALVES[half] for half in halves] else known
            for known in facts.ports
        )
        facts = facts.model_copy(update={"ports": ports})
        return replace(each, link=each.link.model_copy(update={"facts": facts}))

    return change


def reached_changed(*halves: int, **changed: Any) -> Callable[[End], End]:
    """What came over halves of an end."""

    def change(each: End) -> End:
        assert each.link is not None
        reached = tuple(
            known.model_copy(update=changed) if number in halves else known
            for number, known in enumerate(each.link.reached)
        )
        return replace(each, link=each.link.model_copy(update={"reached": reached}))

    return change


def work_changed(**changed: Any) -> Callable[[End], End]:
    """What an end says of the work."""

    def change(each: End) -> End:
        assert each.work is not None
        return replace(each, work=each.work.model_copy(update=changed))

    return change


def speeds_changed(factor: float = 1.0, **changed: Any) -> Callable[[End], End]:
    """All speeds of an end by a factor, or with other fields."""

    def change(each: End) -> End:
        assert each.work is not None
        speeds = tuple(
            known.model_copy(update={"gbs": known.gbs * factor if known.gbs else None} | changed)
            for known in each.work.speeds
        )
        return work_changed(speeds=speeds)(each)

    return change


def written(**changed: Any) -> Callable[[End], End]:
    """What the lab wrote of an end's link."""
    return lambda each: replace(each, host=replace(each.host, link=replace(each.host.link, **changed)))


def stopped(kind: Any, problem: str, phase: str = "all_reduce") -> Callable[[End], End]:
    """Work that did not come to its end."""
    return work_changed(stopped=Stopped(phase=phase, kind=kind, problem=problem), training=None)
