"""Fresh process: a workload that fails is wrong, one that was killed or had no space is inconclusive."""

import pytest
from completed import completed

from dgxcert.command import Completed
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads import fresh_process


def test_last_line_is_the_result() -> None:
    assert fresh_process.parse("metric", completed('a banner\n{"f1": 1.0}\n')) == {"f1": 1.0}


def test_exception_is_wrong() -> None:
    with pytest.raises(Wrong, match="AssertionError: not the same"):
        fresh_process.parse("metric", completed("", "Traceback\nAssertionError: not the same\n", 1))


@pytest.mark.parametrize(
    "done",
    [completed("", "", None), completed("", "", -9), completed("", "OSError: No space left on device", 1)],
    ids=["timeout", "killed", "disk full"],
)
def test_process_that_could_not_finish_is_inconclusive(done: Completed) -> None:
    with pytest.raises(Inconclusive):
        fresh_process.parse("metric", done)
