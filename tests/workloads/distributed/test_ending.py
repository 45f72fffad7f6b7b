"""Who is guilty where work of several ranks did not end well: pure, from what each rank left behind."""

from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.workloads.distributed import ending
from dgxcert.workloads.distributed.ending import Left
from dgxcert.workloads.distributed.phase import Phase
from dgxcert.workloads.distributed.rank import Rank

GPUS = tuple(Device("cuda", index, "NVIDIA H100") for index in range(3))
PHASES = ("starting", "joining the others", "all_reduce of 8 bytes", "ending")
WAITING = '  File "/x/torch/distributed/distributed_c10d.py", line 9 in all_reduce\n  File "/x/work.py", line 3 in work'
BUSY = 'Thread 1\n  File "/x/dgxcert/pattern.py", line 30 in term\n  File "/x/torch/distributed/run.py", line 1 in m'


def rank(index: int, phases: int = 3, **left: Any) -> Left:
    return Left(Rank(index, GPUS), tuple(Phase(name, 1.0, 40 + index) for name in PHASES[:phases]), **left)


def returned(index: int) -> Left:
    return rank(index, 4, answer={"returned": 1, "at_s": 3.0})


def raised(index: int, problem: str, at_s: float = 2.0, kind: str = "RuntimeError", **more: Any) -> Left:
    return rank(index, answer={"raised": kind, "problem": problem, "at_s": at_s, **more})


CLOSED = "Connection closed by peer [127.0.0.1]:4711"


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ([raised(0, CLOSED), rank(1, exit_code=-9), rank(2, exit_code=-15)], "GPU 1 was killed by signal 9, last at: "),
        ([raised(0, CLOSED), rank(1, exit_code=7), returned(2)], "GPU 1 ended with exit code 7, last at: all_reduce"),
        ([raised(0, CLOSED, gone=[1]), rank(1), returned(2)], "GPU 1 ended, last at: all_reduce of 8 bytes"),
        ([raised(0, CLOSED, 1.0), raised(1, "no such thing", 2.0), returned(2)], "GPU 1 met an error at: all_reduce"),
        ([raised(0, "b", 2.0), raised(1, "a", 1.0), returned(2)], "GPU 1 met an error at: all_reduce"),
        ([raised(0, "CUDA error: out of memory"), raised(1, CLOSED, 1.0), returned(2)], "GPU 0: "),
        ([raised(0, CLOSED, 2.0), raised(1, CLOSED, 1.0), returned(2)], "GPU 1 met an error at: all_reduce"),
        ([raised(0, "no data", kind="Inconclusive", remedy=["Wait."]), returned(1), returned(2)], "GPU 0: no data"),
        ([rank(0, exit_code=-15), returned(1), returned(2)], "GPU 0 was killed by signal 15"),
        ([returned(0), rank(1), returned(2)], "GPU 1 ended without an answer, last at: all_reduce of 8 bytes; it died"),
    ],
)
def test_the_guilty_rank_is_named(left: list[Left], told: str) -> None:
    error = ending.judge(left, late_s=None, agent="it died")
    assert error is not None
    assert error.problem.startswith(told)
    assert error.remedy


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (
            [rank(0, stack=WAITING), rank(1, 2, stack=WAITING), rank(2, stack=WAITING)],
            "GPU 1 did not end within 9 s, last at: joining the others (distributed_c10d.py:9 in all_reduce), "
            "while GPU 0 and GPU 2 waited at: all_reduce of 8 bytes",
        ),
        (
            [rank(0, stack=WAITING), rank(1, stack=WAITING), rank(2, stack=BUSY)],
            "GPU 2 did not end within 9 s, last at: all_reduce of 8 bytes (pattern.py:30 in term), while GPU 0 and",
        ),
        ([rank(0), rank(1), rank(2)], "GPU 0 and GPU 1 and GPU 2 did not end within 9 s, last at: all_reduce"),
        ([rank(0), rank(1, 0), rank(2)], "GPU 1 did not end within 9 s, last at: not started, while GPU 0"),
    ],
)
def test_who_is_late_is_told_from_who_waits(left: list[Left], told: str) -> None:
    error = ending.judge(left, late_s=9, agent="")
    assert error is not None
    assert error.problem.startswith(told)


def test_what_is_wrong_comes_before_what_died_of_it() -> None:
    left = [rank(0, exit_code=-9), raised(1, "b", 2.0, "Wrong"), raised(2, "a", 1.0, "Wrong", remedy=["Look."])]
    error = ending.judge(left, late_s=9, agent="it died")
    assert isinstance(error, Wrong)
    assert (error.problem, error.remedy) == ("GPU 2: a", ("Look.",))


def test_ranks_that_have_all_returned_end_well() -> None:
    assert ending.judge([returned(0), returned(1), returned(2)], late_s=None, agent="") is None


def test_the_end_of_what_it_printed_is_quoted_and_nccls_warnings_before_it() -> None:
    left = rank(0, exit_code=1, printed="a\nb\nc\nd\ne\n")
    assert left.quoted == ". It printed: b | c | d | e"
    warned = rank(0, exit_code=1, printed="a\n", nccl="n [0] NCCL INFO x\nn [0] NCCL WARN Cuda failure 'unspecified'\n")
    assert warned.quoted == ". It printed: n [0] NCCL WARN Cuda failure 'unspecified'"


def test_jobs_that_a_rank_had_done_before_its_death() -> None:
    assert ending.done("") == []
    assert ending.done('{"a": 1}\n{"b": 2}\n{"c') == [{"a": 1}, {"b": 2}]
