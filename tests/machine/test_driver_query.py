"""A driver that hangs or crashes is named with the NVML call, does no harm, and is not waited for twice."""

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from dgxcert import command
from dgxcert.machine import driver_query
from dgxcert.outcome import Inconclusive

LIMIT_S = 30.0


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Sets how the process that asks the driver ends; returns the commands that start it."""

    def end(returncode: int | None, stdout: str = "", stderr: str = "") -> list[list[str]]:
        commands: list[list[str]] = []

        def run(args: list[str], *, timeout_s: float) -> command.Completed:
            assert timeout_s == LIMIT_S
            commands.append(args)
            return command.Completed(tuple(args), returncode, stdout, stderr)

        monkeypatch.setattr(driver_query, "_unanswered", {})
        monkeypatch.setattr(command, "run", run)
        return commands

    return end


def test_the_driver_is_asked_in_a_process_of_its_own(child: Callable[..., list[list[str]]]) -> None:
    commands = child(0, '{"answered": {"uuid": "GPU-0"}, "refused": {}}', "nvmlInit\n")
    for _ in range(2):
        assert driver_query.ask_gpu(0, "uuid", timeout_s=LIMIT_S)["uuid"] == "GPU-0"
    expected = [sys.executable, "-P", "-m", "dgxcert.probes.gpu.driver_answers", "gpu", "0", "uuid"]
    assert commands == [expected, expected], "an answer is not cached"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, r"the NVIDIA driver did not answer within 30 s \(nvmlDeviceGetName\)"),
        (-11, r"the NVIDIA driver crashes the calling process, by signal 11 \(nvmlDeviceGetName\)"),
    ],
    ids=["hangs", "crashes"],
)
def test_a_call_that_hangs_or_crashes_is_named_and_not_waited_for_again(
    child: Callable[..., list[list[str]]], code: int | None, message: str
) -> None:
    commands = child(code, stderr="nvmlInit\nnvmlDeviceGetName\nFatal Python error: Segmentation fault\n")
    for _ in range(2):
        with pytest.raises(Inconclusive, match=message) as raised:
            driver_query.ask("machine", timeout_s=LIMIT_S)
        assert raised.value.remedy == driver_query.RESTART
    assert len(commands) == 1
    with pytest.raises(Inconclusive, match=message):
        driver_query.ask_gpu(0, "uuid", timeout_s=LIMIT_S)
    assert len(commands) == 2, "another question may be answered"


def test_a_question_that_is_not_remembered_is_asked_again(child: Callable[..., list[list[str]]]) -> None:
    commands = child(None)
    for _ in range(2):
        with pytest.raises(Inconclusive, match="did not answer"):
            driver_query.ask("machine", timeout_s=LIMIT_S, remember=False)
    assert len(commands) == 2


def test_a_remembered_hang_keeps_no_frame_of_its_caller(child: Callable[..., list[list[str]]]) -> None:
    """A kept traceback would hold the caller's matrices on the GPU to the end of the process."""
    child(None)
    references: list[weakref.ref[Any]] = []

    class Work:
        pass

    def load() -> None:
        work = Work()
        references.append(weakref.ref(work))
        driver_query.ask("machine", timeout_s=LIMIT_S)

    for _ in range(2):
        with pytest.raises(Inconclusive):
            load()
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_driver_that_hangs_before_the_first_call_is_named_so(child: Callable[..., list[list[str]]]) -> None:
    child(None)
    with pytest.raises(Inconclusive, match=r"did not answer within 30 s \(the first call\)"):
        driver_query.ask("machine", timeout_s=LIMIT_S)


def test_a_process_that_fails_itself_is_no_fault_of_the_driver(child: Callable[..., list[list[str]]]) -> None:
    commands = child(1, stderr="nvmlInit\nModuleNotFoundError: No module named 'pynvml'\n")
    for _ in range(2):
        with pytest.raises(Inconclusive, match=r"could not be queried: .*No module named 'pynvml'") as raised:
            driver_query.ask("machine", timeout_s=LIMIT_S)
        assert "make setup" in raised.value.remedy[0]
    assert len(commands) == 2, "it failed at once, so it is tried again"
