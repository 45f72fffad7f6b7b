"""Counters are compared with an earlier reading, from the driver or from the record; only what grew is an error."""

from typing import Any

import pytest
from suites import example

from dgxcert.judgement.computation import Computation
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.links import link_errors, nvlink_answers
from dgxcert.probes.links.link_errors import KEY, READ_AT, Growth, Reading

GPUS = tuple(Gpu(index=i, product="NVIDIA B200", uuid=f"GPU-{i}", compute_capability="10.0") for i in range(2))
MACHINE = example.MACHINE.model_copy(update={"gpus": GPUS})


def planted(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | int) -> None:
    """The driver's answers by GPU, or NVML's codes."""

    def ask(index: int, field: str) -> Answers:
        answer = answers[index]
        if isinstance(answer, int):
            return Answers(index, {}, {field: {"code": answer, "says": "No"}})
        return Answers(index, {field: answer})

    monkeypatch.setattr(nvml, "ask", ask)


def test_counters_are_read_by_gpu_and_link(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, {"0": {"crc": 1}, "17": {}}, 3)
    found = link_errors.read(MACHINE)
    assert found.counters == {0: {0: {"crc": 1}, 17: {}}, 1: {}}
    assert (found.links, found.silent) == (2, ("GPU 0 link 17",))
    assert found.at_s > 0
    with pytest.raises(Inconclusive, match="no error counter of GPU 0 link 17"):
        found.require_counters()


def test_what_the_driver_fails_to_tell_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, {}, 4)
    with pytest.raises(Inconclusive, match="nvlink counters of GPU 1: No"):
        link_errors.read(MACHINE)
    with pytest.raises(Inconclusive, match="lists no GPU"):
        link_errors.read(example.MACHINE)


def test_only_growth_counts_and_a_counter_that_was_reset_counts_from_nothing() -> None:
    before = Reading({0: {3: {"crc": 50, "recovery": 2, "effective_ber": 1e-15}}, 1: {}}, 100.0)
    after = Reading({0: {3: {"crc": 5, "recovery": 2, "effective_ber": 1e-12}}, 1: {4: {"replay": 8}}}, 102.0)
    grown = link_errors.growth(before, after)
    assert grown == Growth({"GPU 0 link 3": {"crc": 5}, "GPU 1 link 4": {"replay": 8}}, 2.0, 2)
    assert (grown.errors, grown.replays) == (0, 4.0)
    assert grown.source == "NVML, 2 links in 2 s: GPU 1 link 4 replay 8, GPU 0 link 3 crc 5"
    assert after.worst_rate == 1e-12
    assert link_errors.growth(after, after).source == "NVML, 2 links in 1 s: no counter grew"


def test_a_link_that_went_down_in_between_is_named() -> None:
    before = Reading({0: {0: {"crc": 1}, 17: {}}, 1: {3: {}}}, 10.0)
    grown = link_errors.growth(before, Reading({0: {0: {"crc": 1}}, 1: {}}, 20.0))
    assert grown.lost == ("GPU 0 link 17", "GPU 1 link 3")
    assert grown.source == "NVML, 1 links in 10 s: went down: GPU 0 link 17, GPU 1 link 3; no counter grew"
    gone = link_errors.growth(before, Reading({0: {}, 1: {}}, 20.0))
    assert gone.source == "NVML, 0 links in 10 s: went down: GPU 0 link 0, GPU 0 link 17, GPU 1 link 3; no counter grew"
    assert link_errors.growth(before, before).lost == ()


def test_links_that_went_down_since_before_the_work_are_known_by_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Reading({0: {0: {"crc": 1}, 17: {"crc": 0}}, 1: {}})
    kept = {(KEY, link_errors.NAME.format(gpu)): before.text(gpu) for gpu in (0, 1)}
    read = Computation(before=kept | {(KEY, READ_AT): 0.0})
    planted(monkeypatch, {"0": {"crc": 1}}, {})
    assert link_errors.since_before_work(MACHINE, read).lost == ("GPU 0 link 17",)
    planted(monkeypatch, {}, {})
    assert link_errors.since_before_work(MACHINE, read).lost == ("GPU 0 link 0", "GPU 0 link 17")


@pytest.mark.parametrize(
    "name", dict.fromkeys(name for name, _ in (*nvlink_answers.COUNTERS[:-1], *nvlink_answers.BY_FUNCTION))
)
def test_each_counter_is_an_error_or_something_sent_again(name: str) -> None:
    grown = Growth({"GPU 0 link 0": {name: 3}}, 1.0, 1)
    again = name in {"crc", "crc_flit", "crc_data", "replay", "effective", "symbol"}
    assert (grown.errors, grown.replays) == ((0, 3.0) if again else (3, 0.0))


def test_many_errors_are_named_by_their_worst() -> None:
    grown = Growth({f"GPU 0 link {link}": {"crc": link} for link in range(1, 9)}, 1.0, 18)
    assert grown.source.startswith("NVML, 18 links in 1 s: GPU 0 link 8 crc 8, ")
    assert grown.source.endswith("GPU 0 link 3 crc 3 and 2 more")


def test_a_reading_goes_through_the_record_unchanged() -> None:
    reading = Reading({0: {3: {"crc": 4.0, "recovery_failed": 1.0}, 5: {"replay": 2.0}}, 1: {}}, 300.0)
    kept: dict[tuple[str, str], object] = {(KEY, link_errors.NAME.format(gpu)): reading.text(gpu) for gpu in (0, 1)}
    assert link_errors.before_work(Computation(before=kept | {(KEY, READ_AT): 300.0})) == reading
    assert link_errors.before_work(Computation(before=kept)) is None
    others = kept | {(KEY, READ_AT): 300.0, ("GPU-ECC", "counted by GPU 9"): "link 1 crc 1"}
    assert link_errors.before_work(Computation(before=others)) == reading


def test_links_without_a_reading_before_the_work_are_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, {}, {})
    assert link_errors.since_before_work(MACHINE, Computation()).source.endswith("so nothing is counted")
    planted(monkeypatch, {"0": {"crc": 1}}, {})
    with pytest.raises(Inconclusive, match="not read before the work"):
        link_errors.since_before_work(MACHINE, Computation())
    read = Computation(before={(KEY, READ_AT): 0.0, (KEY, "counted by GPU 0"): "none; links up 0"})
    assert link_errors.since_before_work(MACHINE, read).counted == {"GPU 0 link 0": {"crc": 1}}
    planted(monkeypatch, {"0": {}}, {})
    with pytest.raises(Inconclusive, match="no error counter"):
        link_errors.since_before_work(MACHINE, read)
