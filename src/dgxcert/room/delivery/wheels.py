"""Wheels for the hosts of a room: fetched once by the controller, for each Python and processor that hosts have.

A host needs no Internet, no pip and no `ensurepip`. Every file is one that the lock pins, which the controller's pip
compares here and the host's once more there.
"""

import hashlib
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dgxcert import command
from dgxcert.outcome import CannotStart
from dgxcert.room.delivery import archive
from dgxcert.room.delivery.archive import Archive

LOCK = "requirements.lock"
FETCH_S = 1800.0
GLIBC = range(17, 40)
"""Minor versions of glibc 2 that wheels may need: hosts with an older one refuse the file."""
ENTRY = re.compile(r"^[A-Za-z0-9][^\n]*(?:\n[ \t]+--hash=[^\n]*)*", re.MULTILINE)


def key(lines: Iterable[str], python: tuple[int, int], architecture: str) -> str:
    """The name of an environment: the same packages for the same Python and processor have the same."""
    text = "\n".join([f"{python[0]}.{python[1]} {architecture}", *lines])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pinned(lock: str, python: tuple[int, int], architecture: str) -> list[str]:
    r"""The pins of a lock that hold on a host, without their markers.

    >>> pinned("tzdata==1 ; python_full_version < '3.12' \\\n    --hash=sha256:0a\n# via pandas\n", (3, 11), "aarch64")
    ['tzdata==1 --hash=sha256:0a']
    >>> pinned("tzdata==1 ; python_full_version < '3.12' \\\n    --hash=sha256:0a\n", (3, 12), "aarch64")
    []
    """
    version = f"{python[0]}.{python[1]}"
    environment = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "platform_machine": architecture,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found = []
    for entry in ENTRY.finditer(lock):
        requirement, *hashes = (part.strip() for part in re.split(r"\\?\n|\\$", entry.group()) if part.strip())
        name, _, marker = requirement.partition(";")
        if not marker or Marker(marker.strip()).evaluate(environment):
            found.append(" ".join([name.strip(), *(each.rstrip("\\ ") for each in hashes)]))
    return found


def installed(extra: str = "host") -> list[str]:
    """The pins of what dgxcert needs, as they are installed here: a wheel brings no lock, and so no hashes."""
    found: dict[str, str] = {}
    waiting = [("dgxcert", extra)]
    seen = set(waiting)
    while waiting:
        name, of_extra = waiting.pop()
        distribution = metadata.distribution(name)
        if name != "dgxcert":
            found[canonicalize_name(name)] = distribution.version
        for line in distribution.requires or ():
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": of_extra}):
                new = {(required.name, each) for each in ("", *required.extras)} - seen
                seen |= new
                waiting += new
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def fetch(lines: list[str], python: tuple[int, int], architecture: str, cache: Path) -> Archive:
    """The archive of these wheels, with pip beside them; fetched once and kept. Raises CannotStart."""
    name = key(lines, python, architecture)
    path = cache / f"wheels-{name}.tar"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="wheels-", dir=cache) as temporary:
            content = Path(temporary)
            _download(lines, python, architecture, content)
            archive.copy_pip(content / archive.PIP)
            new = content / "new.tar"
            with tarfile.open(new, "w") as packed:
                for member in ("wheels", archive.PIP, "requirements.txt"):
                    packed.add(content / member, member, filter=archive.nobody)
            os.replace(new, path)
    with path.open("rb") as file:
        return Archive(path, hashlib.file_digest(file, "sha256").hexdigest(), name)


def _download(lines: list[str], python: tuple[int, int], architecture: str, content: Path) -> None:
    """Fetch the wheels with pip, as for that Python and processor, and write the pins with their hashes."""
    pins, wheels = content / "requirements.txt", content / "wheels"
    pins.write_text("\n".join([*lines, ""]), encoding="utf-8")
    has_hashes = all("--hash=" in line for line in lines)
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in reversed(GLIBC)]
    platforms += [f"manylinux2014_{architecture}", f"linux_{architecture}"]
    options = [word for each in platforms for word in ("--platform", each)]
    options += ["--python-version", f"{python[0]}.{python[1]}", "--implementation", "cp", "--only-binary=:all:"]
    args = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps", *options]
    args += [*(["--require-hashes"] if has_hashes else []), "-d", str(wheels), "-r", str(pins)]
    env = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_CONSTRAINT": ""}
    done = command.run(args, timeout_s=FETCH_S, env=env)
    if done.returncode != 0:
        raise CannotStart(
            f"The packages for Python {python[0]}.{python[1]} on {architecture} cannot be fetched: {done.complaint}.",
            "Behind a proxy set HTTPS_PROXY; or prepare an environment on the hosts: dgxcert_environment.",
        )
    if not has_hashes:
        pins.write_text("".join(_with_hash(path) for path in sorted(wheels.glob("*.whl"))), encoding="utf-8")


def _with_hash(wheel: Path) -> str:
    name, version, *_ = wheel.name.split("-")
    with wheel.open("rb") as file:
        return f"{name}=={version} --hash=sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}\n"
