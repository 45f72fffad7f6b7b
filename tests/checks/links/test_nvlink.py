"""Links that are down, slow or err fail by that quantity alone; where none must be, none is missed."""

from collections.abc import Iterable
from typing import Any

import check_file
import pytest
from suites import example
from suites.judged import judge

from dgxcert.judgement.computation import Computation
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Inconclusive
from dgxcert.probes.links import link_errors, nvlinks
from dgxcert.probes.links.link_errors import KEY, READ_AT, Reading
from dgxcert.probes.links.nvlinks import Link, NvLinks
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import peer_copies

CHECKS = check_file.load("links/test_nvlink")
ANY = profiles.load("generic-nvidia")
GPUS = ("GPU 0", "GPU 1")


def with_limits(profile: Profile = ANY, **limits: float) -> Profile:
    """A profile of a machine with so many links of such a speed."""
    added = {
        f"links.{name}": ANY.limit(f"links.{name}").model_copy(update={"min": value}) for name, value in limits.items()
    }
    return profile.model_copy(update={"limits": profile.limits | added})


HGX = with_limits(count=3, speed=25)


def board(*gpus: Iterable[Link]) -> NvLinks:
    """GPUs of one model with these links."""
    return NvLinks({index: tuple(links) for index, links in enumerate(gpus)}, dict.fromkeys(range(len(gpus)), "H100"))


