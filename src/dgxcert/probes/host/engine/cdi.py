"""CDI specifications: which files there are, and whether what they name exists and is of the loaded driver.

A specification is written once and lists device nodes and driver files by path. After an update of the driver, or of
the GPUs, an old one names what is gone: containers do not start, or start with the libraries of another driver.
The engine reads every .json and .yaml file of its folders; of two files that define one device, that in the later
folder counts, and in one folder neither does (cncf-tags/container-device-interface, pkg/cdi/cache.go).
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""The default folders of engines and of the toolkit, in the order of their priority."""
GPU = "nvidia.com/gpu"
DRIVER_LIBRARY = re.compile(r"/lib(?:cuda|nvidia-ml)\.so\.(?P<version>\d+\.\d+(?:\.\d+)?)$")
"""Libraries that carry the driver's version; others have their own."""


@dataclass(frozen=True)
class Specification:
    """One file: the devices that it defines, what it names and is missing, and the driver that it was made for."""

    path: str
    kind: str
    devices: tuple[str, ...]
    missing: tuple[str, ...]
    driver: str
    """Version in the names of the driver's libraries; empty where it names none."""
    problem: str = ""
    """Why the file cannot be used."""

    def faults(self, loaded: str) -> Iterator[str]:
        """What is wrong with it on a machine whose driver has the version `loaded` (empty: unknown).

        >>> list(Specification("/etc/cdi/n.yaml", GPU, ("all",), ("/dev/nvidia1",), "").faults("580.126.09"))
        ['/etc/cdi/n.yaml names /dev/nvidia1, which does not exist']
        >>> list(Specification("/etc/cdi/n.yaml", GPU, ("all",), (), "580.95.05").faults("580.126.09"))
        ['/etc/cdi/n.yaml was made for driver 580.95.05, and 580.126.09 is loaded']
        """
        if self.problem:
            yield f"{self.path}: {self.problem}"
        if self.missing:
            more = f" and {len(self.missing) - 1} more" if len(self.missing) > 1 else ""
            yield f"{self.path} names {self.missing[0]}{more}, which does not exist"
        if self.driver and loaded and self.driver != loaded:
            yield f"{self.path} was made for driver {self.driver}, and {loaded} is loaded"


def read(folders: Iterable[str] = FOLDERS) -> list[Specification]:
    """Every specification that concerns NVIDIA's GPUs, or may, since it cannot be read; in the order of priority."""
    found = []
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:  # there is none, which DOCKER-GPU judges
            continue
        for name in names:
            if name.endswith((".json", ".yaml")):
                specification = _read(Path(folder) / name)
                if specification.problem or specification.kind == GPU:
                    found.append(specification)
    return found


def _read(path: Path) -> Specification:
    try:
        return parse(str(path), path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        # Only root may read what older toolkits wrote; the engine is root, so that is no fault.
        return Specification(str(path), "", (), (), "", "" if isinstance(error, PermissionError) else str(error))


def parse(path: str, text: str) -> Specification:
    """The specification in a text of JSON or YAML.

    >>> parse("/etc/cdi/a.json", '{"kind": "nvidia.com/gpu", "devices": [{"name": "all"}]}').devices
    ('all',)
    >>> parse("/etc/cdi/a.yaml", "").problem
    'it is empty'
    """
    try:
        loaded = json.loads(text) if path.endswith(".json") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        return Specification(path, "", (), (), "", f"it cannot be read: {' '.join(str(error).split())[:200]}")
    if not isinstance(loaded, dict):
        return Specification(path, "", (), (), "", "it is empty" if loaded is None else "it holds no specification")
    named = list(_named(loaded))
    versions = [match["version"] for each in named if (match := DRIVER_LIBRARY.search(each))]
    devices = [str(each.get("name", "")) for each in _dicts(loaded.get("devices"))]
    missing = tuple(dict.fromkeys(each for each in named if _is_gone(each)))
    return Specification(path, str(loaded.get("kind", "")), tuple(devices), missing, versions[0] if versions else "")


def _named(specification: dict[str, Any]) -> Iterator[str]:
    """The paths of the machine that a specification names: devices and mounts, for all devices and for single ones."""
    for owner in (specification, *_dicts(specification.get("devices"))):
        edits = owner.get("containerEdits")
        if isinstance(edits, dict):
            for node in _dicts(edits.get("deviceNodes")):
                yield str(node.get("hostPath") or node.get("path") or "")
            for mount in _dicts(edits.get("mounts")):
                yield str(mount.get("hostPath") or "")


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_gone(path: str) -> bool:
    """Whether a path does not exist; one that this user may not look at may exist."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return path.startswith("/")
    except OSError:
        return False
    return False


def in_use(specifications: list[Specification], device: str = "all") -> list[Specification]:
    """The files from which the engine takes a device: that in the last folder, or several where they contradict.

    >>> old, new = (Specification(f"/{name}/n.yaml", GPU, ("all",), (), "") for name in ("etc/cdi", "run/cdi"))
    >>> [each.path for each in in_use([old, new])]
    ['/run/cdi/n.yaml']
    """
    defining = [each for each in specifications if device in each.devices]
    if not defining:
        return [each for each in specifications if each.devices]
    folder = os.path.dirname(defining[-1].path)
    return [each for each in defining if os.path.dirname(each.path) == folder]


def renewal(found: list[str]) -> tuple[str, ...]:
    """How to mend faults of specifications: templates, with the files that they name.

    >>> renewal(["/etc/cdi/nvidia.yaml names /dev/nvidia1, which does not exist"])[1]
    'Generate it again: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml'
    """
    paths = list(dict.fromkeys(re.findall(r"(?:^| and )(/\S+\.(?:json|yaml))(?=[: ])", " and ".join(found))))
    twice = (
        [f"Rename one of them, so that it is no specification: sudo mv {paths[0]} {paths[0]}.old"]
        if any("both define" in each for each in found)
        else []
    )
    return (
        "List the specifications and their devices: ls -l /etc/cdi /var/run/cdi; nvidia-ctk cdi list",
        *twice,
        *(f"Generate it again: sudo nvidia-ctk cdi generate --output={path}" for path in paths),
        "Let it follow every update of driver and toolkit: "
        "sudo systemctl enable --now nvidia-cdi-refresh.path nvidia-cdi-refresh.service",
        "Let the engine read it: $restart",
    )


def faults(specifications: list[Specification], loaded: str) -> list[str]:
    """What is wrong with the specifications that containers get their GPUs by.

    >>> one, two = (Specification(f"/etc/cdi/{name}.yaml", GPU, ("all",), (), "") for name in ("a", "b"))
    >>> faults([one, two], loaded="580.126.09")
    ['/etc/cdi/a.yaml and /etc/cdi/b.yaml both define nvidia.com/gpu=all, so that neither counts']
    """
    used = in_use(specifications)
    defining = [each for each in used if "all" in each.devices]
    found = [fault for each in used for fault in each.faults(loaded)]
    found += [fault for each in specifications if each.problem for fault in each.faults("")]
    if len(defining) > 1:
        names = " and ".join(each.path for each in defining)
        found.insert(0, f"{names} both define {GPU}=all, so that neither counts")
    return list(dict.fromkeys(found))
