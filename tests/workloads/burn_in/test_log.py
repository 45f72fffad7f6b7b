"""What a burn-in kept can be judged: from its first cycles to its worst ones, and through every interruption."""

from dataclasses import replace
from pathlib import Path

import pytest

from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import boot as boots
from dgxcert.workloads.burn_in import log as record
from dgxcert.workloads.burn_in.log import BurnIn, Cycle

GOOD = Cycle(at=0.0, seconds=20.0, matmul=91.6, copy=230.0, training=50.0, wrong=0, product="aa", weights="bb")
SHARED = replace(GOOD, shared="GPU 0 was shared: 2 compute processes", matmul=10.0, hottest=99.0, clock_mhz=208.0)


def of(*cycles: Cycle) -> BurnIn:
    return BurnIn(cycles)


def at(*rates: float) -> BurnIn:
    return of(*(replace(GOOD, matmul=rate) for rate in rates))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "burn-in-cuda0.jsonl"


def begin(path: Path, monkeypatch: pytest.MonkeyPatch, boot: str, errors: int = 0) -> None:
    named = path.with_suffix(".boot")
    named.write_text(f"{boot}\n", encoding="ascii")
    monkeypatch.setattr(boots, "ID", named)
    record.begin(path, {"torch": "2"}, errors, 3003.0)


def test_a_cycle_with_other_bits_than_the_first_is_counted() -> None:
    flipped = of(GOOD, replace(GOOD, product="ab"), GOOD, replace(GOOD, weights="bc", product="ab"))
    assert (flipped.other("product"), flipped.other("weights")) == (2, 1)
    assert of(GOOD, GOOD).other("product") == 0


def test_the_slowest_three_cycles_are_held_against_the_first_three() -> None:
    assert at(93, 93, 93, 80, 75, 70, 72, 93, 93, 93).steadiness("matmul") == pytest.approx(72 / 93)
    assert at(60, 93, 93, 93).steadiness("matmul") == 1.0, "the first cycle alone does not lower what is asked"
    assert at(93, 93, 93, 40, 93, 93).steadiness("matmul") == 1.0, "one cycle alone is no fall"
    assert at(93, 93, 93, 93, 40, 40).steadiness("matmul") == pytest.approx(40 / 93)
    drifting = at(*(100 - step for step in range(40)))
    assert drifting.steadiness("matmul") == pytest.approx(62 / 99), "a drift shows in full, not by quarters"


@pytest.mark.parametrize("cycles", [(), (GOOD,), (GOOD,) * 3, (GOOD, GOOD, GOOD, SHARED)])
def test_a_few_cycles_prove_nothing(cycles: tuple[Cycle, ...]) -> None:
    alone = sum(not cycle.shared for cycle in cycles)
    with pytest.raises(Inconclusive, match=f"only {alone} cycles, too few to compare: burn in for longer"):
        of(*cycles).steadiness("copy")
    with pytest.raises(Inconclusive, match="too few to compare"):
        of(*cycles).whole(0.0)
    assert of(*(GOOD,) * 4).whole(0.0).steadiness("copy") == 1.0


def test_one_that_was_cut_short_proves_nothing_for_as_long_as_asked() -> None:
    with pytest.raises(Inconclusive, match=r"cut short: it worked 2.0 of 2.1 min"):
        of(*(GOOD,) * 6).whole(2.1)
    assert of(*(GOOD,) * 6).whole(2.0).minutes == 2.0


def test_a_shared_cycle_says_nothing_but_what_was_wrong_in_it() -> None:
    found = of(*(replace(GOOD, hottest=70.0, clock_mhz=2400.0),) * 4, replace(SHARED, wrong=3))
    assert (found.shared, found.minutes, found.wrong_values) == (1, 80 / 60, 3)
    assert (found.highest("hottest"), found.lowest("clock_mhz"), found.steadiness("matmul")) == (70.0, 2400.0, 1.0)
    assert "shared, so it does not count" in SHARED.line


def test_shares_of_time_are_weighed_by_time() -> None:
    assert of(replace(GOOD, hot=0.1), replace(GOOD, seconds=60.0, hot=0.0)).mean("hot") == pytest.approx(0.025)


def test_what_was_not_sampled_is_no_low_temperature() -> None:
    for look in (BurnIn.highest, BurnIn.lowest, BurnIn.mean):
        with pytest.raises(Inconclusive, match="no cycle of a burn-in tells hottest"):
            look(of(GOOD), "hottest")
    sampled = of(GOOD, replace(GOOD, hottest=71.0), replace(GOOD, hottest=69.0))
    assert (sampled.highest("hottest"), sampled.lowest("hottest"), sampled.mean("hottest")) == (71.0, 69.0, 70.0)


