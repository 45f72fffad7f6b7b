"""The builder: builds the image from this checkout or wheel, and reuses one only if it came out of such a build."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from dgxcert import command
from dgxcert.container import build_context, builds, engine, engine_answer, pip_settings
from dgxcert.container.builds import Build
from dgxcert.container.engine_answer import EngineProblem
from dgxcert.machine.image import Image, Recipe, difference, parse
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite

BUILD_S = 3 * 3600.0
PULL_S = 3 * 3600.0
INSPECT_S = 5.0
"""Leaves time to diagnose an engine that does not answer, with both within 10 s."""

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Build arguments that Docker predefines and keeps out of an image's history, since a proxy may hold a password."""

PIP_CONF = "DGXCERT_PIP_CONF"

Show = Callable[[str], None]


def recipe(stack: str, base: str) -> Recipe:
    """What this checkout's image is built from; an empty `base` means the pinned one.

    Raises CannotStart without a checkout, for a stack that has no lock, or when the engine does not answer.
    """
    container, lock = _container(), lock_of(stack)
    name = base or _pinned_base(container)
    return Recipe(
        stack=stack,
        base=name,
        base_digest=_digest(name),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest(),
        suite_sha256=suite.identity(suite.root()).package_sha256,
        recipe_sha256=_hash(
            *(container / name for name in ("Dockerfile", "guard.py", "entry.py")), suite.root() / "pyproject.toml"
        ),
    )


def lock_of(stack: str) -> Path:
    """The lock of a stack. Raises CannotStart for a stack that has none."""
    stacks = _container() / "stacks"
    lock = stacks / f"{stack}.lock"
    if lock.parent != stacks or not lock.is_file():
        known = ", ".join(path.stem for path in sorted(stacks.glob("*.lock")))
        raise CannotStart(f"There is no lock for stack {stack!r}.", f"Known: {known}; or create one: make lock")
    return lock


