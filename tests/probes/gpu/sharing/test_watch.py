"""The watch tells a container's own processes from others by their control groups, and looks until its parent ends."""

import io
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dgxcert import command
from dgxcert.container import engine
from dgxcert.probes.gpu.sharing import outside_view, watch
from dgxcert.probes.gpu.sharing.watch import Membership

ID = "4f1c" * 16
GROUPS = {
    "cgroup v1": f"12:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n",
    "cgroup v2": f"0::/system.slice/docker-{ID}.scope\n",
    "podman": f"0::/machine.slice/libpod-{ID}.scope/container\n",
}


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(watch, "PROC", tmp_path)
    monkeypatch.setattr(watch, "has_ended", lambda pid: False)
    return tmp_path


def process(proc: Path, pid: int, groups: str) -> int:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cgroup").write_text(groups)
    return pid


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_a_process_whose_group_bears_the_containers_id_is_its_own(proc: Path, groups: str) -> None:
    own = process(proc, 41, groups)
    other = process(proc, 42, "0::/user.slice/user-1000.slice\n")
    of_another = process(proc, 43, groups.replace(ID, "b" * 64))
    assert Membership(lambda: ID).foreign([own, other, of_another, 99]) == [other, of_another, 99]


def test_without_the_containers_id_every_process_is_foreign_and_the_engine_is_asked_again(proc: Path) -> None:
    own = process(proc, 41, GROUPS["cgroup v2"])
    answers = iter(["", ID])
    members = Membership(lambda: next(answers))
    assert members.foreign([]) == []
    assert members.foreign([own]) == [own]
    assert members.foreign([own]) == members.foreign([own]) == []


def test_a_process_that_ended_since_it_was_listed_disturbs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    short = subprocess.Popen(["true"])
    short.wait()
    monkeypatch.setattr(outside_view, "OF_THE_HOST", os.readlink("/proc/self/ns/pid"))
    assert Membership(lambda: ID).foreign([short.pid, os.getpid()]) == [os.getpid()]


def test_in_a_pid_namespace_nothing_tells_that_a_process_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    short = subprocess.Popen(["true"])
    short.wait()
    monkeypatch.setattr(outside_view, "OF_THE_HOST", "pid:[1]")
    assert Membership(lambda: ID).foreign([short.pid]) == [short.pid]


def test_a_container_that_the_engine_does_not_know_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "run", lambda *_: command.Completed((), 1, "\n", "No such container: dgxcert-1-1"))
    assert watch.container_id("dgxcert-1-1") == ""


class Driver:
    """NVML of one GPU on which processes compute and draw."""

    NVMLError = pynvml.NVMLError
    NVMLError_NotFound = pynvml.NVMLError_NotFound
    NVMLError_InsufficientSize = pynvml.NVMLError_InsufficientSize

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "card",
            "nvmlDeviceGetUUID": "GPU-8d93",
            "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=41), SimpleNamespace(pid=42)],
            "nvmlDeviceGetGraphicsRunningProcesses": [SimpleNamespace(pid=5)],
        }

        def call(*_: object) -> Any:
            if name not in answers:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return answers[name]

        return call


def test_each_look_is_a_line_that_the_container_reads(
    proc: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process(proc, 41, GROUPS["cgroup v2"])
    written = io.StringIO()
    monkeypatch.setattr(os, "getppid", lambda: 1000 if written.getvalue().count("\n") < 2 else 1)
    monkeypatch.setattr(watch, "EVERY_S", 0.0)
    watch.watch(Driver(), Membership(lambda: ID), written, parent=1000)
    assert written.getvalue().count("\n") == 2
    look = outside_view.parse(written.getvalue())
    assert look is not None
    assert look["gpus"] == {
        "GPU-8d93": {
            "answered": {"compute_processes": [41, 42], "graphics_processes": [5], "foreign_processes": [42]},
            "refused": {
                "process_utilization": {"code": 3, "says": "Not Supported"},
            },
        }
    }
    assert json.loads(written.getvalue().splitlines()[0])["t"] <= look["t"]


def test_a_process_of_another_lane_is_no_stranger_and_one_of_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {1: "/docker/mine", 2: "/docker/other-lane", 3: "/user.slice"}
    monkeypatch.setattr(watch, "_groups", lambda pid: groups[pid])
    monkeypatch.setattr(watch, "has_ended", lambda _pid: False)
    members = watch.Membership(lambda: "mine", lambda: ["mine", "other-lane"])
    assert members.without_lanes([1, 2, 3]) == [1, 3]
    assert members.foreign([1, 3]) == [3]
    unknown = watch.Membership(lambda: "", lambda: ["mine", "other-lane"])
    assert unknown.without_lanes([1, 2]) == [1, 2], "which of them is its own is not known yet"