def test_memory_errors_count_from_before_the_first_cycle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(path, monkeypatch, "a", errors=2)
    assert record.load(path).new_errors == 0
    record.keep(path, replace(GOOD, errors=3))
    assert record.load(path).new_errors == 1
    begin(path, monkeypatch, "a", errors=5)
    assert record.load(path).new_errors == 3, "what killed it is not forgotten"
    begin(path, monkeypatch, "b", errors=0)
    record.keep(path, replace(GOOD, errors=1, shared="somebody"))
    assert record.load(path).new_errors == 4, "a counter that began anew counts from there"


def test_only_what_no_pause_came_before_is_an_interruption(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> tuple[int, int, int]:
        read = record.load(path)
        return read.pauses, read.interruptions, read.restarts

    begin(path, monkeypatch, "a")
    record.keep(path, GOOD)
    record.pause(path)
    assert found() == (0, 0, 0)
    begin(path, monkeypatch, "b")
    assert found() == (1, 0, 0), "switched off over night"
    begin(path, monkeypatch, "b")
    assert found() == (1, 1, 0), "killed"
    begin(path, monkeypatch, "c")
    assert found() == (1, 2, 1), "went down: the pause was before an earlier beginning"


def test_what_is_kept_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(path, monkeypatch, "a")
    record.keep(path, SHARED)
    found = record.load(path)
    assert (found.cycles, found.begun) == ((SHARED,), {"torch": "2"})
    assert found.highest_clock is not None
    assert (found.highest_clock.value, found.highest_clock.unit) == (3003.0, "MHz")
    assert of(GOOD).highest_clock is None


def test_a_line_that_a_power_cut_tore_is_left_out_and_takes_no_other_along(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert record.load(path) == BurnIn()
    begin(path, monkeypatch, "a")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"cycle": {"seconds": 2')
    assert (record.load(path).cycles, record.load(path).interruptions) == ((), 0)
    begin(path, monkeypatch, "b")
    assert (record.load(path).interruptions, record.load(path).restarts) == (1, 1)


def test_a_cycle_that_the_driver_did_not_tell_of_does_not_count_and_resets_no_counter(path: Path) -> None:
    mute = replace(GOOD, errors=None, unseen="the driver did not answer", wrong=1)
    for cycle in (replace(GOOD, errors=2), mute, replace(GOOD, errors=2)):
        record.keep(path, cycle)
    found = record.load(path)
    assert (found.unseen, found.shared, len(found.counting), found.new_errors, found.wrong_values) == (1, 0, 2, 0, 1)
    assert "not seen, so it does not count" in mute.line


@pytest.mark.parametrize(("mute", "cycles", "hides"), [(1, 20, False), (2, 20, True), (0, 20, False)])
def test_a_driver_that_is_often_mute_hides_what_happened(mute: int, cycles: int, hides: bool) -> None:
    found = of(*(replace(GOOD, unseen="no answer"),) * mute, *(GOOD,) * (cycles - mute))
    if not hides:
        assert found.seen() is found
        return
    with pytest.raises(Inconclusive, match="2 of 20 cycles were not seen: no answer"):
        found.seen()


def test_a_restart_that_nobody_asked_for_is_said_and_fails_nobody() -> None:
    with pytest.raises(Inconclusive, match="started again 1 times"):
        replace(of(GOOD), restarts=1).seen()


@pytest.mark.parametrize("bad", [{"wrong": 5}, {"weights": "zz"}, {"product": "zz"}])
def test_what_was_wrong_is_a_finding_however_it_ended(bad: dict[str, object]) -> None:
    assert of(GOOD, GOOD).right().cycles
    with pytest.raises(Wrong, match="the burn-in found"):
        of(GOOD, replace(GOOD, **bad)).right()
    with pytest.raises(Wrong, match="1 new memory errors"):
        replace(of(GOOD), counters=(0, 1)).right()
    assert BurnIn().right() == BurnIn()


def test_what_is_slow_every_third_time_shows_in_the_mean() -> None:
    slow = replace(GOOD, copy=GOOD.copy / 3)
    assert of(*(GOOD, GOOD, slow) * 30).steadiness("copy") == pytest.approx(7 / 9)
    assert of(*(GOOD,) * 29, slow).steadiness("copy") > 0.95, "one of many is no finding"
