"""Lock the stacks: `make lock` pins every package of container/stacks/*.in with its hashes, for the container.

What the base image provides is excluded, so that no pin can replace NVIDIA's packages: torch and triton, with
what only they need, and numpy, against whose version the rest is resolved.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STACKS = ROOT / "container" / "stacks"
FROM_BASE = ("torch", "triton", "setuptools")
BUILDER = "hatchling>=1.27"
"""The build backend of dgxcert itself, which the image needs without a network."""
NUMPY = "numpy==2.1.0"
"""The version seen in the 25.11 base image; `pip check` in the build verifies it on the real one."""
OLDEST_PYTHON = "3.11"
MARK = "# made by `make lock`, never by hand; inputs sha256 "


def fingerprint(stack: Path) -> str:
    """Hash of everything that a lock is made from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = json.dumps([project["requires-python"], project["dependencies"]]).encode()
    inputs = [stack.read_bytes(), own, Path(__file__).read_bytes()]
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()


def lock(stack: Path) -> str:
    """The text of a stack's lock: hash-pinned, for Linux on aarch64 and x86-64. Exits where it cannot be resolved."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    with tempfile.TemporaryDirectory(prefix="dgxcert-lock-") as folder:
        excludes, constraints = Path(folder, "excludes.txt"), Path(folder, "constraints.txt")
        excludes.write_text("\n".join(FROM_BASE), encoding="utf-8")
        constraints.write_text(NUMPY, encoding="utf-8")
        options = ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-header", "-q"]
        without = ["--excludes", str(excludes), "--constraints", str(constraints), "--no-emit-package", "numpy"]
        command = [uv, "pip", "compile", *options, *without, str(stack.name), "../../pyproject.toml", "-"]
        done = subprocess.run(command, cwd=STACKS, input=BUILDER, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"lock: {stack.name} cannot be resolved:\n{done.stderr}")
    return f"{MARK}{fingerprint(stack)}\n{done.stdout}"


def stale() -> list[str]:
    """The locks that were not made from the current inputs."""
    return [stack.stem for stack in sorted(STACKS.glob("*.in")) if not _fresh(stack)]


def _fresh(stack: Path) -> bool:
    path = stack.with_suffix(".lock")
    return path.is_file() and path.read_text(encoding="utf-8").startswith(f"{MARK}{fingerprint(stack)}\n")


def main() -> None:
    """Write the locks, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a lock is stale")
    if parser.parse_args().check:
        if outdated := stale():
            sys.exit(f"stale: {', '.join(outdated)}. Lock them again: make lock")
        return
    for stack in sorted(STACKS.glob("*.in")):
        stack.with_suffix(".lock").write_text(lock(stack), encoding="utf-8")
        print(f"{stack.with_suffix('.lock').name}: locked")


if __name__ == "__main__":
    main()
