"""What the integration tests need: a real engine, a stand-in base image, images from the real Dockerfile, a browser.

Without these they are skipped with a reason; where CI is set they fail.
"""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
from checkout import Checkout, copy_of_checkout
from needs import missing

from dgxcert.container import engine
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite
from dgxcert.record.run import Run

ROOT = Path(__file__).parents[2]
STANDIN = "dgxcert-standin:amd64"


@pytest.fixture(scope="session")
def docker() -> str:
    """The Docker CLI that builds, with an engine behind it."""
    try:
        path = engine.docker()
    except CannotStart as error:
        missing(error.problem, "Run: sudo scripts/system-packages")
    if engine.run("info").returncode != 0:
        missing("no container engine answers", "Run: sudo scripts/system-packages")
    return path


@pytest.fixture(scope="session")
def standin(docker: str) -> str:
    """Name of the stand-in for the base image; built once, which takes a minute and needs root."""
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        missing("root or debootstrap, which build the stand-in base image", "Run: sudo scripts/system-packages")
    subprocess.run([sys.executable, ROOT / "container/standin/build.py", "--reuse", "--docker", docker], check=True)
    return STANDIN


@pytest.fixture(scope="session")
def tiny_lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real lock of only what dgxcert itself needs: small enough to build often."""
    folder = tmp_path_factory.mktemp("tiny")
    shutil.copy(ROOT / "pyproject.toml", folder)
    stack = folder / "container" / "stacks" / "tiny.in"
    stack.parent.mkdir(parents=True)
    stack.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        lock = importlib.import_module("lock")
        patch.setattr(lock, "STACKS", stack.parent)
        (tiny,) = (each for each in lock.locks() if each.path == stack.with_suffix(".lock"))
        return str(lock.resolved(tiny, upgrade=False))


@pytest.fixture
def checkout(tmp_path: Path, tiny_lock: str) -> Checkout:
    """A copy of this checkout with the stack `tiny`."""
    copy = Checkout(copy_of_checkout(tmp_path / "checkout"))
    copy.lock("tiny", tiny_lock)
    return copy


@pytest.fixture(scope="session")
def make_image(
    standin: str, tiny_lock: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Image, Path]]:
    """Builds a small image with a suite of tests/suites; returns it with its checkout."""
    images: dict[str, tuple[Image, Path]] = {}

    def make(name: str) -> tuple[Image, Path]:
        if name not in images:
            copy = Checkout(copy_of_checkout(tmp_path_factory.mktemp(name) / "checkout"))
            copy.lock("tiny", tiny_lock)
            for folder in suite.FOLDERS:
                shutil.rmtree(copy.folder / folder)
                shutil.copytree(ROOT / "tests" / "suites" / name / folder, copy.folder / folder)
            image, _ = copy.build(f"dgxcert-test:{name}", "tiny", standin)
            images[name] = image, copy.folder
        return images[name]

    return make


@pytest.fixture(scope="session")
def composes(docker: str) -> dict[str, tuple[str, ...]]:
    """Every compose of this machine by its generation: `compose 2`, the CLI's plugin, and the program `compose 1`."""
    candidates = [("compose 2", (docker, "compose")), ("compose 1", ("docker-compose",))]
    return {name: call for name, call in candidates if shutil.which(call[0]) and is_of(name[-1], call)}


def is_of(generation: str, call: tuple[str, ...]) -> bool:
    """Whether a compose answers and is of that generation; newer `docker-compose` programs are of the second."""
    version = subprocess.run([*call, "version", "--short"], capture_output=True, text=True, check=False)
    return version.returncode == 0 and version.stdout.strip().lstrip("v").startswith(f"{generation}.")


@pytest.fixture(scope="session")
def stuck_spark(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of a simulated DGX Spark that is stuck in its low-power state, judged by the real checks."""
    if shutil.which("cc") is None:
        missing("a C compiler, which builds the simulated driver", "Run: sudo scripts/system-packages")
    folder = tmp_path_factory.mktemp("stuck")
    for name in ("spark-stuck-low-power", "spark-idle"):
        shutil.copy(ROOT / "tests" / "simulated" / "machines" / f"{name}.yaml", folder)
    program = [sys.executable, ROOT / "tests/simulated/matrix.py", folder, "--keep", folder]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    return Run.model_validate_json((folder / "spark-stuck-low-power.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The machine's own Chromium, headless; nothing is downloaded."""
    from playwright.sync_api import sync_playwright

    program = next((path for name in chromium.PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        missing("Chromium", "Run: sudo scripts/system-packages")
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=arguments)
        yield running
        running.close()
