"""A burn-in is judged by its log: by its first and its slowest cycles, and through every interruption."""

from dataclasses import replace
from pathlib import Path

import pytest

from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import boot
from dgxcert.workloads.burn_in import log
from dgxcert.workloads.burn_in.log import Cycle, Summary

GOOD = Cycle(at=0.0, seconds=20.0, matmul=91.6, copy=230.0, training=50.0, wrong=0, product="aa", weights="bb")
SHARED = replace(GOOD, shared="GPU 0 was shared: 2 compute processes", matmul=10.0, hottest=99.0, clock_mhz=208.0)


def of(*cycles: Cycle) -> Summary:
    return Summary(cycles)


def at(*rates: float) -> Summary:
    return of(*(replace(GOOD, matmul=rate) for rate in rates))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "burn-in-cuda0.jsonl"


def start(path: Path, monkeypatch: pytest.MonkeyPatch, boot_id: str, errors: int = 0) -> None:
    named = path.with_suffix(".boot")
    named.write_text(f"{boot_id}\n", encoding="ascii")
    monkeypatch.setattr(boot, "ID", named)
    log.append_start(path, {"torch": "2"}, errors, 3003.0)


def test_cycles_with_other_hashes_than_the_first_are_counted() -> None:
    flipped = of(GOOD, replace(GOOD, product="ab"), GOOD, replace(GOOD, weights="bc", product="ab"))
    assert (flipped.changed("product"), flipped.changed("weights")) == (2, 1)
    assert of(GOOD, GOOD).changed("product") == 0


def test_the_slowest_three_cycles_are_compared_with_the_first_three() -> None:
    assert at(93, 93, 93, 80, 75, 70, 72, 93, 93, 93).steadiness("matmul") == pytest.approx(72 / 93)
    assert at(60, 93, 93, 93).steadiness("matmul") == 1.0, "a slow first cycle does not lower the reference"
    assert at(93, 93, 93, 40, 93, 93).steadiness("matmul") == 1.0, "one cycle alone is no fall"
    assert at(93, 93, 93, 93, 40, 40).steadiness("matmul") == pytest.approx(40 / 93)
    drifting = at(*(100 - step for step in range(40)))
    assert drifting.steadiness("matmul") == pytest.approx(62 / 99), "a drift shows in full, not by quarters"


@pytest.mark.parametrize("cycles", [(), (GOOD,), (GOOD,) * 3, (GOOD, GOOD, GOOD, SHARED)])
def test_a_few_cycles_prove_nothing(cycles: tuple[Cycle, ...]) -> None:
    alone = sum(not cycle.shared for cycle in cycles)
    with pytest.raises(Inconclusive, match=f"only {alone} cycles count, too few to compare"):
        of(*cycles).steadiness("copy")
    with pytest.raises(Inconclusive, match="too few to compare"):
        log.require_duration(of(*cycles), 0.0)
    enough = of(*(GOOD,) * 4)
    log.require_duration(enough, 0.0)
    assert enough.steadiness("copy") == 1.0


def test_a_burn_in_that_was_cut_short_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match=r"cut short: it worked 2.0 of 2.1 min"):
        log.require_duration(of(*(GOOD,) * 6), 2.1)
    log.require_duration(of(*(GOOD,) * 6), 2.0)


def test_a_cycle_with_other_processes_counts_only_for_wrong_values() -> None:
    summary = of(*(replace(GOOD, hottest=70.0, clock_mhz=2400.0),) * 4, replace(SHARED, wrong=3))
    assert (summary.shared_cycles, summary.minutes, summary.wrong_values) == (1, 80 / 60, 3)
    assert (summary.highest("hottest"), summary.lowest("clock_mhz")) == (70.0, 2400.0)
    assert summary.steadiness("matmul") == 1.0
    assert "other processes on the GPU, does not count" in SHARED.line


def test_shares_of_time_are_weighted_by_time() -> None:
    assert of(replace(GOOD, hot=0.1), replace(GOOD, seconds=60.0, hot=0.0)).mean("hot") == pytest.approx(0.025)


def test_a_value_that_was_not_sampled_is_inconclusive() -> None:
    for look in (Summary.highest, Summary.lowest, Summary.mean):
        with pytest.raises(Inconclusive, match="no cycle of the burn-in has a value for hottest"):
            look(of(GOOD), "hottest")
    sampled = of(GOOD, replace(GOOD, hottest=71.0), replace(GOOD, hottest=69.0))
    assert (sampled.highest("hottest"), sampled.lowest("hottest"), sampled.mean("hottest")) == (71.0, 69.0, 70.0)


def test_memory_errors_count_from_before_the_first_cycle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(path, monkeypatch, "a", errors=2)
    assert log.summarise(log.read_log(path)).new_memory_errors == 0
    log.append_cycle(path, replace(GOOD, errors=3))
    assert log.summarise(log.read_log(path)).new_memory_errors == 1
    start(path, monkeypatch, "a", errors=5)
    assert log.summarise(log.read_log(path)).new_memory_errors == 3, "errors that killed it count"
    start(path, monkeypatch, "b", errors=0)
    log.append_cycle(path, replace(GOOD, errors=1, shared="another process"))
    assert log.summarise(log.read_log(path)).new_memory_errors == 4, "a counter that was reset counts from there"


