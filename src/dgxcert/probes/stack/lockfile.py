"""The stack's lock: which version of every package must be installed here, and what brings it back.

In the container it is the lock that the image was built from, and what the guard noted of the base image; elsewhere
what `make setup` wrote into the environment. Where there is neither, nobody has said what must be here, and nothing is
guessed.
"""

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from dgxcert.machine.software import canonical, version
from dgxcert.outcome import Inconclusive

IMAGE = Path("/opt/dgxcert")
NATIVE = "dgxcert-stack.lock"
"""Lies in the environment itself; its first line is `# stack NAME`."""

MAY_BE_REMOVED = "torchao"
"""The guard removes this one of the base image where peft refuses to work beside it."""


@dataclass(frozen=True)
class StackLock:
    """`versions` by canonical distribution name; `of_base` are those that the base image brought."""

    stack: str
    source: str
    versions: dict[str, str]
    of_base: frozenset[str] = frozenset()
    conflicts: tuple[str, ...] = ()
    """What `pip check` said about the base image before anything was installed."""
    in_image: bool = False

    def mend(self, names: list[str], *, twice: bool = False) -> tuple[str, ...]:
        """The commands that bring packages back to what they must be; `twice` where they are installed twice."""
        if self.in_image:
            return (
                "Leave this container and start a new one: what was changed in it is gone with it.",
                f"The same in a new one: take the image anew: docker image rm dgxcert:{self.stack}; make image "
                f"STACK={self.stack}",
            )
        removed = [f"{pip()} uninstall -y {' '.join(names)}"] * 2 if twice else []
        pins = [shlex.quote(f"{name}=={self.versions[name]}" if name in self.versions else name) for name in names]
        return (
            *removed,
            f"{pip()} install --no-deps --force-reinstall {' '.join(pins)}",
            f"Set the whole environment up anew: make clean setup STACK={self.stack} VENV={sys.prefix}",
        )


def advice(*names: str) -> tuple[str, ...]:
    """What to do where packages do not do their work: see whether they are as they must be, then bring them back."""
    look = "See STACK-VERSIONS, STACK-FILES and PIP-CHECK first: they name what is not as it must be."
    try:
        return (look, *read().mend(list(names)))
    except Inconclusive as unknown:
        return (look, *unknown.remedy)


def pip() -> str:
    """How one calls the pip of this very environment."""
    return f"{sys.executable} -m pip"


def read() -> StackLock:
    """The lock that holds here; raises Inconclusive where there is none."""
    if (IMAGE / "stack.lock").is_file():
        return _of_image(IMAGE, os.environ.get("DGXCERT_STACK", "of the image"))
    path = Path(sys.prefix) / NATIVE
    if not path.is_file():
        raise Inconclusive(
            f"nobody has said which versions {sys.prefix} must hold: there is no {NATIVE} in it",
            f"Set it up by the lock of a stack: make setup STACK=course VENV={sys.prefix}",
            "Or work in the container, which holds its own: make validate",
        )
    text = path.read_text(encoding="utf-8")
    name = text.splitlines()[0].removeprefix("# stack ").strip() if text.startswith("# stack ") else "unnamed"
    return StackLock(name, str(path), parse(text))


def _of_image(folder: Path, stack: str) -> StackLock:
    base = json.loads((folder / "base.json").read_text(encoding="utf-8"))
    kept: dict[str, str] = dict(base["kept"])
    if version(MAY_BE_REMOVED) is None:
        kept.pop(MAY_BE_REMOVED, None)
    source = f"{folder}/stack.lock, {folder}/base.json"
    versions = parse((folder / "stack.lock").read_text(encoding="utf-8")) | kept
    return StackLock(stack, source, versions, frozenset(kept), tuple(base["conflicts"]), in_image=True)


def parse(lock: str) -> dict[str, str]:
    """The versions in a lock, for this very Python and machine; hashes and comments are passed over.

    Raises Inconclusive where it pins nothing: that would ask for nothing.
    """
    from packaging.requirements import Requirement  # comes with pytest

    lines = [line.split("#")[0].rstrip("\\ ") for line in lock.splitlines() if line[:1].isalnum()]
    pins = [Requirement(line) for line in lines if "==" in line]
    versions = {
        canonical(pin.name): next(iter(pin.specifier)).version
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }
    if not versions:
        raise Inconclusive("the lock of this stack pins nothing", "Take it anew: make clean setup; or: make image")
    return versions
