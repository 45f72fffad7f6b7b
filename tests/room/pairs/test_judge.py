"""The judge of a pair: two healthy Sparks pass, and every fault fails by its name or proves nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from suites import played_pair as played
from suites.played_pair import Change, ports_changed, reached_changed, speeds_changed, stopped, work_changed, written

from dgxcert.outcome import Outcome
from dgxcert.record.room.document import PairResult
from dgxcert.record.room.pair_answer import Wire
from dgxcert.record.run import Result
from dgxcert.room.pairs import judge
from dgxcert.room.pairs.ends import End, Pair

PASSED, FAILED, INCONCLUSIVE = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE
LINK, COLLECTIVES, TRAINING = "PAIR-LINK", "PAIR-COLLECTIVES", "PAIR-TRAINING"


def of(result: PairResult, id: str) -> Result:
    return next(each for each in result.results if each.id == id)


def test_two_healthy_sparks_at_mtu_1500_pass() -> None:
    result = judge.judge(played.pair())
    assert [(each.id, each.outcome, each.reason) for each in result.results] == [
        (LINK, PASSED, ""),
        (COLLECTIVES, PASSED, ""),
        (TRAINING, PASSED, ""),
    ]
    assert (result.outcome, result.gbs, result.says) == (PASSED, 22.2, "all_reduce reaches 22.2 GB/s")


def test_the_slowest_published_pair_passes() -> None:
    """NVIDIA/dgx-spark-playbooks#25: 18.94 GB/s of all_gather at MTU 1500, below NVIDIA's own limit of 21.875."""
    healthy = played.pair()
    assert healthy.ends[0].work is not None
    speeds = tuple(
        each.model_copy(update={"gbs": 18.94}) if each.operation == "all_gather" else each
        for each in healthy.ends[0].work.speeds
    )
    result = judge.judge(Change(1, work_changed(speeds=speeds))(healthy))
    assert of(result, COLLECTIVES).outcome is PASSED


def silent(which: str) -> Callable[[End], End]:
    return lambda end: replace(end, **{which: None}, silent="it did not answer within 60 s")


def no_work(end: End) -> End:
    return replace(end, work=None)


def only_first_half(end: End) -> End:
    """A lab that wrote one half of the port."""
    return written(addresses=end.host.link.addresses[:1], ports=end.host.link.ports[:1])(end)


def narrow(**more: Any) -> Callable[[End], End]:
    return ports_changed(1, pcie_width=2, **more)


