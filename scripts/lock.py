"""Lock everything that is installed, with hashes: `make lock`, for Linux on aarch64 and x86-64, Python 3.11 and newer.

| lock                          | what it pins                                                              |
| ----------------------------- | ------------------------------------------------------------------------- |
| requirements.lock             | dgxcert where it supervises and signs, and what builds it                 |
| requirements-room.lock        | the same where it drives a room of machines, with Ansible                 |
| requirements-dev.lock         | the same with what tests and lints it; every other lock agrees with this  |
| requirements-torch.lock       | PyPI's torch outside the container, with what only torch needs            |
| requirements-torch-cpu.lock   | PyTorch's own build for the CPU; by hand, because PyPI does not have it   |
| container/stacks/*.lock       | one Hugging Face stack, in the container and outside it                   |

What the base image provides is excluded from the stacks, so that no pin can replace NVIDIA's packages: torch and
triton, with what only they need, and numpy, against whose version the rest is resolved. Pins stay until `--upgrade`.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import lock_file

ROOT = Path(__file__).resolve().parents[1]
STACKS = ROOT / "container" / "stacks"
TORCH = "torch==2.13.0"
"""The torch to install outside the container; inside, the base image provides its own."""
FROM_BASE = ("torch", "triton", "setuptools")
BUILDER = "hatchling>=1.27"
"""The build backend of dgxcert itself, which the image needs without a network."""
EDITABLE = f"{BUILDER}\neditables>=0.5"
"""What it needs where the installed dgxcert is this checkout."""
NUMPY = "numpy==2.1.0"
"""The version seen in the 25.11 base image; `pip check` in the build verifies it on the real one."""
OLDEST_PYTHON = "3.11"
MARK = "# made by `make lock`, never by hand; inputs sha256 "


@dataclass(frozen=True)
class Lock:
    """One lock and what it is made from."""

    path: Path
    sources: tuple[str, ...]
    """What uv compiles, relative to the lock's folder; `-` is standard input."""
    typed: str = ""
    """Requirements of its own."""
    extras: tuple[str, ...] = ()
    agrees_with: Path | None = None
    """The lock whose versions it takes over."""
    excludes: tuple[str, ...] = ()
    constraint: str = ""
    omits: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()
    """The locks that are always installed with it, whose packages it does not repeat."""

    @property
    def inputs(self) -> str:
        """Hash of everything that it is made from."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked = [project["requires-python"], project["dependencies"], OLDEST_PYTHON, self.typed, self.constraint]
        asked += [project["optional-dependencies"][extra] for extra in self.extras]
        files = [self.path.parent / source for source in self.sources if source.endswith(".in")]
        known = [json.dumps([*asked, self.excludes, self.omits]).encode(), *(path.read_bytes() for path in files)]
        return hashlib.sha256(b"\0".join(known)).hexdigest()

    @property
    def fresh(self) -> bool:
        """Whether it was made from the current inputs, and agrees with the lock that it takes versions from."""
        if not self.path.is_file() or not self.path.read_text(encoding="utf-8").startswith(f"{MARK}{self.inputs}\n"):
            return False
        others = {} if self.agrees_with is None else _versions(self.agrees_with)
        return all(versions <= others.get(name, versions) for name, versions in _versions(self.path).items())


def locks() -> list[Lock]:
    """Every lock that is made here, in the order in which they depend on each other."""
    own, dev = "pyproject.toml", ROOT / "requirements-dev.lock"
    every = [
        Lock(dev, (own, "-"), EDITABLE, extras=("host", "room", "dev"), omits=("pip",)),  # an environment has its own
        Lock(ROOT / "requirements.lock", (own, "-"), EDITABLE, extras=("host",), agrees_with=dev),
        Lock(ROOT / "requirements-room.lock", (own, "-"), EDITABLE, extras=("host", "room"), agrees_with=dev),
    ]
    for stack in sorted(STACKS.glob("*.in")):
        sources = (stack.name, f"../../{own}", "-")
        every.append(
            Lock(
                stack.with_suffix(".lock"),
                sources,
                BUILDER,
                agrees_with=dev,
                excludes=FROM_BASE,
                constraint=NUMPY,
                omits=("numpy",),
            )
        )
    stacks = tuple(lock.path for lock in every[3:])
    return [*every, Lock(ROOT / "requirements-torch.lock", ("-",), TORCH, agrees_with=dev, beside=(dev, *stacks))]


def _repeated(lock: Lock) -> set[str]:
    """The packages that the locks beside it bring: the development's, and those that every stack has."""
    names = [set(_versions(path)) | {"numpy"} for path in lock.beside]
    return names[0] | set.intersection(*names[1:]) if names else set()


def _versions(path: Path) -> dict[str, set[str]]:
    """The versions by package, without those that the base image decides."""
    found: dict[str, set[str]] = {}
    for entry in lock_file.read(path) if path.is_file() else []:
        if entry.name != "numpy":
            found.setdefault(entry.name, set()).add(entry.version)
    return found


def resolved(lock: Lock, *, upgrade: bool) -> str:
    """The text of a lock. Exits where it cannot be resolved."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    with tempfile.TemporaryDirectory(prefix="dgxcert-lock-") as folder:
        excludes, constraints, output = (Path(folder, name) for name in ("excludes.txt", "constraints.txt", "lock"))
        excludes.write_text("\n".join(lock.excludes), encoding="utf-8")
        constraints.write_text(lock.constraint, encoding="utf-8")
        output.write_text(_preferred(lock, upgrade=upgrade), encoding="utf-8")
        options = [
            "--universal",
            "--python-version",
            OLDEST_PYTHON,
            "--generate-hashes",
            "--no-build",
            "--no-header",
            "-q",
        ]
        options += ["--excludes", str(excludes), "--constraints", str(constraints), "--output-file", str(output)]
        options += [word for extra in lock.extras for word in ("--extra", extra)]
        options += [word for name in sorted({*lock.omits, *_repeated(lock)}) for word in ("--no-emit-package", name)]
        command = [uv, "pip", "compile", *options, *lock.sources]
        done = subprocess.run(
            command, cwd=lock.path.parent, input=lock.typed, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(f"lock: {lock.path.name} cannot be resolved:\n{done.stderr}")
        return f"{MARK}{lock.inputs}\n{output.read_text(encoding='utf-8')}"


def _preferred(lock: Lock, *, upgrade: bool) -> str:
    """The pins whose versions uv keeps where it can: of the lock that this one agrees with, then its own."""
    agreed = [] if lock.agrees_with is None else lock_file.read(lock.agrees_with)
    own = lock_file.read(lock.path) if lock.path.is_file() and not upgrade else []
    names = {entry.name for entry in agreed}
    return "".join(entry.text for entry in [*agreed, *(entry for entry in own if entry.name not in names)])


def stale() -> list[str]:
    """The locks that were not made from the current inputs."""
    return [str(lock.path.name) for lock in locks() if not lock.fresh]


def main() -> None:
    """Write the locks, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a lock is stale")
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of every package")
    options = parser.parse_args()
    if options.check:
        if outdated := stale():
            sys.exit(f"stale: {', '.join(outdated)}. Lock them again: make lock")
        return
    for lock in locks():
        lock.path.write_text(resolved(lock, upgrade=options.upgrade), encoding="utf-8")
        if not lock.fresh:
            sys.exit(f"lock: {lock.path.name} needs other versions than {lock.agrees_with}: bring the inputs together")
        print(f"{lock.path.relative_to(ROOT)}: locked", flush=True)


if __name__ == "__main__":
    main()
