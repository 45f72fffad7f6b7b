"""Settings: the engine's daemon.json and the toolkit's config.toml are valid, and what they name exists."""

import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.container.engine_kind import DAEMON_PATH, SNAP, EngineKind

VERSION_S = 5.0
BUILT_IN_RUNTIMES = {"runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux", "crun"}
MODES = {"auto", "legacy", "csv", "cdi", "jit-cdi"}
"""nvidia-container-runtime.mode (NVIDIA/nvidia-container-toolkit, internal/info/auto.go)."""


@dataclass(frozen=True)
class Toolkit:
    """The NVIDIA Container Toolkit: its version, and its settings where it has any."""

    version: str
    """E.g. `1.19.0`; empty where it is not installed."""
    mode: str = "auto"
    no_cgroups: bool = False
    disable_require: bool = False
    ldconfig: str = ""
    debug: tuple[str, ...] = ()
    """Files that it logs to."""
    faults: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Version and what differs from its defaults, for evidence.

        >>> Toolkit("1.19.0", mode="cdi", no_cgroups=True).description
        'NVIDIA Container Toolkit 1.19.0, mode cdi, no-cgroups'
        """
        if not self.version:
            return "no NVIDIA Container Toolkit"
        switched = [f"mode {self.mode}"] if self.mode != "auto" else []
        switched += ["no-cgroups"] if self.no_cgroups else []
        switched += ["disable-require"] if self.disable_require else []
        return ", ".join((f"NVIDIA Container Toolkit {self.version}", *switched))


@dataclass(frozen=True)
class Daemon:
    """The engine's own settings that decide how containers get GPUs."""

    path: str
    default_runtime: str = ""
    runtimes: tuple[str, ...] = ()
    cdi: bool | None = None
    """`features.cdi`; None where it is not set."""
    faults: tuple[str, ...] = ()


def version() -> str:
    """The toolkit's version by `nvidia-ctk --version`; empty where it is not installed or does not answer."""
    program = shutil.which("nvidia-ctk", path=DAEMON_PATH)
    return parse_version(command.run([program, "--version"], timeout_s=VERSION_S).stdout) if program else ""


def parse_version(text: str) -> str:
    r"""The version from what `nvidia-ctk --version` prints.

    >>> parse_version("NVIDIA Container Toolkit CLI version 1.19.0\ncommit: 7ec8ed2\n")
    '1.19.0'
    """
    found = re.search(r"version:? v?(\d+\.\d+\.\d+[\w.~-]*)", text)
    return found.group(1) if found else ""


def read_toolkit(kind: EngineKind) -> Toolkit:
    """The toolkit that this engine's containers are started with."""
    toolkit = parse_toolkit(_text(kind.toolkit_config), kind.toolkit_config, version())
    # A snap's settings name programs of its own root.
    return replace(toolkit, faults=()) if kind is SNAP else toolkit


def parse_toolkit(text: str | None, path: str, version: str) -> Toolkit:
    """The toolkit's settings from config.toml; None stands for a file that is absent or not readable.

    >>> parse_toolkit('[nvidia-container-runtime]\\nmode = "cdi"\\n', "/etc/config.toml", "1.19.0").mode
    'cdi'
    >>> parse_toolkit("mode = cdi", "/etc/config.toml", "1.19.0").faults
    ('/etc/config.toml is no valid TOML: Invalid value (at line 1, column 8)',)
    """
    try:
        settings = tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as error:
        return Toolkit(version, faults=(f"{path} is no valid TOML: {error}",))
    runtime, cli = _table(settings, "nvidia-container-runtime"), _table(settings, "nvidia-container-cli")
    mode = str(runtime.get("mode") or "auto")
    ldconfig = str(cli.get("ldconfig") or "")
    return Toolkit(
        version,
        mode,
        no_cgroups=cli.get("no-cgroups") is True,
        disable_require=settings.get("disable-require") is True,
        ldconfig=ldconfig,
        debug=tuple(str(table["debug"]) for table in (runtime, cli) if table.get("debug")),
        faults=tuple(_faults_of_toolkit(path, mode, ldconfig)),
    )


def _faults_of_toolkit(path: str, mode: str, ldconfig: str) -> Iterator[str]:
    if mode not in MODES:
        yield f"{path} names a mode that does not exist: {mode}"
    # With @ the program is the machine's, without it the container's.
    program = ldconfig.removeprefix("@")
    if ldconfig.startswith("@") and not os.path.exists(program):
        yield f"{path} names {program} as ldconfig, which does not exist"


def read_daemon(kind: EngineKind) -> Daemon:
    """The settings of an engine of this kind; of one without such a file, those that it has by default."""
    path = os.path.expanduser(kind.config)
    daemon = parse_daemon(_text(path), path) if path.endswith(".json") else Daemon(path)
    return replace(daemon, faults=()) if kind is SNAP and daemon.runtimes else daemon


def parse_daemon(text: str | None, path: str) -> Daemon:
    """The engine's settings from daemon.json; None stands for a file that is absent or not readable.

    >>> parse_daemon('{"default-runtime": "nvidia"}', "/etc/docker/daemon.json").faults
    ('/etc/docker/daemon.json names the default runtime nvidia and does not define it',)
    """
    if text is None:
        return Daemon(path)
    try:
        settings = json.loads(text)
    except ValueError as error:
        return Daemon(path, faults=(f"{path} is no valid JSON: {error}",))
    if not isinstance(settings, dict):
        return Daemon(path, faults=(f"{path} holds no settings",))
    runtimes = _table(settings, "runtimes")
    default = str(settings.get("default-runtime") or "")
    cdi = _table(settings, "features").get("cdi")
    return Daemon(
        path,
        default,
        tuple(runtimes),
        cdi if isinstance(cdi, bool) else None,
        tuple(_faults_of_daemon(path, default, runtimes)),
    )


def _faults_of_daemon(path: str, default: str, runtimes: dict[str, Any]) -> Iterator[str]:
    if default and default not in {*runtimes, *BUILT_IN_RUNTIMES}:
        yield f"{path} names the default runtime {default} and does not define it"
    for name, runtime in runtimes.items():
        program = str(runtime.get("path", "")) if isinstance(runtime, dict) else ""
        if program and not _exists(program):
            yield f"{path} defines the runtime {name} by {program}, which does not exist"


def _exists(program: str) -> bool:
    """Whether a program exists, also one that this user may not run."""
    if program.startswith("/"):
        return os.path.exists(program)
    return shutil.which(program, path=f"{DAEMON_PATH}:/sbin:/bin:{os.environ.get('PATH', '')}") is not None


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, dict) else {}


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:  # absent, or only for root: nothing is known, and nothing is wrong
        return None
