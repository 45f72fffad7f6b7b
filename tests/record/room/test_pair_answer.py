"""The answer of one end of a pair is whole or none, and is read like every file that somebody else has made."""

from pathlib import Path
from typing import Any

import pytest

from dgxcert.outcome import CannotStart
from dgxcert.record.room import pair_answer
from dgxcert.record.room.pair_answer import PairAnswer


def answer(**changed: Any) -> PairAnswer:
    versions = {"dgxcert": "1.0", "suite": "5f", "python": "3.11.9", "torch": "2.9.1", "accelerator": "CPU"}
    plan = {
        "profile": "cpu",
        "backend": "gloo",
        "seed": 23,
        "operations": ["forth"],
        "smallest_bytes": 8,
        "largest_bytes": 64,
        "limit_s": 60,
    }
    speed = {
        "operation": "forth",
        "swept": [{"size_bytes": 8, "seconds": 1e-5, "gbs": 0.1}],
        "plateau_bytes": 8,
        "rounds_s": [1e-5],
        "wrong": 0,
    }
    whole = {
        "rank": 0,
        "host": "spark-01",
        "peer_host": "spark-02",
        "address": "192.168.100.1",
        "peer": "192.168.100.2",
        "began": "2026-11-30T10:00:00+00:00",
        "ended": "2026-11-30T10:01:00+00:00",
        "plan": plan,
        "runtime": "native",
        "versions": versions,
        "exactness": {"compared": 8, "wrong": 0, "rounding": 0.5, "bits": "5f"},
        "speeds": [speed],
        "training": {
            "compared": [],
            "wrong": False,
            "weights": {},
            "alone": 2,
            "together": 1.5,
            "losses": [3.0],
            "model": "small",
        },
    }
    return PairAnswer.model_validate(whole | changed)


def test_a_whole_answer_is_complete_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    path.write_text(answer().model_dump_json(), encoding="utf-8")
    assert pair_answer.load(path) == answer()
    assert answer().complete


@pytest.mark.parametrize(
    "changed",
    [
        {"speeds": []},
        {"training": None},
        {"exactness": None},
        {"versions": None},
        {"stopped": {"phase": "training", "kind": "inconclusive", "problem": "the other end is silent"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_an_answer_that_lacks_a_part_is_not_complete(changed: dict[str, Any]) -> None:
    assert not answer(**changed).complete


@pytest.mark.parametrize("kept", [0, 1, 200, -1])
def test_an_answer_that_is_cut_off_is_none(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "pair.json"
    path.write_text(answer().model_dump_json()[:kept], encoding="utf-8")
    with pytest.raises(CannotStart, match="is no whole answer"):
        pair_answer.load(path)


def test_an_answer_that_is_missing_or_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    for name in ("missing.json", "link.json"):
        with pytest.raises(CannotStart, match="cannot be read"):
            pair_answer.load(tmp_path / name)
