"""An end puts its answer together from whatever its program has left: all of it, a part, nothing, or nonsense."""

import json
from pathlib import Path
from typing import Any

import pytest
from suites.pair_orders import HAS, free_port, told

from dgxcert.record.room.pair_answer import PairAnswer
from dgxcert.workloads.distributed.task import RankFiles
from dgxcert.workloads.pairs import end, program
from dgxcert.workloads.pairs.end import Place
from dgxcert.workloads.pairs.order import OPERATIONS, Order
from dgxcert.workloads.pairs.program import Said

PROOF = {"device": "rank 0", "findings": [], "wrong": 0, "compared": 8, "bf16": {"all_reduce": 0.5}, "bits": "5f"}
SPEED = {
    "swept": [[8, 1e-5]],
    "seconds": [1e-5, 2e-5, 3e-5],
    "bytes": 8,
    "wrong": 0,
    "algorithm": "gloo",
    "how": "gloo over TCP on lo",
    "disturbance": "",
    "unknown": "",
}
TRAINED = {"compared": [], "wrong": False, "weights": {}, "alone": 2, "together": 1, "losses": [3], "model": "small"}
ALL = [PROOF, *[SPEED] * len(OPERATIONS), TRAINED]


def answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lines: list[Any], said: Said | None, why: str
) -> PairAnswer:
    """The answer of an end whose program has left these lines of work, and has said so much."""

    def work(order: Order, folder: Path, place: Place) -> str:
        (folder / program.RANKS).mkdir()
        done = RankFiles(folder / program.RANKS, order.rank).done
        done.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        phases = '{"name": "training together", "at_s": 12.5, "pid": 41}\n{"name": "at w'
        RankFiles(folder / program.RANKS, order.rank).phases.write_text(phases, encoding="utf-8")
        (folder / end.LOG).write_text("Traceback\n\nOSError: no\x1b[2J space\n", encoding="utf-8")
        if said is not None:
            said.write(folder)
        return why

    monkeypatch.setattr(end, "_work", work)
    return end.run(told(0, free_port()), folder, Place())


def test_an_end_that_has_done_everything_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answered(tmp_path, monkeypatch, ALL, Said(versions=HAS, peer_versions=HAS, done=True), "")
    assert answer.complete
    assert answer.speeds[0].gbs == pytest.approx(8 / 2e-5 / 1e9)
    assert answer.runtime == "native"
    assert {port.interface for port in answer.facts.ports if port.asked} == {"lo"}


@pytest.mark.parametrize("count", [0, 1, 3, len(ALL)])
def test_an_end_that_was_killed_keeps_what_it_had_but_the_last(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = answered(tmp_path, monkeypatch, ALL[:count], Said(versions=HAS), "this end did not end within 9 s")
    assert not answer.complete
    assert answer.stopped is not None
    assert answer.stopped.phase == "training together"
    assert answer.stopped.problem.startswith("this end did not end within 9 s; it printed: OSError: no")
    assert "\x1b" not in answer.stopped.problem
    assert len(answer.speeds) == max(0, min(count, len(ALL) - 1) - 1)
    assert answer.training is None


def test_an_end_whose_program_said_nothing_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answered(tmp_path, monkeypatch, ALL, None, "")
    assert answer.stopped is not None
    assert answer.versions is None


@pytest.mark.parametrize(
    "lines", [[{}], [PROOF, {"swept": "x"}], [1], [PROOF, *[SPEED] * len(OPERATIONS), {"wrong": True}]]
)
def test_nonsense_of_a_rank_is_no_answer(lines: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answered(tmp_path, monkeypatch, lines, Said(versions=HAS, done=True), "")
    assert answer.stopped is not None
    assert "no answer" in answer.stopped.problem
    assert not answer.complete


def test_a_program_that_cannot_be_started_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    answer = end.run(told(1, free_port()), tmp_path, Place())
    assert answer.stopped is not None
    assert answer.stopped.problem == "the program of this end ended with 1"
    assert answer.took == ()