LINK_FAULTS: dict[str, tuple[Callable[[Pair], Pair], str]] = {
    "interface absent": (
        Change(1, written(ports=("enp9s0", played.HALVES[1]))),
        "spark-01 has no interface enp9s0; it has enp1s0f0np0, enP2p1s0f0np0, enP7s7",
    ),
    "address elsewhere": (
        Change(2, written(addresses=("10.0.0.1", "192.168.101.2"))),
        "spark-02's enp1s0f0np0 does not have the address 10.0.0.1: it is on enP7s7",
    ),
    "no such address": (
        Change(2, written(addresses=("192.168.9.9", "192.168.101.2"))),
        "spark-02's enp1s0f0np0 does not have the address 192.168.9.9: no interface has it",
    ),
    "switched off": (
        Change(1, ports_changed(0, up=False, carrier=None, gbits=None)),
        "spark-01's enp1s0f0np0 is switched off",
    ),
    "pulled cable": (
        Change(0, ports_changed(0, 1, carrier=False, gbits=None)),
        "spark-01's enp1s0f0np0 has no carrier: its cable is unplugged or broken, or the other end is off",
    ),
    "the other end switched off": (
        lambda pair: Change(2, ports_changed(0, up=False, carrier=None, gbits=None))(
            Change(1, ports_changed(0, carrier=False, gbits=None))(pair)
        ),
        "spark-02's enp1s0f0np0 is switched off",
    ),
    "slow port": (
        Change(0, ports_changed(0, 1, gbits=100.0)),
        "spark-01's enp1s0f0np0 runs at 100 Gbit/s, and 200 were promised",
    ),
    "slower than the lab promises": (
        Change(2, written(gbits=400.0)),
        "spark-02's enp1s0f0np0 runs at 200 Gbit/s, and 400 were promised",
    ),
    "MTU apart": (
        Change(1, ports_changed(0, mtu=9000)),
        "the MTU of spark-02's enp1s0f0np0 is 1500, that of spark-01's enp1s0f0np0 9000",
    ),
    "other MTU than written": (Change(0, written(mtu=9000)), "spark-01 enp1s0f0np0 MTU is 1500 B, required == 9000 B"),
    "large frames lost": (
        Change(1, reached_changed(1, answered_full=0)),
        "datagrams of 1500 bytes from spark-01's enP2p1s0f0np0 do not arrive at spark-02, smaller ones do",
    ),
    "narrow second controller": (
        Change(2, narrow()),
        "spark-02's enP2p1s0f0np0 has 2 PCIe lanes where 4 are wired; its BIOS is 5.36_0ACUM018 of 11/03/2025",
    ),
    "older PCIe": (Change(2, ports_changed(0, pcie_gts=16.0)), "spark-02 enp1s0f0np0 PCIe speed is 16 GT/s"),
    "one half written": (
        Change(0, only_first_half),
        "one half only: of spark-01's port the inventory names enp1s0f0np0 and not enP2p1s0f0np0",
    ),
    "one half up": (
        Change(1, ports_changed(1, up=False, carrier=None)),
        "spark-01's enP2p1s0f0np0 is switched off",
    ),
    "one subnet": (
        Change(1, ports_changed(1, addresses=("192.168.100.9/24", "192.168.101.1/24"))),
        "has two addresses in one subnet: 192.168.100.1/24 on enp1s0f0np0 and 192.168.100.9/24 on enP2p1s0f0np0",
    ),
    "management network": (
        Change(1, ports_changed(0, addresses=("10.0.0.7/24", "192.168.100.1/16"))),
        "spark-01 has two addresses in one subnet",
    ),
    "swapped halves": (
        Change(1, reached_changed(0, mac=played.mac(2, 1))),
        "the cable in spark-01's enp1s0f0np0 does not lead to spark-02's enp1s0f0np0: spark-02's enP2p1s0f0np0 has",
    ),
    "cable to a third": (
        Change(1, reached_changed(0, mac=played.mac(3, 0), answered=0, answered_full=0, answers_as="")),
        "does not lead to spark-02's enp1s0f0np0: spark-03 (enp1s0f0np0) has the address 192.168.100.2",
    ),
    "cable to a stranger": (
        Change(1, reached_changed(0, mac="02:00:00:00:00:01", answered=0, answered_full=0, answers_as="")),
        "another machine has the address 192.168.100.2",
    ),
    "cable to another test": (
        Change(1, reached_changed(0, mac="", answered=0, answered_full=0, answers_as="spark-04")),
        "spark-04 answers at 192.168.100.2",
    ),
    "nobody": (
        Change(0, reached_changed(0, mac="", answered=0, sent_full=0, answered_full=0, answers_as="")),
        "nobody answers at 192.168.100.2 behind spark-01's enp1s0f0np0",
    ),
    "firewall": (
        Change(0, reached_changed(0, answered=0, sent_full=0, answered_full=0, answers_as="")),
        "spark-02 has 192.168.100.2 on the cable, and does not answer spark-01 there",
    ),
}


@pytest.mark.parametrize("fault", LINK_FAULTS)
def test_a_fault_of_the_link_is_named(fault: str) -> None:
    change, words = LINK_FAULTS[fault]
    planted = change(replace(played.pair(), others={played.mac(3, 0): "spark-03 (enp1s0f0np0)"}))
    result = judge.judge(Change(0, no_work)(planted))
    assert of(result, LINK).outcome is FAILED
    assert words in of(result, LINK).reason
    assert of(result, LINK).remedy
    for later in (COLLECTIVES, TRAINING):
        assert (of(result, later).outcome, of(result, later).reason) == (INCONCLUSIVE, judge.SEE_LINK)
    assert result.says.startswith("PAIR-LINK failed: ")


NO_LINK: dict[str, tuple[Change, str]] = {
    "silent": (Change(2, silent("link")), "spark-02 says nothing of its link: it did not answer within 60 s"),
    "speed unreadable": (Change(1, ports_changed(0, gbits=None)), "spark-01 enp1s0f0np0 does not say how fast it is"),
    "carrier unreadable": (Change(1, ports_changed(0, carrier=None)), "the kernel does not say it"),
    "MTU unreadable": (Change(1, ports_changed(0, mtu=None)), "does not say its MTU"),
    "a bond": (
        Change(1, ports_changed(0, pcie_width=None, function="")),
        "is no PCIe function whose lanes can be read",
    ),
}


@pytest.mark.parametrize("fault", NO_LINK)
def test_what_is_not_known_of_a_link_is_inconclusive(fault: str) -> None:
    change, words = NO_LINK[fault]
    result = judge.judge(change(played.pair()))
    assert of(result, LINK).outcome is INCONCLUSIVE
    assert words in of(result, LINK).reason
    assert result.outcome is INCONCLUSIVE


