"""The image: built from this checkout, reused while its labels say that it was, never trusted by its name alone."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from dgxcert import command, suite
from dgxcert.outcome import CannotStart

ASK_S = 10.0
BUILD_S = 3 * 3600.0

LABEL_STACK = "org.dgxcert.stack"
LABEL_LOCK = "org.dgxcert.lock.sha256"
LABEL_SUITE = "org.dgxcert.suite.sha256"
LABEL_BASE = "org.opencontainers.image.base.name"
LABEL_STANDIN = "org.dgxcert.standin"

PIP_CONFIGS = ("~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf")


class Image(BaseModel):
    """The image that a run used, as its record keeps it. A stand-in for the base image can only rehearse."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: str
    id: str
    base: str
    stack: str
    lock_sha256: str
    suite_sha256: str
    standin: bool = False


class Recipe(BaseModel):
    """What an image must have been built from to be used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stack: str
    base: str
    lock_sha256: str
    suite_sha256: str

    @property
    def labels(self) -> dict[str, str]:
        """The labels of an image that was built so."""
        return {
            LABEL_STACK: self.stack,
            LABEL_BASE: self.base,
            LABEL_LOCK: self.lock_sha256,
            LABEL_SUITE: self.suite_sha256,
        }


def recipe(stack: str, base: str | None) -> Recipe:
    """What this checkout's image is built from.

    Raises CannotStart without a checkout, or for a stack that has no lock.
    """
    container = _container()
    lock = container / "stacks" / f"{stack}.lock"
    if not lock.is_file():
        known = ", ".join(path.stem for path in sorted(lock.parent.glob("*.lock")))
        raise CannotStart(f"There is no lock for stack {stack!r}.", f"Known: {known}; or make one: make lock")
    return Recipe(
        stack=stack,
        base=base or _base(container),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest(),
        suite_sha256=suite.identity(suite.root()).sha256,
    )


def _container() -> Path:
    found = suite.root() / "container"
    if not (found / "Dockerfile").is_file():
        raise CannotStart("An installed dgxcert cannot build its image.", "Run from a checkout, or name one: --image")
    return found


def _base(container: Path) -> str:
    for line in (container / "base.env").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "BASE_IMAGE":
            return value
    raise CannotStart("container/base.env names no BASE_IMAGE.", "Restore the file, or name one: BASE_IMAGE=...")


@cache
def docker() -> str:
    """A Docker CLI that can build with BuildKit: Debian's has it built in, newer ones need their buildx.

    Raises CannotStart when none is on the PATH.
    """
    looked = []
    for path in _on_path("docker"):
        version = command.run([path, "--version"], timeout_s=ASK_S).stdout
        major = int("".join(_digits(version)) or 0)
        if 0 < major < 23 or command.run([path, "buildx", "version"], timeout_s=ASK_S).returncode == 0:
            return path
        looked.append(path)
    found = f"found {', '.join(looked)} without buildx" if looked else "found no `docker` on the PATH"
    raise CannotStart(
        f"Wanted a Docker CLI that builds with BuildKit, {found}.",
        "Install Docker Engine with its buildx plugin, or Debian's docker.io; without containers: RUNTIME=native",
    )


def _digits(version: str) -> Iterator[str]:
    """The digits of the major version in `Docker version 20.10.24+dfsg1, build 297e128`."""
    for letter in version.removeprefix("Docker version "):
        if not letter.isdigit():
            return
        yield letter


def _on_path(program: str) -> list[str]:
    """Every program of that name on the PATH, in order, links to the same file once."""
    found: dict[str, str] = {}
    for folder in os.get_exec_path():
        path = shutil.which(program, path=folder)
        if path:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def find(reference: str) -> Image | None:
    """The image of that name, or None; raises CannotStart when the engine does not answer."""
    asked = command.run([docker(), "image", "inspect", reference], timeout_s=ASK_S)
    if asked.returncode != 0:
        if "No such image" in asked.stderr:
            return None
        raise CannotStart(f"The container engine does not answer: {asked.complaint}.", "See DOCKER-REACHABLE.")
    return parse(asked.stdout, reference)


def parse(answer: str, reference: str) -> Image:
    """What `docker image inspect` prints, as an Image; labels that are missing stay empty."""
    found: dict[str, Any] = json.loads(answer)[0]
    labels: dict[str, str] = found["Config"].get("Labels") or {}
    return Image(
        reference=reference,
        id=found["Id"],
        base=labels.get(LABEL_BASE, ""),
        stack=labels.get(LABEL_STACK, ""),
        lock_sha256=labels.get(LABEL_LOCK, ""),
        suite_sha256=labels.get(LABEL_SUITE, ""),
        standin=labels.get(LABEL_STANDIN) == "true",
    )


def difference(image: Image, wanted: Recipe) -> str:
    """In which labels an image differs from a recipe; empty when it was built so."""
    pairs = {
        "stack": (image.stack, wanted.stack),
        "base image": (image.base, wanted.base),
        "lock": (image.lock_sha256, wanted.lock_sha256),
        "suite": (image.suite_sha256, wanted.suite_sha256),
    }
    return ", ".join(
        f"{name} is {has or 'unknown'}, wanted {want}" for name, (has, want) in pairs.items() if has != want
    )


def ensure(reference: str, wanted: Recipe, *, build: bool, show: Callable[[str], None]) -> Image:
    """The image that fits this checkout: reused, or built where `build` allows it.

    Raises CannotStart when it does not fit and may not be built, or when the build fails.
    """
    found = find(reference)
    if found is not None and not difference(found, wanted):
        show(f"image {reference} fits this checkout ({found.id[:19]})")
        return found
    why = f"does not fit this checkout: {difference(found, wanted)}" if found else "does not exist yet"
    if not build:
        raise CannotStart(f"Image {reference} {why}.", "Build it: make image")
    show(f"image {reference} {why}; building it")
    make(reference, wanted, show)
    made = find(reference)
    if made is None or difference(made, wanted):
        raise CannotStart(
            f"Image {reference} was built and still does not fit.", "Report this with the build's output."
        )
    return made


def make(reference: str, wanted: Recipe, show: Callable[[str], None]) -> None:
    """Build the image, showing each line of progress; raises CannotStart with the build's last words."""
    root = suite.root()
    about = suite.identity(root)
    arguments = {
        "BASE_IMAGE": wanted.base,
        "STACK": wanted.stack,
        "VERSION": about.version,
        "COMMIT": (about.commit or "unknown") + ("-modified" if about.modified else ""),
        "LOCK_SHA256": wanted.lock_sha256,
        "SUITE_SHA256": wanted.suite_sha256,
    }
    args = [docker(), "build", "--progress=plain", "-f", str(root / "container" / "Dockerfile"), "-t", reference]
    args += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    args += [word for secret in _secrets() for word in ("--secret", secret)]
    if network := os.environ.get("BUILD_NETWORK"):
        args += ["--network", network]
    tail: list[str] = []
    env = {**os.environ, "DOCKER_BUILDKIT": "1"}
    returncode = command.stream(
        [*args, str(root)], timeout_s=BUILD_S, env=env, line=lambda text: _keep(text, tail, show)
    )
    if returncode != 0:
        why = next((line for line in tail if "guard:" in line or "ERROR" in line), tail[-1] if tail else "no output")
        raise CannotStart(
            f"Image {reference} could not be built: {' / '.join(line for line in tail if 'guard:' in line) or why}.",
            "Read the build's output above; behind a proxy set HTTPS_PROXY, for a private index PIP_CONFIG_FILE.",
        )


def _keep(text: str, tail: list[str], show: Callable[[str], None]) -> None:
    tail.append(text)
    del tail[:-60]
    show(text)


def _secrets() -> list[str]:
    """pip's settings and the certificate authority of whoever builds: mounted while installing, never in a layer."""
    own = os.environ.get("PIP_CONFIG_FILE")
    config = next((path for path in map(Path, [own] if own else PIP_CONFIGS) if path.expanduser().is_file()), None)
    authority = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    found = []
    if config is not None:
        found.append(f"id=pip_conf,src={config.expanduser()}")
    if authority and Path(authority).is_file():
        found.append(f"id=ca,src={authority}")
    return found
