"""Settings of engine and toolkit: what is invalid, or names what does not exist, is a fault; what is absent is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.container.engine_kind import DOCKER, PODMAN, SNAP
from dgxcert.probes.host.engine import settings
from dgxcert.probes.host.engine.settings import Daemon, Toolkit

PATH = "/etc/docker/daemon.json"
CONFIG = "/etc/nvidia-container-runtime/config.toml"

SHIPPED = """
#accept-nvidia-visible-devices-as-volume-mounts = false
disable-require = false
supported-driver-capabilities = "compat32,compute,display,graphics,ngx,utility,video"

[nvidia-container-cli]
#debug = "/var/log/nvidia-container-toolkit.log"
environment = []
ldconfig = "@/usr/bin/true"
load-kmods = true
#no-cgroups = false

[nvidia-container-runtime]
log-level = "info"
mode = "auto"
runtimes = ["runc", "crun"]
"""


def test_settings_as_they_ship_are_well() -> None:
    assert settings.parse_toolkit(SHIPPED, CONFIG, "1.19.0") == Toolkit("1.19.0", ldconfig="@/usr/bin/true")
    assert settings.parse_toolkit(None, CONFIG, "") == Toolkit("")
    assert settings.parse_daemon(None, PATH) == Daemon(PATH)
    assert settings.parse_daemon("{}", PATH).faults == ()


@pytest.mark.parametrize(
    ("change", "description"),
    [
        (('mode = "auto"', 'mode = "cdi"'), "NVIDIA Container Toolkit 1.19.0, mode cdi"),
        (("#no-cgroups = false", "no-cgroups = true"), "NVIDIA Container Toolkit 1.19.0, no-cgroups"),
        (("disable-require = false", "disable-require = true"), "NVIDIA Container Toolkit 1.19.0, disable-require"),
    ],
)
def test_what_differs_from_the_defaults_is_recorded_and_no_fault(change: tuple[str, str], description: str) -> None:
    toolkit = settings.parse_toolkit(SHIPPED.replace(*change), CONFIG, "1.19.0")
    assert (toolkit.description, toolkit.faults) == (description, ())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('mode = "auto"', 'mode = "cid"'), f"{CONFIG} names a mode that does not exist: cid"),
        (("@/usr/bin/true", "@/sbin/ldconfig.nowhere"), f"{CONFIG} names /sbin/ldconfig.nowhere as ldconfig"),
        (('mode = "auto"', "mode = auto"), f"{CONFIG} is no valid TOML"),
    ],
)
def test_a_toolkit_that_cannot_start_containers_has_a_fault(change: tuple[str, str], fault: str) -> None:
    (found,) = settings.parse_toolkit(SHIPPED.replace(*change), CONFIG, "1.19.0").faults
    assert found.startswith(fault)


def test_an_ldconfig_of_the_container_is_not_looked_for_on_the_machine() -> None:
    assert settings.parse_toolkit(SHIPPED.replace("@/usr/bin/true", "/sbin/ldconfig.x"), CONFIG, "1").faults == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"default-runtime": "nvidia"}', "names the default runtime nvidia and does not define it"),
        ('{"runtimes": {"nvidia": {"path": "/nowhere/runtime"}}}', "defines the runtime nvidia by /nowhere/runtime"),
        ('{"runtimes": {"nvidia": {"path": "no-such-program"}}}', "by no-such-program, which does not exist"),
        ('{"runtimes": {}, }', "is no valid JSON"),
        ("", "is no valid JSON"),
        ("[]", "holds no settings"),
    ],
)
def test_an_engine_that_would_not_start_again_has_a_fault(text: str, fault: str) -> None:
    (found,) = settings.parse_daemon(text, PATH).faults
    assert fault in found
    assert found.startswith(PATH)


@pytest.mark.parametrize(
    "text",
    [
        '{"default-runtime": "runc"}',
        '{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/bin/sh", "args": []}}}',
        '{"runtimes": {"nvidia": {"path": "sh"}, "kata": {"runtimeType": "io.containerd.kata.v2"}}}',
        '{"runtimes": null, "features": null}',
        '{"features": {"cdi": true}, "exec-opts": ["native.cgroupdriver=cgroupfs"]}',
    ],
)
def test_settings_of_healthy_machines_have_no_fault(text: str) -> None:
    assert settings.parse_daemon(text, PATH).faults == ()


def test_features_and_runtimes_are_read() -> None:
    daemon = settings.parse_daemon('{"features": {"cdi": false}, "runtimes": {"nvidia": {"path": "sh"}}}', PATH)
    assert (daemon.cdi, daemon.runtimes) == (False, ("nvidia",))


def test_files_are_those_of_the_kind_of_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "version", lambda: "1.19.0")
    (tmp_path / "daemon.json").write_text('{"default-runtime": "x"}', encoding="utf-8")
    (tmp_path / "config.toml").write_text('[nvidia-container-runtime]\nmode = "cdi"\n', encoding="utf-8")
    kind = replace(DOCKER, config=str(tmp_path / "daemon.json"), toolkit_config=str(tmp_path / "config.toml"))
    assert len(settings.read_daemon(kind).faults) == 1
    assert settings.read_toolkit(kind).mode == "cdi"
    assert settings.read_daemon(PODMAN) == Daemon(PODMAN.config)
    assert settings.read_daemon(SNAP).faults == ()


@pytest.mark.parametrize(
    ("text", "version"), [("NVIDIA Container Toolkit CLI version 1.20.0-rc.1\n", "1.20.0-rc.1"), ("", "")]
)
def test_the_version_is_that_of_nvidia_ctk(text: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.shutil, "which", lambda *_, **__: "/usr/bin/nvidia-ctk")
    monkeypatch.setattr(command, "run", lambda args, **_: command.Completed(tuple(args), 0, text, ""))
    assert settings.version() == version
    monkeypatch.setattr(settings.shutil, "which", lambda *_, **__: None)
    assert settings.version() == ""
