"""A measurement on a GPU that other processes use, or may use, is recognised."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dgxcert import command
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import driver_answers, nvml

CPU = Device("cpu", 0, "CPU")
GPU = Device("cuda", 1, "NVIDIA H200")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Sets how the process that asks the driver ends; returns the commands that start it."""

    def end(returncode: int | None, stdout: str = "", stderr: str = "") -> list[list[str]]:
        commands: list[list[str]] = []

        def run(args: list[str], **_: object) -> command.Completed:
            commands.append(args)
            return command.Completed(("ask",), returncode, stdout, stderr)

        monkeypatch.setattr(command, "run", run)
        return commands

    return end


def listed(*pids: int, **seen: object) -> str:
    """The answer of a driver that lists these compute processes."""
    return json.dumps({"answered": {"compute_processes": pids, **seen}, "refused": {}})


def refused(code: int | None, message: str) -> str:
    """The answer of a driver that refuses to list them."""
    return json.dumps({"answered": {}, "refused": {"compute_processes": {"code": code, "says": message}}})


def test_a_gpu_with_this_process_only_is_not_shared(driver: Callable[..., list[list[str]]]) -> None:
    commands = driver(0, listed(4711))
    assert GPU.other_processes() is None
    assert commands[0][-4:-1] == ["gpu", "1", "compute_processes"], "the GPU that was measured"


def test_the_question_is_the_one_that_the_probe_asks(driver: Callable[..., list[list[str]]]) -> None:
    """`machine` may not import `probes`, so only this test notices a field that has another name there."""
    commands = driver(0, listed(4711))
    GPU.other_processes()
    nvml.compute_processes(GPU.index)
    assert commands[0][:-1] == commands[1]
    assert commands[0][-1] in driver_answers.FIELDS


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((0, listed()), "the driver lists no process, not even this one"),
        ((0, refused(3, "Not Supported")), "does not report compute processes of GPU 1: Not Supported"),
        ((0, refused(None, "the host has not looked yet")), "compute processes of GPU 1: the host has not looked yet"),
        ((0, json.dumps({"code": 15, "says": "GPU is lost"})), "does not answer for GPU 1: GPU is lost"),
        ((1, "", "NVMLError_Unknown: Unknown Error"), "could not be queried: .*Unknown"),
        ((-11, "", "nvmlInit"), r"crashes the calling process, by signal 11 \(nvmlInit\)"),
        ((None, "", "nvmlInit"), r"did not answer within 15 s \(nvmlInit\)"),
    ],
    ids=["blind", "refused", "unseen", "lost", "error", "crashes", "hangs"],
)
def test_sharing_that_cannot_be_seen_is_inconclusive(
    driver: Callable[..., list[list[str]]], answer: tuple[Any, ...], message: str
) -> None:
    commands = driver(*answer)
    for _ in range(2):
        with pytest.raises(Inconclusive, match=f"cannot tell whether GPU 1 was shared: .*{message}"):
            GPU.other_processes()
    assert len(commands) == 2, "each measurement asks again, even if the driver hung the last time"


def test_other_processes_are_described(driver: Callable[..., list[list[str]]]) -> None:
    driver(0, listed(4711, 4712))
    assert GPU.other_processes() == "GPU 1 was shared: 2 compute processes ([4711, 4712])"


def test_a_single_process_that_is_not_of_this_container_is_another(driver: Callable[..., list[list[str]]]) -> None:
    """Seen from outside: this process may have left the list, and the other is still no reason to call it quiet."""
    driver(0, listed(4711, foreign_processes=[4711]))
    assert GPU.other_processes() == "GPU 1 was shared: 1 compute processes ([4711])"
    driver(0, listed(4711, foreign_processes=[]))
    assert GPU.other_processes() is None


def test_a_cpu_asks_no_driver(driver: Callable[..., list[list[str]]]) -> None:
    commands = driver(1)
    assert CPU.other_processes() is None
    assert not commands


def test_other_processes_are_those_beside_the_processes_of_this_run(driver: Callable[..., list[list[str]]]) -> None:
    driver(0, listed(4711, 4712))
    assert GPU.other_processes(2) is None
    assert GPU.other_processes() == "GPU 1 was shared: 2 compute processes ([4711, 4712])"
    driver(0, listed(4711, foreign_processes=[4711]))
    assert GPU.other_processes(2) == "GPU 1 was shared: 1 compute processes ([4711])"


@pytest.mark.parametrize(
    ("initialised", "context", "is_open"), [(False, True, False), (True, False, False), (True, True, True)]
)
def test_a_gpu_is_open_here_where_this_process_has_a_context_on_it(
    monkeypatch: pytest.MonkeyPatch, initialised: bool, context: bool, is_open: bool
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialised)
    monkeypatch.setattr(torch._C, "_cuda_hasPrimaryContext", lambda index: context, raising=False)
    assert GPU.is_open_here() == is_open
    assert not CPU.is_open_here()
