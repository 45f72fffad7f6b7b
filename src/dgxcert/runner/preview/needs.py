"""What a run needs of the machine: GPUs, disk, an engine, hosts on the network, and no rights of root."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from dgxcert.container import engine
from dgxcert.machine.identity import Machine
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan.options import Options
from dgxcert.profiles.profile import Profile
from dgxcert.runner.preview.downloads import HERE

HUB = "https://huggingface.co"
GIB = 1024**3


def read(
    options: Options, profile: Profile, machine: Machine, results: Path, downloads: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Each need with what is there of it."""
    needs = [("GPUs", _gpus(profile, machine)), ("disk", _disk(profile, results))]
    if options.runtime is Runtime.DOCKER:
        needs.append(("engine", _engine()))
    needs.append(("network", _hosts(downloads)))
    needs.append(("root", "not needed: nothing is installed or changed on this machine"))
    return tuple(needs)


def _gpus(profile: Profile, machine: Machine) -> str:
    if not profile.uses_gpu:
        return "none"
    found = ", ".join(gpu.product for gpu in machine.gpus) or "none"
    return f"{profile.gpu.expected} as profile {profile.name} says; found: {found}"


def _disk(profile: Profile, results: Path) -> str:
    place = results.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    limit = profile.limits.get("disk.free")
    wanted = f"{limit.min:g} GiB free" if limit and limit.min else "no amount that the profile states"
    return f"{wanted}; at {results} there are {shutil.disk_usage(place).free / GIB:.0f} GiB"


def _engine() -> str:
    try:
        return f"{engine.docker()} and {' '.join(engine.compose())}, at {engine.endpoint() or 'an unknown address'}"
    except CannotStart as error:
        return error.problem


def _hosts(downloads: tuple[tuple[str, str], ...]) -> str:
    """The hosts of what is downloaded; a mirror of packages is pip's own setting.

    >>> _hosts((("base image", "nvcr.io/nvidia/pytorch:25.11-py3: not here; the registry knows its size"),))
    'nvcr.io'
    >>> _hosts((("nothing", "no image is built"),))
    'none'
    """
    hosts = []
    for word, what in downloads:
        if word == "base image" and not what.endswith(HERE):
            hosts.append(_registry(what.partition(": ")[0]))
        elif word == "packages":
            hosts.append("the package index of pip's settings")
        elif word == "checkpoint":
            hosts.append(urlsplit(os.environ.get("HF_ENDPOINT") or HUB).hostname or HUB)
    return ", ".join(dict.fromkeys(hosts)) or "none"


def _registry(image: str) -> str:
    """The host that an image is pulled from.

    >>> _registry("nvcr.io/nvidia/pytorch:25.11-py3"), _registry("ubuntu:24.04")
    ('nvcr.io', 'docker.io')
    """
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first) else "docker.io"
