"""What the integration tests need: a real engine, a stand-in base image, and small images made by the real Dockerfile.

Where something is missing they say so and are skipped; where CI runs (CI is set) that is a failure.
"""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from needs import missing

from dgxcert import builder, engine, suite
from dgxcert.image import Image
from dgxcert.outcome import CannotStart

ROOT = Path(__file__).parents[2]
STANDIN = "dgxcert-standin:amd64"
NETWORK = "host"
"""Builds use the machine's own network, where a package index may listen on the loopback address."""


@pytest.fixture(scope="session")
def docker() -> str:
    """The Docker CLI that builds, with an engine behind it."""
    try:
        path = engine.docker()
    except CannotStart as error:
        missing(error.problem, "Run: sudo scripts/system-packages")
    if engine.ask("info").returncode != 0:
        missing("no container engine answers", "Run: sudo scripts/system-packages")
    return path


@pytest.fixture(scope="session")
def standin(docker: str) -> str:
    """The stand-in for the base image; built where it is not there yet, which takes a minute and needs root."""
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        missing("root or debootstrap, which build the stand-in base image", "Run: sudo scripts/system-packages")
    subprocess.run([sys.executable, ROOT / "container/standin/build.py", "--reuse", "--docker", docker], check=True)
    return STANDIN


def copy_of_checkout(folder: Path) -> Path:
    """A checkout that may be changed: what git knows, as it stands here."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def tiny_lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real lock of what dgxcert itself needs and nothing else: small enough to build often."""
    folder = tmp_path_factory.mktemp("tiny")
    shutil.copy(ROOT / "pyproject.toml", folder)
    stack = folder / "container" / "stacks" / "tiny.in"
    stack.parent.mkdir(parents=True)
    stack.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        lock = importlib.import_module("lock")
        patch.setattr(lock, "STACKS", stack.parent)
        return str(lock.lock(stack))


@dataclass
class Checkout:
    """A copy of this checkout with a stack of its own, and the image that is built from it."""

    folder: Path

    def lock(self, name: str, text: str) -> None:
        """Give it another stack."""
        (self.folder / "container" / "stacks" / f"{name}.lock").write_text(text, encoding="utf-8")

    def build(self, reference: str, stack: str, base: str) -> tuple[Image, list[str]]:
        """Build by the real builder; the image and all that was printed."""
        lines: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(suite, "root", lambda: self.folder)
            patch.setenv("BUILD_NETWORK", os.environ.get("BUILD_NETWORK", NETWORK))
            return builder.ensure(reference, stack, base, build=True, show=lines.append), lines


@pytest.fixture
def checkout(tmp_path: Path, tiny_lock: str) -> Checkout:
    made = Checkout(copy_of_checkout(tmp_path / "checkout"))
    made.lock("tiny", tiny_lock)
    return made


@pytest.fixture(scope="session")
def make_image(
    standin: str, tiny_lock: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Image, Path]]:
    """Make a small image that carries a suite of the tests' own; returns it with the checkout that it is from."""
    made: dict[str, tuple[Image, Path]] = {}

    def make(name: str) -> tuple[Image, Path]:
        if name not in made:
            copy = Checkout(copy_of_checkout(tmp_path_factory.mktemp(name) / "checkout"))
            copy.lock("tiny", tiny_lock)
            for folder in suite.FOLDERS:
                shutil.rmtree(copy.folder / folder)
                shutil.copytree(ROOT / "tests" / "suites" / name / folder, copy.folder / folder)
            image, _ = copy.build(f"dgxcert-test:{name}", "tiny", standin)
            made[name] = image, copy.folder
        return made[name]

    return make


def composes() -> list[tuple[str, ...]]:
    """Every compose that is on this machine: the plugin and the older program."""
    docker = [(path, "compose") for path in engine._on_path("docker")]
    older = [(path,) for path in engine._on_path("docker-compose")]
    return [each for each in (*docker, *older) if engine._answers([*each, "version"])]
