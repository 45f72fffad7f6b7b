"""The stack's lock: the version that every package must have in this environment, and the steps that restore it.

In the container it is the lock that the image was built from, with what the guard recorded of the base image; elsewhere
it is the file that `make setup` wrote into the environment. Without either nothing is known, and nothing is guessed.
"""

import json
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dgxcert.machine.software import canonical, version
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive

IMAGE = Path("/opt/dgxcert")
NATIVE = "dgxcert-stack.lock"
"""File in the root of a native environment; its first line is `# stack NAME`."""

STAMP, MADE_HERE = "dgxcert-setup", "made by dgxcert's setup"
"""File in the root of every environment that `make setup` has made, and how it begins."""
DEFAULT = "course"

RESTORE = (
    Trait.NATIVE.only("Restore what was changed in dgxcert's environment, and nothing else: make setup"),
    Trait.CONTAINER.only(
        "If a new container shows the same, rebuild the image: docker image rm dgxcert:course; make image"
    ),
)
"""The steps of requirements about packages, where none is known that is more exact."""

OWN_ENVIRONMENT = (
    "Leave this environment as it is: it is not dgxcert's. In the checkout, set up one that is: make setup",
    "Or work in the container, which has its own lock: make validate",
)

OPTIONAL = "torchao"
"""The guard uninstalls this package of the base image where peft refuses to work with its version."""


@dataclass(frozen=True)
class StackLock:
    """`versions` by canonical distribution name; those in `of_base` belong to the base image."""

    stack: str
    source: str
    versions: dict[str, str]
    of_base: frozenset[str] = frozenset()
    conflicts: tuple[str, ...] = ()
    """The lines of `pip check` in the base image, before anything was installed."""
    in_image: bool = False
    base_packages: dict[str, str] = field(default_factory=dict)
    """Every package of the base image with its version, as its guard listed them before the stack was installed."""

    @property
    def restore(self) -> tuple[str, ...]:
        """The steps that restore the packages of this lock, and touch nothing that a user installed beside them."""
        if self.in_image:
            image = "make image" if self.stack == DEFAULT else f"make image STACK={self.stack}"
            return (
                "Leave this container and start a new one: changes made inside a container end with it.",
                f"If a new container shows the same, rebuild the image: docker image rm dgxcert:{self.stack}; {image}",
            )
        return _setup(self.stack)


def _setup(stack: str) -> tuple[str, ...]:
    """The steps for a native environment. No other environment than dgxcert's own is ever changed."""
    prefix = Path(sys.prefix)
    stamp = prefix / STAMP
    if not stamp.is_file() or not stamp.read_text(encoding="utf-8", errors="replace").startswith(MADE_HERE):
        return OWN_ENVIRONMENT
    of_stack = "" if stack == DEFAULT else f" STACK={stack}"
    # The stamp says that setup made this folder, and setup clears nothing: its name is safe to print.
    folder = "" if prefix.name == ".venv" else f" VENV={shlex.quote(prefix.name)}"
    return (f"In the checkout, restore what was changed, and nothing else: make setup{of_stack}{folder}",)


def advice() -> tuple[str, ...]:
    """The remedy where packages do not work: compare them with the lock, then restore them."""
    first = "Read the results of STACK-VERSIONS, STACK-FILES and PIP-CHECK first: they name what differs from the lock."
    try:
        return (first, *read().restore)
    except Inconclusive as unknown:
        return (first, *unknown.remedy)


def read() -> StackLock:
    """The lock of this environment. Raises Inconclusive where it has none."""
    if (IMAGE / "stack.lock").is_file():
        return _of_image(IMAGE, os.environ.get("DGXCERT_STACK", "of the image"))
    path = Path(sys.prefix) / NATIVE
    if not path.is_file():
        raise Inconclusive(
            f"the versions that {sys.prefix} must hold are unknown: it has no {NATIVE}",
            *_setup(DEFAULT),
        )
    text = path.read_text(encoding="utf-8")
    name = text.splitlines()[0].removeprefix("# stack ").strip() if text.startswith("# stack ") else "unnamed"
    return StackLock(name, str(path), parse(text))


def _of_image(folder: Path, stack: str) -> StackLock:
    base = json.loads((folder / "base.json").read_text(encoding="utf-8"))
    kept: dict[str, str] = dict(base["kept"])
    if version(OPTIONAL) is None:
        kept.pop(OPTIONAL, None)
    source = f"{folder}/stack.lock, {folder}/base.json"
    versions = parse((folder / "stack.lock").read_text(encoding="utf-8")) | kept
    return StackLock(
        stack,
        source,
        versions,
        frozenset(kept),
        tuple(base["conflicts"]),
        in_image=True,
        base_packages=dict(base.get("packages", {})),
    )


def parse(lock: str) -> dict[str, str]:
    """The versions in a lock by canonical name, for this Python and this machine; hashes are not read.

    Raises Inconclusive for a lock without a pin, which any environment would satisfy.

    >>> parse("scikit_learn==1.7.2 \\\\\\n    --hash=sha256:00\\ncolorama==0.4.6 ; sys_platform == 'win32'\\n")
    {'scikit-learn': '1.7.2'}
    """
    from packaging.requirements import Requirement  # a dependency of pytest

    lines = [line.split("#")[0].rstrip("\\ ") for line in lock.splitlines() if line[:1].isalnum()]
    pins = [Requirement(line) for line in lines if "==" in line]
    versions = {
        canonical(pin.name): next(iter(pin.specifier)).version
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }
    if not versions:
        raise Inconclusive("the lock of this stack pins nothing", "Write it again: make setup")
    return versions
