"""The builder: makes the image from this checkout, and reuses one only while its labels say that it was made so."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from dgxcert import command
from dgxcert.container import engine, pip_settings
from dgxcert.machine.image import Image, Recipe, difference, parse
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite

BUILD_S = 3 * 3600.0
PULL_S = 3 * 3600.0
FIND_S = 5.0
"""With the diagnosis of a silent engine still within 10 s."""

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Build arguments that Docker knows by itself and keeps out of an image's history."""

Show = Callable[[str], None]


def recipe(stack: str, base: str) -> Recipe:
    """What this checkout's image is built from; an empty `base` means the pinned one.

    Raises CannotStart without a checkout, for a stack that has no lock, or when the engine does not answer.
    """
    container = _container()
    lock = container / "stacks" / f"{stack}.lock"
    if not lock.is_file():
        known = ", ".join(path.stem for path in sorted(lock.parent.glob("*.lock")))
        raise CannotStart(f"There is no lock for stack {stack!r}.", f"Known: {known}; or make one: make lock")
    name = base or _pinned_base(container)
    return Recipe(
        stack=stack,
        base=name,
        base_digest=_digest(name),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest(),
        suite_sha256=suite.identity(suite.root()).sha256,
        recipe_sha256=_hash(container / "Dockerfile", container / "guard.py", suite.root() / "pyproject.toml"),
    )


def _hash(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _container() -> Path:
    found = suite.root() / "container"
    if not (found / "Dockerfile").is_file():
        raise CannotStart("An installed dgxcert cannot build its image.", "Run from a checkout of dgxcert.")
    return found


def _pinned_base(container: Path) -> str:
    for line in (container / "base.env").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "BASE_IMAGE":
            return value
    raise CannotStart("container/base.env names no BASE_IMAGE.", "Restore the file, or name one: BASE_IMAGE=...")


def _digest(base: str) -> str:
    """The digest in a base image's name, else the id of the local image; empty where that is not here yet."""
    _, at, digest = base.partition("@")
    if at:
        return digest
    found = find(base)
    return found.id if found else ""


def find(reference: str) -> Image | None:
    """The image of that name, or None; raises CannotStart when the engine does not answer."""
    asked = engine.ask("image", "inspect", reference, timeout_s=FIND_S)
    if asked.returncode == 0:
        history = engine.ask("history", "--no-trunc", "--format", "{{.CreatedBy}}", reference)
        return parse(asked.stdout, reference, next(iter(history.stdout.splitlines()), ""))
    if "No such image" in asked.stderr:
        return None
    found, remedy = engine.trouble()
    raise CannotStart(f"The container engine does not answer: {found or asked.complaint}.", remedy)


def ensure(reference: str, stack: str, base: str, *, build: bool, show: Show) -> Image:
    """The image that fits this checkout: reused, or built where `build` allows it.

    Raises CannotStart when it does not fit and may not be built, or when the build fails.
    """
    wanted = recipe(stack, base)
    found = find(reference)
    if found is not None and not difference(found, wanted):
        show(f"image {reference} fits this checkout ({found.id[:19]}), reused")
        return _compared_with_pinned(found)
    why = f"does not fit this checkout: {difference(found, wanted)}" if found else "does not exist yet"
    if not build:
        raise CannotStart(f"Image {reference} {why}.", "Build it: make image")
    show(f"image {reference} {why}; building it with {engine.docker()}, minutes the first time")
    if not wanted.base_digest:
        _pull(wanted.base, show)
        wanted = recipe(stack, base)
    make(reference, wanted, show)
    made = find(reference)
    if made is None or difference(made, wanted):
        raise CannotStart(
            f"Image {reference} was built and still does not fit.", "Report this with the build's output."
        )
    return _compared_with_pinned(made)


def _compared_with_pinned(image: Image) -> Image:
    """The image with the answer to whether its base, from wherever it was had, is the pinned one."""
    digest = _pinned_base(_container()).partition("@")[2]
    return image.model_copy(update={"on_pinned_base": image.base_digest == digest})


def _pull(base: str, show: Show) -> None:
    """Fetch a base image that is named by a tag, so that what was built on can be said afterwards."""
    args = [engine.docker(), "pull", base]
    if command.stream(args, timeout_s=PULL_S, env=engine.environment(), line=show) != 0:
        raise CannotStart(
            f"Base image {base} could not be had.",
            "Read the lines above; behind a proxy, the engine itself must know it (systemctl edit docker).",
        )


def make(reference: str, wanted: Recipe, show: Show) -> None:
    """Build the image, showing each line of progress; raises CannotStart with what stood in the way."""
    root = suite.root()
    lines: list[str] = []

    def keep(text: str) -> None:
        lines.append(text)
        show(text)

    with tempfile.TemporaryDirectory(prefix="dgxcert-build-") as private:
        args = [engine.docker(), "build", "--progress=plain", "-f", str(root / "container" / "Dockerfile")]
        args += ["-t", reference, *_arguments(wanted), *_secrets(Path(private))]
        if network := os.environ.get("BUILD_NETWORK"):
            args += ["--network", network]
        returncode = command.stream([*args, str(root)], timeout_s=BUILD_S, env=engine.environment(), line=keep)
    if returncode != 0:
        raise CannotStart(
            f"Image {reference} could not be built: {explain(lines)}.",
            "Read the build's output above; behind a proxy set HTTPS_PROXY, for a private index PIP_CONFIG_FILE.",
        )


def _arguments(wanted: Recipe) -> list[str]:
    about = suite.identity(suite.root())
    arguments = {
        "BASE_IMAGE": wanted.base,
        "BASE_DIGEST": wanted.base_digest,
        "STACK": wanted.stack,
        "VERSION": about.version,
        "COMMIT": (about.commit or "unknown") + ("-modified" if about.modified else ""),
        "LOCK_SHA256": wanted.lock_sha256,
        "SUITE_SHA256": wanted.suite_sha256,
        "RECIPE_SHA256": wanted.recipe_sha256,
    }
    words = [f"{name}={value}" for name, value in arguments.items()]
    words += [name for name in PROXIES if os.environ.get(name)]  # without a value: taken from the environment
    return [each for word in words for each in ("--build-arg", word)]


def _secrets(private: Path) -> list[str]:
    """Mounted while packages are installed, never in a layer: where packages come from, and whom to trust."""
    found = pip_settings.read()
    words = []
    if found.config:
        path = private / "pip.conf"
        path.touch(mode=0o600)
        path.write_text(found.config, encoding="utf-8")
        words.append(f"id=pip_conf,src={path}")
    if found.authority:
        words.append(f"id=ca,src={found.authority}")
    return [each for word in words for each in ("--secret", word)]


def explain(lines: list[str]) -> str:
    """Why a build failed, from what it printed: what the guard says, else its error, else its last words."""
    guard = [line.partition("guard: ")[2] for line in lines if "guard: " in line and "guard: FAILED" in line]
    details = [line.partition("guard|")[2].strip() for line in lines if "guard|" in line]
    if guard:
        return "guard: " + "; ".join(dict.fromkeys([guard[0].removeprefix("FAILED ").rstrip(":"), *details]))
    errors = [line.strip() for line in lines if "ERROR" in line or line.startswith("Error")]
    return (errors or [line for line in lines if line.strip()] or ["no output"])[-1].rstrip(".")
