"""Set up everything that dgxcert needs in one virtual environment: `make setup`. Needs only Python 3.11 or newer.

A second call with nothing changed returns at once: a stamp in the environment holds the hash of all inputs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STACKS = ROOT / "container" / "stacks"
TORCH = "torch==2.13.0"
"""The torch to install outside the container; inside, the base image provides its own."""

OLDEST, NEWEST = (3, 11), (3, 13)

LOCK = "dgxcert-stack.lock"
"""Written into the environment: the versions that STACK-VERSIONS expects, until the next setup."""
BESIDE_THE_LOCK = ("torch", "triton", "numpy")
"""Part of the stack but in no lock, because the base image provides them."""


def main() -> None:
    """Create or refresh the environment; exits with one clear line when that cannot be done."""
    options = _options()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            f"setup: wanted Python 3.11 to 3.13, found {sys.version.split()[0]} ({sys.executable}). "
            "Name another: make setup PYTHON=python3.12"
        )
    stack = STACKS / f"{options.stack}.in"
    if not stack.is_file():
        known = ", ".join(sorted(path.stem for path in STACKS.glob("*.in")))
        sys.exit(f"setup: unknown stack {options.stack!r}. Known: {known}")
    venv = Path(options.venv).absolute()
    stamp, whole = venv / "dgxcert-setup", _fingerprint(stack, "whole")
    host = _fingerprint(stack, "host")
    work_is_elsewhere = _in_container(options)
    wanted = host if work_is_elsewhere else whole
    if stamp.is_file() and stamp.read_text(encoding="ascii") in {wanted, whole}:
        return
    what = "dgxcert" if work_is_elsewhere else f"torch, the {options.stack} stack and dgxcert"
    print(f"setup: installing {what} into {options.venv}; this takes minutes the first time", flush=True)
    stamp.unlink(missing_ok=True)
    (venv / LOCK).unlink(missing_ok=True)
    if not _has_pip(venv):  # where Debian's python3-venv is missing, an incomplete environment is left behind
        create = [sys.executable, "-m", "venv", "--clear", str(venv)]
        _run("create the environment", create, "On Debian and DGX OS: sudo apt install python3-venv")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    again = "See pip's output above; behind a proxy set HTTPS_PROXY, then run this again."
    if work_is_elsewhere:
        _run("install dgxcert", [*pip, "install", "-q", "-e", f"{ROOT}[host]"], again)
    else:
        _run("install torch", [*pip, "install", "-q", TORCH], again)
        _run("install the stack", [*pip, "install", "-q", "-r", str(stack), "-e", f"{ROOT}[host,dev]"], again)
    _run("check the packages", [*pip, "check"], "Packages disagree: make clean, then make setup.")
    if not work_is_elsewhere:
        (venv / LOCK).write_text(lock(stack, pip), encoding="utf-8")
    stamp.write_text(wanted, encoding="ascii")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--stack", default="course")
    parser.add_argument("--runtime", default="native", help="where the work is done: the container needs no stack here")
    parser.add_argument("--profile", default="auto")
    return parser.parse_args()


def _in_container(options: argparse.Namespace) -> bool:
    """Whether a run with these options works in the container, by the same rule as `dgxcert validate`."""
    sys.path.insert(0, str(ROOT / "src"))
    from dgxcert.machine import runtime

    if options.runtime not in list(runtime.RuntimeChoice):
        sys.exit(f"setup: unknown runtime {options.runtime!r}. Known: {', '.join(runtime.RuntimeChoice)}")
    place, _ = runtime.resolve(runtime.RuntimeChoice(options.runtime), options.profile)
    return place is runtime.Runtime.DOCKER


def _fingerprint(stack: Path, extent: str) -> str:
    """Hash of everything that decides what is installed."""
    inputs = [ROOT / "pyproject.toml", stack, Path(__file__)]
    known = [sys.version.encode(), extent.encode(), *(path.read_bytes() for path in inputs)]
    return hashlib.sha256(b"\0".join(known)).hexdigest()


def lock(stack: Path, pip: list[str]) -> str:
    """The installed version of every package that the stack's lock names: what STACK-VERSIONS expects from now on."""
    pinned = stack.with_suffix(".lock").read_text(encoding="utf-8")
    names = {*re.findall(r"^([a-z0-9][a-z0-9._-]*)==", pinned, re.MULTILINE), *BESIDE_THE_LOCK}
    listed = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True, text=True, check=True).stdout
    chosen = [line for line in listed.splitlines() if re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() in names]
    return "\n".join([f"# stack {stack.stem}", *chosen, ""])


def _has_pip(venv: Path) -> bool:
    python = venv / "bin" / "python"
    return python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def _run(what: str, args: list[str], otherwise: str) -> None:
    done = subprocess.run(args, check=False, env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"})  # its own environment
    if done.returncode != 0:
        sys.exit(f"setup: could not {what} ({args[0]} ended with {done.returncode}). {otherwise}")


if __name__ == "__main__":
    main()