def links(gpu: int, up: int = 3, down: int = 0, gbs: float | None = 26.562, remote: str = "SWITCH") -> list[Link]:
    """Links of a GPU, those that are down last."""
    states = ["ACTIVE"] * up + ["INACTIVE"] * down
    return [Link(gpu, number, state, gbs if state == "ACTIVE" else None, remote) for number, state in enumerate(states)]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plants what is read of the links, and of their errors, one reading after another."""

    def plant(found: NvLinks | None = None, *readings: Reading) -> None:
        left = list(readings or [Reading({})])
        monkeypatch.setattr(nvlinks, "read", lambda machine: found)
        monkeypatch.setattr(link_errors, "read", lambda machine: left.pop(0) if len(left) > 1 else left[0])

    return plant


@pytest.mark.parametrize(
    ("found", "profile", "fault"),
    [
        (board(links(0), links(1)), HGX, None),
        (board(links(0), links(1)), ANY, None),
        (board([], []), ANY, None),
        (board(links(0, remote="GPU"), links(1, remote="GPU"), links(2, up=0, down=3)), ANY, None),
        (board(links(0), links(1, up=2, down=1)), HGX, "NVLinks up on the GPU with the fewest"),
        (board(links(0, up=2, down=1), links(1, up=2, down=1)), HGX, "NVLinks up on the GPU with the fewest"),
        (board([], []), HGX, "NVLinks up on the GPU with the fewest"),
        (board(links(0), links(1, up=2, down=1)), ANY, "GPUs with fewer than others"),
        (board(links(0), links(1, up=0, down=3)), ANY, "GPUs with fewer than others"),
    ],
)
def test_a_link_that_is_down_fails_where_it_must_be_up_or_its_siblings_are(
    read: Any, found: NvLinks, profile: Profile, fault: str | None
) -> None:
    read(found)
    judge(CHECKS.test_every_nvlink_is_up, example.MACHINE, profile, fault=fault)


def test_what_was_counted_before_the_work_is_kept(read: Any) -> None:
    read(board(links(0)), Reading({0: {3: {"crc": 7}}}, at_s=40.0))
    evidence = judge(CHECKS.test_every_nvlink_is_up, example.MACHINE, ANY, fault=None)
    kept = {(KEY, each.name): each.value for each in evidence.kept}
    assert link_errors.before_work(Computation(before=kept)) == Reading({0: {3: {"crc": 7.0}}}, 40.0)


def test_links_that_the_driver_does_not_report_or_that_may_train_are_inconclusive(read: Any) -> None:
    read(NvLinks({0: (), 1: ()}, silent={0: "Not Supported"}))
    judge(CHECKS.test_every_nvlink_is_up, example.MACHINE, ANY, fault=None)
    with pytest.raises(Inconclusive, match="does not report the NVLinks of GPU 0: Not Supported"):
        CHECKS.test_every_nvlink_is_up(example.MACHINE, HGX, Recorder())
    read(NvLinks({0: tuple(links(0, up=2, down=1))}, uptime_s=100.0))
    with pytest.raises(Inconclusive, match="may still be trained"):
        CHECKS.test_every_nvlink_is_up(example.MACHINE, HGX, Recorder())


@pytest.mark.parametrize(
    ("found", "profile", "fault"),
    [
        (board(links(0), links(1)), HGX, None),
        (board([], []), ANY, None),
        (board(links(0, gbs=20.0), links(1, gbs=20.0)), ANY, None),
        (board(links(0, gbs=20.0), links(1, gbs=20.0)), HGX, "slowest NVLink"),
        (board(links(0, gbs=13.0), links(1, gbs=13.0)), ANY, "slowest NVLink"),
        (board(links(0), [*links(1)[:2], Link(1, 2, gbs=25.5)]), ANY, "NVLinks slower than others"),
        (board(links(0), [Link(1, 1), Link(1, 2, gbs=25.5)]), ANY, "NVLinks slower than others"),
    ],
)
def test_a_slow_link_fails(read: Any, found: NvLinks, profile: Profile, fault: str | None) -> None:
    read(found)
    judge(CHECKS.test_every_nvlink_runs_at_its_full_speed, example.MACHINE, profile, fault=fault)


@pytest.mark.parametrize(
    ("found", "profile"),
    [
        (board(links(0, gbs=None)), ANY),
        (board(links(0), links(1, gbs=None)), HGX),
        (board(links(0), [*links(1)[:2], Link(1, 2)]), ANY),
        (board(links(0, up=0, down=3)), HGX),
        (board([], []), HGX),
    ],
)
def test_a_speed_that_nothing_reports_is_inconclusive(read: Any, found: NvLinks, profile: Profile) -> None:
    read(found)
    with pytest.raises(Inconclusive, match="no speed of an NVLink is known"):
        CHECKS.test_every_nvlink_runs_at_its_full_speed(example.MACHINE, profile, Recorder())


DOWN = "NVLinks that went down"
OLD = {"crc": 100.0, "recovery": 2.0, "replay": 3.0}


@pytest.mark.parametrize(
    ("grown", "fault"),
    [
        ({}, None),
        ({"crc": 110.0, "replay": 13.0}, None),
        ({"effective_ber": 1e-10}, None),
        ({"crc": 111.0}, "packets sent again, worst link"),
        ({"replay": 14.0}, "packets sent again, worst link"),
        ({"recovery": 3.0}, "new errors"),
        ({"discard": 1.0}, "new errors"),
        ({"effective_ber": 1e-8}, "bit errors, worst link"),
    ],
)
def test_errors_that_a_link_counts_under_load_fail(
    monkeypatch: pytest.MonkeyPatch, read: Any, grown: dict[str, float], fault: str | None
) -> None:
    loaded: list[Any] = []
    monkeypatch.setattr(peer_copies, "load", lambda gpus, seconds: loaded.append((gpus, seconds)))
    read(None, Reading({0: {3: OLD}}, 50.0), Reading({0: {3: OLD | grown}}, 60.0))
    judge(CHECKS.test_no_nvlink_counts_an_error_while_it_works, GPUS, example.MACHINE, ANY, fault=fault)
    assert loaded == [(GPUS, peer_copies.LOAD_S)]


def test_a_link_that_goes_down_under_load_fails(monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    monkeypatch.setattr(peer_copies, "load", lambda gpus, seconds: None)
    read(None, Reading({0: {3: OLD, 4: OLD}}, 50.0), Reading({0: {3: OLD}}, 60.0))
    judge(CHECKS.test_no_nvlink_counts_an_error_while_it_works, GPUS, example.MACHINE, ANY, fault=DOWN)
    read(None, Reading({0: {3: OLD}}, 50.0), Reading({0: {}}, 60.0))
    judge(CHECKS.test_no_nvlink_counts_an_error_while_it_works, GPUS, example.MACHINE, ANY, fault=DOWN)


@pytest.mark.parametrize("now", [{3: OLD}, {}])
def test_a_link_that_the_work_has_left_down_fails(read: Any, now: dict[int, Any]) -> None:
    kept = Reading({0: {3: OLD, 4: {}}}).text(0)
    before = Computation(before={(KEY, READ_AT): 100.0, (KEY, "counted by GPU 0"): kept})
    read(None, Reading({0: now}, 300.0))
    judge(CHECKS.test_the_work_has_left_no_error_on_an_nvlink, example.MACHINE, ANY, before, fault=DOWN)


def test_where_no_link_is_up_none_is_loaded_and_one_without_counters_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    monkeypatch.delattr(peer_copies, "load")
    read(None, Reading({0: {}}))
    judge(CHECKS.test_no_nvlink_counts_an_error_while_it_works, GPUS, example.MACHINE, ANY, fault=None)
    read(None, Reading({0: {3: {}}}))
    with pytest.raises(Inconclusive, match="no error counter of GPU 0 link 3"):
        CHECKS.test_no_nvlink_counts_an_error_while_it_works(GPUS, example.MACHINE, ANY, Recorder())


@pytest.mark.parametrize(
    ("now", "fault"),
    [
        ({"crc": 50.0}, None),
        ({"crc": 50.0, "recovery": 1.0}, "new errors"),
        ({"crc": 252.0}, "packets sent again, worst link"),
        ({"crc": 5.0}, None),
    ],
)
def test_errors_since_before_the_work_fail(read: Any, now: dict[str, float], fault: str | None) -> None:
    before = Computation(before={(KEY, READ_AT): 100.0, (KEY, "counted by GPU 0"): "link 3 crc 50"})
    read(None, Reading({0: {3: now}}, 300.0))
    judge(CHECKS.test_the_work_has_left_no_error_on_an_nvlink, example.MACHINE, ANY, before, fault=fault)


def test_errors_that_were_not_read_before_the_work_are_inconclusive(read: Any) -> None:
    read(None, Reading({0: {}}, 300.0))
    judge(CHECKS.test_the_work_has_left_no_error_on_an_nvlink, example.MACHINE, ANY, Computation(), fault=None)
    read(None, Reading({0: {3: OLD}}, 300.0))
    with pytest.raises(Inconclusive, match="not read before the work"):
        CHECKS.test_the_work_has_left_no_error_on_an_nvlink(example.MACHINE, ANY, Computation(), Recorder())


def test_the_limits_of_this_test_are_of_the_profiles() -> None:
    assert isinstance(HGX.limit("links.count"), Limit)
    assert HGX.limit("links.count").min == 3
