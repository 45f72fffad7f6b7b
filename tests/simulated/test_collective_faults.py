"""A rank that lies, dies, hangs or never arrives is named by COLLECTIVES-CORRECT, in time, and leaves no process."""

import json
import os
import subprocess
import sys
import uuid
from typing import Any

import pytest
from simulated import collective_faults

INCONCLUSIVE = {
    "dies": "rank 1 ended with exit code 9, last at: ",
    "hangs": "rank 1 did not end within 5 s, last at: ",
    "never arrives": "rank 1 did not end within 5 s, last at: not started, while rank 0 waited at: joining the others",
}


@pytest.fixture(scope="module")
def ended() -> dict[str, Any]:
    """How the requirement ended by fault, judged once for all tests: starting torch takes longer than the work."""
    program = [sys.executable, collective_faults.__file__, "COLLECTIVES-CORRECT", "none", "lies", *INCONCLUSIVE]
    env = {**os.environ, collective_faults.MARK: uuid.uuid4().hex}
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def test_ranks_without_a_fault_pass(ended: dict[str, Any]) -> None:
    assert ended["none"]["outcome"] == "passed", ended["none"]


def test_a_rank_that_lies_in_one_element_fails_and_is_named(ended: dict[str, Any]) -> None:
    lies = ended["lies"]
    assert lies["outcome"] == "failed"
    assert "elements of the sum are wrong, the first at 0: rank 1's part is there twice" in lies["reason"]
    assert any("nvidia-smi nvlink -e" in step for step in lies["remedy"])


@pytest.mark.parametrize("fault", INCONCLUSIVE)
def test_a_rank_that_does_not_take_part_is_named_and_leaves_the_outcome_open(ended: dict[str, Any], fault: str) -> None:
    assert ended[fault]["outcome"] == "inconclusive"
    assert INCONCLUSIVE[fault] in ended[fault]["reason"]


def test_each_fault_costs_its_own_time_alone_and_leaves_no_process(ended: dict[str, Any]) -> None:
    for fault, told in ended.items():
        assert told["took_s"] < collective_faults.PATIENCE_S, fault
        assert told["left"] == [], fault
