"""The wheel: the same bytes each time, and outside of a checkout the same suite, image and requirements as in it."""

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

from dgxcert.container import builder
from dgxcert.plan import suite

PROBE = """
import json, sys
from dgxcert.container import build_context, builder
from dgxcert.plan import suite
identity = suite.identity(suite.root())
with build_context.prepared() as context:
    files = sorted(str(path.relative_to(context)) for path in context.rglob("*") if path.is_file())
recipe = builder.recipe("course", "any@sha256:00").model_dump()
print(json.dumps({"suite": identity.model_dump(), "recipe": recipe, "files": files, "context": str(context)}))
"""


def build(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("dgxcert-*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which the wheel is installed, and what it needs comes from this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", f"--python={python}"]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "needed.pth").write_text("".join(f"{path}\n" for path in sys.path if "site-packages" in path), "utf-8")
    return python


def run(python: Path, *arguments: str) -> str:
    """What Python prints in an empty folder."""
    folder = python.parents[2] / "empty"
    folder.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-P", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir())
    return done.stdout


def read(python: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(python, "-c", PROBE))
    return answer


def test_a_wheel_that_is_built_again_has_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == wheel.read_bytes()


def test_an_installed_wheel_is_the_suite_of_its_checkout(python: Path) -> None:
    found, here = read(python), suite.identity(ROOT)
    assert found["suite"]["installed"]
    assert (found["suite"]["modified"], found["suite"]["reason"]) == (False, "")
    assert (found["suite"]["sha256"], found["suite"]["package_sha256"]) == (here.sha256, here.package_sha256)


def test_its_image_is_that_of_its_checkout(python: Path) -> None:
    found = read(python)
    assert found["recipe"] == builder.recipe("course", "any@sha256:00").model_dump()
    dockerfile = (ROOT / "container" / "Dockerfile").read_text(encoding="utf-8")
    wanted = [word for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE) for word in line.split()]
    copied = [word.replace("${STACK}", "course") for word in wanted]
    assert len(copied) > 8
    assert not [name for name in copied if not any(f"{file}/".startswith(f"{name}/") for file in found["files"])]
    assert not [file for file in found["files"] if "__pycache__" in file or file.startswith("src/dgxcert/suite")]
    assert not Path(found["context"]).exists()


def test_it_lists_the_requirements_of_its_checkout_and_says_no_word_of_make(python: Path) -> None:
    listed = run(python, "-m", "dgxcert", "list")
    assert len({entry.id for entry in suite.collect(ROOT, 1) if entry.id in listed}) > 100
    needed = run(python, "-m", "dgxcert", "setup")
    assert suite.identity(ROOT).sha256 in needed
    assert "Every file of it is as its wheel lists it." in needed
    assert "make " not in needed


def test_a_changed_check_is_named(python: Path) -> None:
    (check,) = python.parents[1].glob("lib/python*/site-packages/dgxcert/suite/checks/host/test_disk.py")
    before = check.read_bytes()
    try:
        check.write_bytes(before + b"\n")
        found = read(python)["suite"]
    finally:
        check.write_bytes(before)
    assert (found["modified"], found["reason"]) == (True, "dgxcert/suite/checks/host/test_disk.py was changed")