def _hash(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _container() -> Path:
    folder = suite.root() / "container"
    if not (folder / "Dockerfile").is_file():
        raise CannotStart(f"{folder}, from which the image is built, is missing.", "Restore this dgxcert: make setup")
    return folder


def _pinned_base(container: Path) -> str:
    for line in (container / "base.env").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "BASE_IMAGE":
            return value
    raise CannotStart(
        "container/base.env names no BASE_IMAGE.",
        "Restore it: git checkout container/base.env; or name one: BASE_IMAGE=...",
    )


def _digest(base: str) -> str:
    """The digest in a base image's name, else the id of the local image; empty where there is no local one yet."""
    _, at, digest = base.partition("@")
    if at:
        return digest
    image = find(base)
    return image.id if image else ""


def find(reference: str) -> Image | None:
    """The image of that name, or None; raises CannotStart when the engine does not answer."""
    inspected = engine.run("image", "inspect", reference, timeout_s=INSPECT_S)
    if inspected.returncode == 0:
        history = engine.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", reference)
        return parse(inspected.stdout, reference, next(iter(history.stdout.splitlines()), ""))
    if "No such image" in inspected.stderr:
        return None
    answer = engine_answer.ask()
    if isinstance(answer, EngineProblem):
        problem, steps = answer.problem, answer.remedy
    else:
        problem, steps = inspected.complaint, ("Run: docker version",)
    raise CannotStart(f"The container engine does not answer: {problem}.", *steps)


def ensure(reference: str, stack: str, base: str, *, build: bool, show: Show) -> Image:
    """The image that fits this checkout: reused, or built where `build` allows it.

    Raises CannotStart when it does not fit and may not be built, or when the build fails.
    """
    wanted = recipe(stack, base)
    existing = find(reference)
    if existing is not None and fits(existing, wanted):
        show(f"image {reference} fits this checkout ({existing.id[:19]}), reused")
        return proved(existing, builds.find(existing.id, wanted.labels))
    why = f"does not fit this checkout: {_misfit(existing, wanted)}" if existing else "does not exist yet"
    if not build:
        raise CannotStart(f"Image {reference} {why}.", "Build it: make image")
    show(f"image {reference} {why}; building it with {engine.docker()}, minutes the first time")
    if not wanted.base_digest:
        _pull(wanted.base, show)
        wanted = recipe(stack, base)
    made = make(reference, wanted, show)
    built = find(reference)
    if built is None or built.id != made or difference(built, wanted):
        raise CannotStart(
            f"Image {reference} was built and still does not fit.", "Report this with the build's output."
        )
    build_of_it = Build(id=made, labels=wanted.labels, on_base=_begins_with(built, wanted.base, show))
    if problem := builds.keep(build_of_it):
        show(problem)
    return proved(built, build_of_it)


def fits(existing: Image | None, wanted: Recipe) -> bool:
    """Whether an image is what a recipe makes, and this builder made it: labels can be inherited."""
    return existing is not None and bool(builds.find(existing.id, wanted.labels)) and not difference(existing, wanted)


def _misfit(existing: Image, wanted: Recipe) -> str:
    return difference(existing, wanted) or "this builder has no record of having made it, and labels can be inherited"


def proved(image: Image, build_of_it: Build | None) -> Image:
    """The image with what its build proves: that it is ours, and that its base is the pinned one, from any registry."""
    if build_of_it is None or build_of_it.id != image.id:
        return image.model_copy(update={"built_here": False, "on_pinned_base": False})
    digest = _pinned_base(_container()).partition("@")[2]
    pinned = build_of_it.on_base and image.base_digest == digest
    return image.model_copy(update={"built_here": True, "on_pinned_base": pinned})


def _begins_with(image: Image, base: str, show: Show) -> bool:
    """Whether the first layers of an image are all the layers of its base image, and more follow.

    BuildKit may use a base image without storing it: then it is pulled, with its layers already here.
    """
    stored = find(base)
    if stored is None:
        try:
            _pull(base, show)
        except CannotStart as error:
            show(f"the layers of {base} are unknown, so this image certifies nothing: {error.problem}")
            return False
        stored = find(base)
    layers = stored.layers if stored else ()
    return bool(layers) and image.layers[: len(layers)] == layers and len(image.layers) > len(layers)


def contradiction(image: Image, package_sha256: str) -> str:
    """How an image of a run cannot be what it is said to be, for a run by this suite; "" where it can. Asks no engine.

    `package_sha256` is that of the suite (`suite.Suite`).
    """
    container = _container()
    lock = container / "stacks" / f"{image.stack}.lock"
    if image.on_pinned_base and image.base_digest != _pinned_base(container).partition("@")[2]:
        return f"its image is said to be on the pinned base, and its base is another: {image.base_digest or 'unknown'}"
    if image.suite_sha256 != package_sha256:
        return f"its image holds another suite ({image.suite_sha256[:12]}) than the run was made by"
    if not lock.is_file() or hashlib.sha256(lock.read_bytes()).hexdigest() != image.lock_sha256:
        return f"its image was built from another lock of stack {image.stack} than that of its suite"
    return ""


def _pull(base: str, show: Show) -> None:
    """Pull a base image: only of a stored one the engine tells its id and layers."""
    args = [engine.docker(), "pull", base]
    if command.stream(args, timeout_s=PULL_S, env=engine.environment(), line=show) != 0:
        raise CannotStart(
            f"Base image {base} could not be pulled.",
            "Read the lines above; behind a proxy, set HTTPS_PROXY for the engine itself: sudo systemctl edit docker",
        )


def make(reference: str, wanted: Recipe, show: Show) -> str:
    """Build the image, showing each line of progress, and return its id.

    Raises CannotStart with the reason why the build failed.
    """
    lines: list[str] = []

    def keep(text: str) -> None:
        lines.append(text)
        show(text)

    with tempfile.TemporaryDirectory(prefix="dgxcert-build-") as private, build_context.prepared() as root:
        args = [engine.docker(), "build", "--progress=plain", "-f", str(root / "container" / "Dockerfile")]
        id_file = Path(private) / "id"
        options, environment = _secrets()
        args += ["-t", reference, "--iidfile", str(id_file), *_arguments(wanted), *options]
        if network := os.environ.get("BUILD_NETWORK"):
            args += ["--network", network]
        env = engine.environment(**environment)
        returncode = command.stream([*args, str(root)], timeout_s=BUILD_S, env=env, line=keep)
        made = id_file.read_text(encoding="ascii").strip() if id_file.is_file() else ""
    if returncode != 0:
        raise CannotStart(
            f"Image {reference} could not be built: {explain(lines)}.",
            "Read the build's output above; behind a proxy set HTTPS_PROXY, for a private index PIP_CONFIG_FILE.",
        )
    return made


def _arguments(wanted: Recipe) -> list[str]:
    identity = suite.identity(suite.root())
    arguments = {
        "BASE_IMAGE": wanted.base,
        "BASE_DIGEST": wanted.base_digest,
        "STACK": wanted.stack,
        "VERSION": identity.version,
        "COMMIT": (identity.commit or "unknown") + ("-modified" if identity.modified else ""),
        "LOCK_SHA256": wanted.lock_sha256,
        "SUITE_SHA256": wanted.suite_sha256,
        "RECIPE_SHA256": wanted.recipe_sha256,
    }
    values = [f"{name}={value}" for name, value in arguments.items()]
    # Without a value, Docker takes it from the environment: a proxy's password stays out of the process list.
    values += [name for name in PROXIES if os.environ.get(name)]
    return _repeated("--build-arg", values)


def _secrets() -> tuple[list[str], dict[str, str]]:
    """Secrets mounted while packages are installed, never in a layer: pip's settings and certificate authorities.

    Returned as options, and as variables of the client that they name: the settings may hold the password of an index,
    and a file would outlive a process that is killed.
    """
    settings = pip_settings.read()
    values, environment = [], {}
    if settings.config:
        values.append(f"id=pip_conf,env={PIP_CONF}")
        environment[PIP_CONF] = settings.config
    if settings.authority:
        values.append(f"id=ca,src={settings.authority}")
    return _repeated("--secret", values), environment


def _repeated(option: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def explain(lines: list[str]) -> str:
    """Why a build failed, from its output: the guard's message, else its last error, else its last line.

    >>> explain(["#9 guard: FAILED the stack does not fit this base image:", "#9 guard| torch was 2 and is 3"])
    'guard: the stack does not fit this base image; torch was 2 and is 3'
    >>> explain(["#2 ERROR: failed to resolve source metadata", "------"])
    '#2 ERROR: failed to resolve source metadata'
    """
    guard = [line.partition("guard: ")[2] for line in lines if "guard: " in line and "guard: FAILED" in line]
    details = [line.partition("guard|")[2].strip() for line in lines if "guard|" in line]
    if guard:
        return "guard: " + "; ".join(dict.fromkeys([guard[0].removeprefix("FAILED ").rstrip(":"), *details]))
    errors = [line.strip() for line in lines if "ERROR" in line or line.startswith("Error")]
    return (errors or [line for line in lines if line.strip()] or ["no output"])[-1].rstrip(".")