def counters_of(**carried: int) -> Callable[[End], End]:
    return work_changed(after=played.counted(**carried))


def errors(end: End) -> End:
    assert end.work is not None
    grown = tuple(
        each.model_copy(update={"others": {"rx_crc_errors": 7}}) if each.name == played.HALVES[0] else each
        for each in end.work.after
    )
    return work_changed(after=grown)(end)


def wrong_bits(end: End) -> End:
    assert end.work is not None
    assert end.work.exactness is not None
    return work_changed(exactness=end.work.exactness.model_copy(update={"bits": "beef"}))(end)


def inexact(**changed: Any) -> Callable[[End], End]:
    def change(end: End) -> End:
        assert end.work is not None
        assert end.work.exactness is not None
        return work_changed(exactness=end.work.exactness.model_copy(update=changed))(end)

    return change


def one_half_used(end: End) -> End:
    return speeds_changed(12.25 / 22.2)(counters_of(first=played.PAYLOAD)(end))


def over_management(end: End) -> End:
    return counters_of(management=played.PAYLOAD)(end)


FAULTS: dict[str, tuple[Change, str]] = {
    "stale initialisation": (
        Change(0, speeds_changed(13 / 8 / 22.6)),
        "stale initialisation: a clean link of 200 Gbit/s moves 13 Gbit/s",
    ),
    "one half used": (
        Change(0, one_half_used),
        "one half only: spark-01's enp1s0f0np0 carried 42.9 GB, enP2p1s0f0np0 0",
    ),
    "wrong network": (
        Change(0, over_management),
        "spark-01 sent 42.9 GB over enP7s7, which is not the link, and 0 GB over enp1s0f0np0, enP2p1s0f0np0",
    ),
    "wrong block": (Change(2, inexact(wrong=1, findings=("all_gather of 7 integers: run 3",))), "all_gather of 7"),
    "rounding": (Change(1, inexact(rounding=1.2)), "error of sums in bf16 is 1.2 of rounding"),
    "other bits": (Change(2, wrong_bits), "both ends have the same bits is False"),
    "wrong while timed": (Change(2, speeds_changed(wrong=3)), "forth, wrong elements on spark-02 is 3"),
    "errors on the wire": (Change(2, errors), "errors of its link meanwhile is 7 error"),
    "work was wrong": (Change(2, stopped("wrong", "the last rank sums to 3 in place of 4")), "sums to 3 in place of 4"),
    "sockets": (
        Change(0, lambda end: work_changed(nccl=played.Nccl(network="Socket"))(speeds_changed(0.3)(end))),
        "NCCL went over sockets",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_work_is_named(fault: str) -> None:
    change, words = FAULTS[fault]
    result = judge.judge(change(played.pair()))
    assert of(result, LINK).outcome is PASSED
    assert of(result, COLLECTIVES).outcome is FAILED
    assert words in of(result, COLLECTIVES).reason
    assert of(result, COLLECTIVES).remedy


def test_what_rdma_alone_moves_is_recorded_and_confirms_a_stale_link() -> None:
    def measured(end: End) -> End:
        assert end.link is not None
        wires = (
            Wire(hcas=("rocep1s0f0",), gbits=13.2, size_bytes=65_536),
            Wire(hcas=("roceP2p1s0f0",), gbits=0.0, size_bytes=65_536, says="`ib_write_bw` exited with 1"),
        )
        return replace(end, link=end.link.model_copy(update={"wires": wires}))

    stale = Change(0, lambda end: speeds_changed(13 / 8 / 22.6)(measured(end)))(played.pair())
    result = judge.judge(stale)
    recorded = {item.name: item for item in of(result, LINK).evidence if "ib_write_bw" in item.name}
    assert list(recorded) == [f"spark-0{number} ib_write_bw over rocep1s0f0" for number in (1, 2)]
    assert [item.held_against for item in recorded.values()] == [[], []]
    assert "; ib_write_bw moves 13.2 too" in of(result, COLLECTIVES).reason


def test_one_function_alone_fails_even_at_its_best() -> None:
    """ib_write_bw reaches 109 Gbit/s through one function (pmeenan/jitLLM): 13.6 GB/s for every operation."""
    for operation, gbs in played.GBS.items():
        result = judge.judge(Change(1, speeds_changed(13.625 / gbs))(played.pair()))
        assert f"{operation} bus bandwidth is 0.545 of roofline" in of(result, COLLECTIVES).reason
        assert of(result, COLLECTIVES).outcome is FAILED


DOUBTS: dict[str, tuple[Change, str]] = {
    "dead peer": (
        Change(1, stopped("inconclusive", "spark-02 is gone since 3 s")),
        "spark-01 at all_reduce: spark-02 is gone since 3 s",
    ),
    "silent": (Change(2, silent("work")), "spark-02 says nothing of its work: it did not answer within 60 s"),
    "cut off": (Change(2, work_changed(training=None)), "the answer of spark-02 is not complete"),
    "small messages": (Change(0, speeds_changed(0.3, plateau_bytes=8 * played.MIB)), "its messages were 8 MiB"),
    "used by others": (Change(2, speeds_changed(disturbed="python uses the GPU")), "python uses the GPU"),
    "faster than the cable": (Change(1, speeds_changed(1.3)), "more than a cable of 200 Gbit/s carries"),
    "counters unreadable": (Change(1, work_changed(after=(), before=())), "counters of spark-01's link cannot be read"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_proves_nothing_is_inconclusive(doubt: str) -> None:
    change, words = DOUBTS[doubt]
    planted = change(played.pair())
    if doubt == "used by others":
        planted = Change(1, speeds_changed(0.3))(planted)
    result = judge.judge(planted)
    assert of(result, COLLECTIVES).outcome is INCONCLUSIVE
    assert words in of(result, COLLECTIVES).reason
    assert result.outcome is INCONCLUSIVE


def test_an_old_nccl_that_is_slow_proves_nothing_about_the_machines() -> None:
    old = Change(0, work_changed(versions=played.VERSIONS.model_copy(update={"nccl": "2.27.7"})))(played.pair())
    assert of(judge.judge(old), COLLECTIVES).outcome is PASSED
    slow = of(judge.judge(Change(0, speeds_changed(0.3))(old)), COLLECTIVES)
    assert slow.outcome is INCONCLUSIVE
    assert "NCCL has version code 22707" in slow.reason


def test_with_large_frames_all_gather_must_reach_what_it_was_measured_to() -> None:
    large = Change(0, ports_changed(0, 1, mtu=9000))(played.pair())
    reached = Change(0, reached_changed(0, 1, size_bytes=9000))(large)
    slow = speeds_changed(18 / 20.40)
    assert of(judge.judge(Change(1, slow)(played.pair())), COLLECTIVES).outcome is PASSED
    result = of(judge.judge(Change(1, slow)(reached)), COLLECTIVES)
    assert result.outcome is FAILED
    assert "limit pair.all_gather.nccl.jumbo" in result.reason


def training_changed(**changed: Any) -> Callable[[End], End]:
    def change(end: End) -> End:
        assert end.work is not None
        assert end.work.training is not None
        return work_changed(training=end.work.training.model_copy(update=changed))(end)

    return change


def forged(end: End) -> End:
    made = played.compared(3)[0]
    held = made.held_against[0].model_copy(update={"holds": True})
    return training_changed(compared=(made.model_copy(update={"held_against": [held]}),))(end)


TRAINED: dict[str, tuple[Change, Outcome, str]] = {
    "other weights": (Change(2, training_changed(weights={"lora_A": "aa", "lora_B": "cc"})), FAILED, "lora_B"),
    "a tensor missing": (Change(2, training_changed(weights={"lora_A": "aa"})), FAILED, "lora_B"),
    "gradients": (
        Change(0, training_changed(compared=played.compared(2), wrong=True)),
        FAILED,
        "gradients that differ",
    ),
    "wrong without a word": (
        Change(1, training_changed(wrong=True)),
        FAILED,
        "spark-01 says that what was trained is wrong",
    ),
    "forged": (Change(2, forged), INCONCLUSIVE, "is said to hold"),
    "nothing compared": (Change(1, training_changed(compared=())), INCONCLUSIVE, "nothing was compared"),
    "nothing trained": (Change(0, training_changed(weights={})), INCONCLUSIVE, "no tensor was trained"),
    "not reached": (Change(2, stopped("inconclusive", "killed")), INCONCLUSIVE, "spark-02 at all_reduce: killed"),
}


@pytest.mark.parametrize("fault", TRAINED)
def test_training_together(fault: str) -> None:
    change, outcome, words = TRAINED[fault]
    result = of(judge.judge(change(played.pair())), TRAINING)
    assert (result.outcome, words in result.reason) == (outcome, True), result.reason


def test_machines_without_figures_of_pairs_are_not_judged() -> None:
    ends = (played.end(1, 2, profile_name="h200"), played.end(2, 1, profile_name="h200"))
    result = judge.judge(Pair(ends))
    assert {each.outcome for each in result.results} == {Outcome.NOT_APPLICABLE}
    assert result.outcome is Outcome.NOT_APPLICABLE
    assert result.well
    assert "this profile has no figures of two of its machines" in result.says
