"""Setting up restores what was changed, keeps what a user installed, and leaves other people's environments alone."""

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT
from wheels import pin, wheel

BACKEND = """import pathlib, shutil
def build_editable(folder, config_settings=None, metadata_directory=None):
    return pathlib.Path(shutil.copy(next(pathlib.Path("own").glob("*.whl")), folder)).name
"""
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "dgxcert"
version = "0.1.0"
optional-dependencies = {host = [], dev = []}
"""


PACKAGES = (
    ("torch", "1.0", ""),
    ("peft", "1.0", "torch"),
    ("peft", "0.1", "torch"),
    ("datasets", "1.0", ""),
    ("evaluate", "1.0", "tokenizers"),
    ("tokenizers", "1.0", "accelerate"),
    ("accelerate", "1.0", ""),
)
SPARE = (*PACKAGES, ("thesis", "3.0", "peft<1"), ("torch", "1.0+cpu", ""), ("torch", "1.0+cu999", ""))


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("setup")


def test_an_unknown_stack_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py", "--venv", str(tmp_path / "venv"), "--stack", "coarse"])
    with pytest.raises(SystemExit, match=r"unknown stack 'coarse'.*course, current"):
        setup.main()


def test_a_python_that_is_too_old_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    monkeypatch.setattr(setup, "OLDEST", (3, 99))
    with pytest.raises(SystemExit, match=r"wanted Python 3\.11 to 3\.13, found"):
        setup.main()


def test_the_stamp_depends_on_stack_and_scope(setup: ModuleType) -> None:
    stacks = [setup._fingerprint(setup.STACKS / f"{name}.in", "whole") for name in ("course", "current")]
    assert stacks[0] != stacks[1]
    assert stacks[0] == setup._fingerprint(setup.STACKS / "course.in", "whole")
    assert stacks[0] != setup._fingerprint(setup.STACKS / "course.in", "host")
    assert len({setup._fingerprint(setup.STACKS / "course.in", extent) for extent in ("whole", "host", "room")}) == 3


def test_no_stack_is_installed_where_the_work_runs_in_the_container(setup: ModuleType) -> None:
    for runtime, elsewhere in (("docker", True), ("native", False)):
        assert setup._in_container(Namespace(runtime=runtime, profile="auto")) is elsewhere
    with pytest.raises(SystemExit, match="unknown runtime 'podman'"):
        setup._in_container(Namespace(runtime="podman", profile="auto"))


def test_packages_are_followed_through_their_extras(setup: ModuleType) -> None:
    assert setup._names("fsspec[http, s3]>=2023.1\nscikit_learn==1.9\n# a comment\n") == {
        "fsspec": {"http", "s3"},
        "scikit-learn": set(),
    }


@dataclass(frozen=True)
class Checkout:
    """A small checkout with the real Makefile and setup.py, whose stack is two tiny packages of a local folder."""

    root: Path
    venv: Path
    wheels: Path

    def make(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run make there, with PyPI out of reach."""
        environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "CI": ""}
        command = ["make", "--no-print-directory", "-C", str(self.root), f"PYTHON={sys.executable}", *args]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def pip(self, *args: str) -> None:
        """Change the environment as a user would."""
        pip = [str(self.venv / "bin" / "python"), "-m", "pip", "-q", "--no-cache-dir"]
        index = ["--no-index", "--find-links", str(self.wheels)] if args[0] == "install" else []
        subprocess.run([*pip, *args, *index], check=True, capture_output=True)

    @property
    def site(self) -> Path:
        """Where its packages are."""
        return next(self.venv.glob("lib/python*/site-packages"))

    def installed(self) -> set[str]:
        """Its packages, as folders of metadata."""
        return {folder.name.removesuffix(".dist-info") for folder in self.site.glob("*.dist-info")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout that was set up once."""
    root = tmp_path_factory.mktemp("checkout")
    scripts = (f"scripts/{name}.py" for name in ("setup", "native_lock", "lock_file"))
    for name in ("Makefile", *scripts, "src/dgxcert/machine/runtime.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    stacks, wheels, own = root / "container" / "stacks", root / "wheels", root / "own"
    for folder in (stacks, wheels, own):
        folder.mkdir(parents=True)
    wheel(own, "dgxcert", "0.1.0", hashed=True)
    (stacks / "course.in").write_text("peft==1.0\ndatasets\nevaluate\n", encoding="utf-8")
    made = {
        f"{name} {version}": wheel(wheels, name, version, requires, hashed=True) for name, version, requires in SPARE
    }
    pins = {name: pin(made[f"{name} 1.0"]) for name, version, _ in PACKAGES if version == "1.0"}
    (root / "requirements-torch.lock").write_text(pins.pop("torch"), encoding="utf-8")
    (root / "requirements-torch-cpu.lock").write_text(pin(made["torch 1.0+cpu"]), encoding="utf-8")
    (root / "requirements-dev.lock").write_text(pins.pop("datasets"), encoding="utf-8")
    (root / "requirements.lock").write_text(pin(made["datasets 1.0"]), encoding="utf-8")
    (root / "requirements-room.lock").write_text(pin(made["datasets 1.0"]), encoding="utf-8")
    (stacks / "course.lock").write_text("".join(pins.values()), encoding="utf-8")
    made["torch 1.0+cpu"].rename(root / made["torch 1.0+cpu"].name)  # offered by no index, until a test puts it there
    checkout = Checkout(root, root / ".venv", wheels)
    done = checkout.make("setup")
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def restored(checkout: Checkout, target: str = "setup") -> subprocess.CompletedProcess[str]:
    """Set up again, and require that every package is as it was."""
    done = checkout.make(target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name for name in checkout.installed() if not name.startswith(("thesis", "pip", "setuptools"))} == {
        *(f"{name}-{version}" for name, version, _ in PACKAGES if version != "0.1"),
        "dgxcert-0.1.0",
    }
    return done


def test_setting_up_again_changes_nothing(made: Checkout) -> None:
    assert restored(made).stdout == ""


def test_what_was_changed_is_restored_and_what_a_user_installed_stays(made: Checkout) -> None:
    (made.venv / "share").mkdir()
    (made.venv / "share" / "thesis.txt").write_text("work", encoding="utf-8")
    made.pip("install", "thesis")  # which wants an older peft
    made.pip("uninstall", "-y", "datasets", "dgxcert")
    (made.site / "evaluate.py").write_text("print('debug')\n", encoding="utf-8")
    (made.site / "tokenizers.py").unlink()
    shutil.copytree(made.site / "accelerate-1.0.dist-info", made.site / "accelerate-0.9.dist-info")
    assert {"peft-0.1", "thesis-3.0"} <= made.installed()
    done = restored(made)
    assert "restoring in .venv: accelerate, datasets, dgxcert, evaluate, peft, tokenizers" in done.stdout
    for name in ("evaluate", "tokenizers", "peft"):
        assert (made.site / f"{name}.py").read_text(encoding="utf-8") == ""
    assert "thesis-3.0" in made.installed()
    assert "setup: thesis 3.0" in done.stderr  # named, because it conflicts with the stack
    assert (made.venv / "share" / "thesis.txt").read_text(encoding="utf-8") == "work"
    (made.venv / "dgxcert-setup").write_text("made by dgxcert's setup\n", encoding="utf-8")  # an interrupted setup
    restored(made)
    made.pip("uninstall", "-y", "thesis")
    assert restored(made).stdout == ""  # what a user removes again does not come back


def test_every_target_restores_a_package_that_is_missing(made: Checkout) -> None:
    made.pip("uninstall", "-y", "peft")
    assert "restoring in .venv: peft" in restored(made, "environment").stdout


def test_lost_pip_and_a_lost_interpreter_are_restored_in_place(made: Checkout) -> None:
    (made.site / "notes.py").write_text("", encoding="utf-8")
    shutil.rmtree(made.site / "pip")
    for link in made.venv.glob("bin/python*"):
        link.unlink()
        link.symlink_to("/nowhere/python3")
    restored(made)
    assert (made.site / "notes.py").exists()


def test_a_wheel_that_was_changed_is_refused_and_the_installed_one_stays(made: Checkout) -> None:
    path = made.wheels / "peft-1.0-py3-none-any.whl"
    kept = path.read_bytes()
    wheel(
        made.wheels, "peft", "1.0", "torch", {"peft.py": "import os  # changed in the folder of wheels\n"}, hashed=True
    )
    try:
        made.pip("uninstall", "-y", "peft")
        done = made.make("setup")
        assert done.returncode != 0
        assert "peft==1.0" in done.stderr
        assert "A file is not the one that the lock pins" in done.stderr
        assert "peft-1.0" not in made.installed()
        path.write_bytes(kept[:-30] + b"\0" + kept[-29:])  # one byte of the archive's directory
        assert "A file is not the one that the lock pins" in made.make("setup").stderr
    finally:
        path.write_bytes(kept)
    restored(made)


def test_torch_comes_from_its_lock_or_from_the_build_that_torch_names(made: Checkout) -> None:
    cpu = made.root / "torch-1.0+cpu-py3-none-any.whl"
    assert "torch-1.0" in made.installed()  # although a torch 1.0+cu999 is offered
    done = made.make("setup", "TORCH=torch==1.0+cu999")
    assert "torch is not the locked one: TORCH=torch==1.0+cu999, without a hash" in done.stderr
    assert "torch-1.0+cu999" in made.installed()
    shutil.rmtree(made.site / "torch-1.0+cu999.dist-info")
    assert "restoring in .venv: torch" in made.make("environment").stdout  # the choice is kept
    assert "torch-1.0+cu999" in made.installed()
    wrong = made.make("setup", f"TORCH={cpu} --hash=sha256:{'0' * 64}")
    assert "A file is not the one that the lock pins" in wrong.stderr
    shutil.copy(cpu, made.wheels)
    done = made.make("setup", "TORCH=locked")
    assert done.returncode == 0, done.stderr
    assert "torch-1.0+cpu" in made.installed()  # offered now, and in a lock
    (made.wheels / cpu.name).unlink()
    (made.venv / "dgxcert-setup").write_text("made by dgxcert's setup\n", encoding="utf-8")
    restored(made)


def contents(folder: Path) -> dict[str, str]:
    """The hash of every file of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", ["usr", "conda", "uv", "venv", "stamped by an earlier dgxcert"])
def test_somebody_elses_environment_is_left_as_it_is(made: Checkout, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "theirs"
    (folder / "share").mkdir(parents=True)
    (folder / "share" / "thesis.txt").write_text("work", encoding="utf-8")
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").symlink_to(sys.executable)
    if kind == "conda":
        (folder / "conda-meta").mkdir()
        (folder / "conda-meta" / "history").write_text("", encoding="utf-8")
        (folder / "bin" / "python").symlink_to(sys.executable)
    elif kind == "uv":
        (folder / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9\n", encoding="utf-8")
    elif kind != "usr":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    if kind.startswith("stamped"):
        (folder / "dgxcert-setup").write_text("0" * 64, encoding="ascii")
    before = contents(folder)
    done = made.make("setup", f"VENV={folder}")
    assert done.returncode != 0
    assert "was not made by `make setup`, so it is left as it is" in done.stderr
    assert "make setup VENV=.venv-dgxcert" in done.stderr
    assert made.make("clean", f"VENV={folder}").returncode == 0
    assert contents(folder) == before


def test_clean_removes_what_setup_made_and_nothing_else(setup: ModuleType, tmp_path: Path) -> None:
    venv, linked = tmp_path / ".venv", tmp_path / "linked"
    venv.mkdir()
    setup.Stamp().write(venv)
    linked.symlink_to(venv)
    setup._clean(linked)
    assert venv.exists()
    setup._clean(venv)
    setup._clean(venv)
    assert not venv.exists()


def test_an_environment_that_an_earlier_dgxcert_made_is_its_own(setup: ModuleType, tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(venv)], check=True)
    assert not setup._is_ours(venv)
    (venv / "dgxcert-setup").write_text("0" * 64, encoding="ascii")
    if "command = " in (venv / "pyvenv.cfg").read_text(encoding="utf-8"):
        lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8").replace("--clear --without-pip", "--clear")
        command = f"command = {sys.executable} -m venv --clear {venv}\n"
        (venv / "pyvenv.cfg").write_text(lines.split("command = ")[0] + command, encoding="utf-8")
    assert setup._is_ours(venv)
    assert setup._stamp(venv) == setup.Stamp()
