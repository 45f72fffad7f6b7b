"""Faults of settings and specifications are found; a specification that the engine does not use is none."""

from dataclasses import replace

import pytest
from suites.host_readings import engine

from dgxcert import command
from dgxcert.container.engine_kind import PODMAN, SNAP
from dgxcert.probes.host import kernel_module
from dgxcert.probes.host.engine import gpu_access
from dgxcert.probes.host.engine.cdi import GPU, Specification
from dgxcert.probes.host.engine.settings import Daemon, Toolkit

SPARK = engine()
TOOLKIT = Toolkit("1.19.0")
STALE = Specification("/var/run/cdi/nvidia.yaml", GPU, ("all",), ("/dev/nvidia1",), "580.95.05")


def test_valid_settings_are_described() -> None:
    found = gpu_access.of_settings(SPARK, Daemon("/etc/docker/daemon.json", "nvidia", ("nvidia",), cdi=True), TOOLKIT)
    assert found.faults == ()
    assert "default runtime nvidia, features.cdi true; NVIDIA Container Toolkit 1.19.0" in found.source


def test_a_fault_is_the_source_and_the_steps_are_of_the_kind() -> None:
    broken = Daemon("/etc/docker/daemon.json", faults=("it is no valid JSON",))
    found = gpu_access.of_settings(replace(SPARK, kind=SNAP), broken, TOOLKIT)
    assert (found.faults, found.source) == (("it is no valid JSON",), "it is no valid JSON")
    assert SNAP.config in " ".join(found.remedy)


@pytest.mark.parametrize(
    ("changed", "toolkit"),
    [
        ({}, TOOLKIT),
        ({"kind": PODMAN, "version": "5.4.2", "gpu_ways": ()}, TOOLKIT),
        ({"version": "27.5.1", "gpu_ways": ("runtime nvidia",)}, replace(TOOLKIT, mode="cdi")),
    ],
)
def test_a_stale_specification_that_is_used_is_a_fault(changed: dict[str, object], toolkit: Toolkit) -> None:
    found = gpu_access.of_specifications(replace(SPARK, **changed), toolkit, [STALE], "580.126.09", "enabled, active")  # type: ignore[arg-type]
    assert len(found.faults) == 2
    assert "/dev/nvidia1" in found.source
    assert "nvidia-cdi-refresh.path: enabled, active" in found.source
    assert "--output=/var/run/cdi/nvidia.yaml" in " ".join(found.remedy)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": "28.3.3"},
        {"version": "27.5.1", "gpu_ways": ("runtime nvidia",)},
        {"version": "29.1.0", "gpu_ways": ("runtime nvidia",)},
        {"version": "unknown"},
    ],
)
def test_a_stale_specification_that_is_not_used_is_named_and_no_fault(changed: dict[str, object]) -> None:
    found = gpu_access.of_specifications(replace(SPARK, **changed), TOOLKIT, [STALE], "580.126.09", "")  # type: ignore[arg-type]
    assert found.faults == ()
    assert "not used, and stale: /var/run/cdi/nvidia.yaml names /dev/nvidia1" in found.source


def test_the_loaded_driver_is_that_of_the_kernel_module(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(kernel_module, "VERSION", tmp_path / "version")
    assert gpu_access.loaded_driver() == ""
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.126.09  x\n")
    assert gpu_access.loaded_driver() == "580.126.09"


@pytest.mark.parametrize(
    ("code", "output", "state"),
    [(0, "active\nenabled\n", "active, enabled"), (0, "inactive\n\n", "not installed"), (1, "", "not installed")],
)
def test_the_unit_that_renews_specifications_is_described(
    monkeypatch: pytest.MonkeyPatch, code: int, output: str, state: str
) -> None:
    monkeypatch.setattr(command, "run", lambda args, **_: command.Completed(tuple(args), code, output, ""))
    assert gpu_access.refresh() == state


def test_a_machine_without_systemd_has_no_such_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> command.Completed:
        raise FileNotFoundError(2, "No such file or directory", "systemctl")

    monkeypatch.setattr(command, "run", absent)
    assert gpu_access.refresh() == "no systemd"
