"""The kinds of container engine: how each is started, where its settings and its log are, and how to tell them apart.

A remedy names the service and the files that exist where it is typed: a snap has no unit `docker`, a rootless engine
none of the system's. Steps are templates: `Restart it: $restart` becomes the command of the kind.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

DAEMON_PATH = "/usr/bin:/usr/sbin:/usr/local/bin"
"""Where packages install dockerd and the NVIDIA Container Toolkit. A user's PATH often lacks /usr/sbin."""

SNAP_FOLDER = Path("/snap/docker/current")
"""The installed revision of the snap `docker`."""


@dataclass(frozen=True)
class EngineKind:
    """One kind of engine, and the commands and files that a remedy for it names."""

    name: str
    start: str
    restart: str
    status: str
    log: str
    show: str
    """The command that prints its unit of systemd."""
    edit: str
    config: str
    """The engine's own settings."""
    toolkit_config: str
    """The settings of the NVIDIA Container Toolkit that this engine's containers are started with."""
    configure: str
    """The command that lets the engine start containers with GPUs."""

    def steps(self, templates: Iterable[str], found: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """The steps of a remedy for this kind of engine; `found` holds what a message names.

        >>> SNAP.steps(("Restart it: $restart", "Look at $file."), {"file": "/etc/cdi/nvidia.yaml"})
        ('Restart it: sudo snap restart docker', 'Look at /etc/cdi/nvidia.yaml.')
        """
        words = {**asdict(self), **(found or {})}
        return tuple(Template(template).safe_substitute(words) for template in templates)


DOCKER = EngineKind(
    name="Docker Engine",
    start="sudo systemctl start docker",
    restart="sudo systemctl restart docker",
    status="systemctl status docker",
    log="journalctl -u docker | tail -50",
    show="systemctl cat docker",
    edit="sudo systemctl edit docker",
    config="/etc/docker/daemon.json",
    toolkit_config="/etc/nvidia-container-runtime/config.toml",
    configure="sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
)
SNAP = EngineKind(  # https://github.com/canonical/docker-snap, README.md
    name="Docker from a snap",
    start="sudo snap start docker",
    restart="sudo snap restart docker",
    status="snap services docker",
    log="sudo snap logs -n 50 docker",
    show="systemctl cat snap.docker.dockerd",
    edit="sudo systemctl edit snap.docker.dockerd",
    config="/var/snap/docker/current/config/daemon.json",
    toolkit_config="/var/snap/docker/current/etc/nvidia-container-runtime/config.toml",
    configure="sudo snap restart docker.nvidia-container-toolkit && sudo snap restart docker.dockerd",
)
PODMAN = EngineKind(
    name="Podman",
    start="sudo systemctl start podman.socket",
    restart="sudo systemctl restart podman.socket",
    status="systemctl status podman.socket podman.service",
    log="journalctl -u podman | tail -50",
    show="systemctl cat podman",
    edit="sudo systemctl edit podman",
    config="/etc/containers/containers.conf",
    toolkit_config="/etc/nvidia-container-runtime/config.toml",
    configure="sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml",  # Podman knows GPUs by CDI alone
)
ROOTLESS = EngineKind(  # https://docs.docker.com/engine/security/rootless
    name="rootless Docker",
    start="systemctl --user start docker",
    restart="systemctl --user restart docker",
    status="systemctl --user status docker",
    log="journalctl --user -u docker | tail -50",
    show="systemctl --user cat docker",
    edit="systemctl --user edit docker",
    config="~/.config/docker/daemon.json",
    toolkit_config="/etc/nvidia-container-runtime/config.toml",
    configure="nvidia-ctk runtime configure --runtime=docker --config=$HOME/.config/docker/daemon.json && "
    "systemctl --user restart docker",
)
DESKTOP = EngineKind(  # https://docs.docker.com/desktop/setup/install/linux
    name="Docker Desktop",
    start="systemctl --user start docker-desktop",
    restart="systemctl --user restart docker-desktop",
    status="systemctl --user status docker-desktop",
    log="journalctl --user -u docker-desktop | tail -50",
    show="systemctl --user cat docker-desktop",
    edit="systemctl --user edit docker-desktop",
    config="~/.docker/daemon.json",
    toolkit_config="/etc/nvidia-container-runtime/config.toml",
    configure="docker context use default",  # its virtual machine has no GPU on Linux: the system's engine has them
)
KINDS = {kind.name: kind for kind in (DOCKER, SNAP, PODMAN, ROOTLESS, DESKTOP)}

BY_ENDPOINT = {
    "/.docker/desktop/": DESKTOP,
    "/.docker/run/": DESKTOP,
    "/podman/": PODMAN,
    "/run/user/": ROOTLESS,
}
"""Part of a socket's path: the engine that listens there. Podman's own for users is below /run/user as well."""


def of_answer(version: Mapping[str, Any], info: Mapping[str, Any]) -> EngineKind:
    """The kind of an engine that answers, from the bodies of `/version` and `/info`.

    >>> of_answer({"Components": [{"Name": "Podman Engine", "Version": "5.4.2"}]}, {}).name
    'Podman'
    >>> of_answer({}, {"DockerRootDir": "/var/snap/docker/common/var-lib-docker"}).name
    'Docker from a snap'
    """
    components = [str(each.get("Name", "")) for each in version.get("Components") or ()]
    if any("podman" in name.lower() for name in components) or "BuildahVersion" in info:
        return PODMAN
    if "docker desktop" in str(info.get("OperatingSystem", "")).lower():
        return DESKTOP
    if str(info.get("DockerRootDir", "")).startswith("/var/snap/"):
        return SNAP
    if any("name=rootless" in str(option) for option in info.get("SecurityOptions") or ()):
        return ROOTLESS
    return DOCKER


def installed(endpoint: str) -> EngineKind:
    """The kind of an engine that does not answer, from its endpoint and the programs of this machine.

    >>> installed("unix:///run/user/1000/docker.sock").name
    'rootless Docker'
    """
    path = endpoint.partition("://")[2]
    # The package podman-docker links /run/docker.sock to Podman's socket.
    for spelling in (path, os.path.realpath(path)):
        for part, kind in BY_ENDPOINT.items():
            if part in spelling:
                return kind
    return next((kind for kind in (DOCKER, SNAP, PODMAN) if is_present(kind)), DOCKER)


def is_present(kind: EngineKind) -> bool:
    """Whether an engine of this kind is installed for the whole system.

    >>> is_present(ROOTLESS)
    False
    """
    if kind is SNAP:
        return SNAP_FOLDER.exists()
    program = {DOCKER.name: "dockerd", PODMAN.name: "podman"}.get(kind.name)
    return program is not None and shutil.which(program, path=DAEMON_PATH) is not None