def test_a_start_after_a_pause_is_no_interruption(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resumptions() -> tuple[int, int, int]:
        summary = log.summarise(log.read_log(path))
        return summary.pauses, summary.interruptions, summary.reboots

    start(path, monkeypatch, "a")
    log.append_cycle(path, GOOD)
    log.append_pause(path)
    assert resumptions() == (0, 0, 0)
    start(path, monkeypatch, "b")
    assert resumptions() == (1, 0, 0), "switched off over night"
    start(path, monkeypatch, "b")
    assert resumptions() == (1, 1, 0), "killed"
    start(path, monkeypatch, "c")
    assert resumptions() == (1, 2, 1), "went down: the pause was before an earlier start"


def test_what_was_written_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(path, monkeypatch, "a")
    log.append_cycle(path, SHARED)
    summary = log.summarise(log.read_log(path))
    assert (summary.cycles, summary.settings) == ((SHARED,), {"torch": "2"})
    assert summary.highest_clock is not None
    assert (summary.highest_clock.value, summary.highest_clock.unit) == (3003.0, "MHz")
    assert of(GOOD).highest_clock is None


def test_a_line_torn_by_a_power_cut_is_skipped_and_the_next_one_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log.summarise(log.read_log(path)) == Summary()
    start(path, monkeypatch, "a")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"cycle": {"seconds": 2')
    assert (log.summarise(log.read_log(path)).cycles, log.summarise(log.read_log(path)).interruptions) == ((), 0)
    start(path, monkeypatch, "b")
    assert (log.summarise(log.read_log(path)).interruptions, log.summarise(log.read_log(path)).reboots) == (1, 1)


def test_a_cycle_on_which_the_driver_did_not_report_does_not_count_and_resets_no_counter(path: Path) -> None:
    silent = replace(GOOD, errors=None, unseen="the driver did not answer", wrong=1)
    for cycle in (replace(GOOD, errors=2), silent, replace(GOOD, errors=2)):
        log.append_cycle(path, cycle)
    summary = log.summarise(log.read_log(path))
    assert (summary.unobserved_cycles, summary.shared_cycles, len(summary.counted)) == (1, 0, 2)
    assert (summary.new_memory_errors, summary.wrong_values) == (0, 1)
    assert "not observed, does not count" in silent.line


@pytest.mark.parametrize(("mute", "cycles", "hides"), [(1, 20, False), (2, 20, True), (0, 20, False)])
def test_a_driver_that_is_often_silent_is_inconclusive(mute: int, cycles: int, hides: bool) -> None:
    summary = of(*(replace(GOOD, unseen="no answer"),) * mute, *(GOOD,) * (cycles - mute))
    if not hides:
        log.require_observed(summary)
        return
    with pytest.raises(Inconclusive, match="2 of 20 cycles were not observed: no answer"):
        log.require_observed(summary)


def test_a_reboot_without_a_pause_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="rebooted 1 times"):
        log.require_observed(replace(of(GOOD), reboots=1))


@pytest.mark.parametrize("bad", [{"wrong": 5}, {"weights": "zz"}, {"product": "zz"}])
def test_anything_wrong_fails_a_burn_in_however_it_ended(bad: dict[str, object]) -> None:
    log.require_correct(of(GOOD, GOOD))
    with pytest.raises(Wrong, match="the burn-in found"):
        log.require_correct(of(GOOD, replace(GOOD, **bad)))
    with pytest.raises(Wrong, match="1 new memory errors"):
        log.require_correct(replace(of(GOOD), error_counts=(0, 1)))
    log.require_correct(Summary())


def test_every_third_cycle_being_slow_shows_in_the_mean() -> None:
    slow = replace(GOOD, copy=GOOD.copy / 3)
    assert of(*(GOOD, GOOD, slow) * 30).steadiness("copy") == pytest.approx(7 / 9)
    assert of(*(GOOD,) * 29, slow).steadiness("copy") > 0.95, "one of many is no finding"


@pytest.mark.parametrize(
    "line",
    [
        '{"cycle": 3}',
        '{"cycle": {"at": "x"}}',
        '{"cycle": {"at": 1e400, "seconds": 1}}',
        '{"boot": [1]}',
        '{"boot": "7d1f", "errors": "many"}',
        '{"paused": null}',
        "[" * 100_000,
        "3",
        "NaN",
    ],
)
def test_a_line_of_other_types_is_no_entry(line: str) -> None:
    assert log.parse_line(line) is None


def test_a_log_that_is_no_file_is_inconclusive_by_name(tmp_path: Path) -> None:
    (tmp_path / "burn-in.jsonl").symlink_to("/dev/zero")
    with pytest.raises(Inconclusive, match=r"burn-in\.jsonl cannot be read: it is a link"):
        log.read_log(tmp_path / "burn-in.jsonl")
