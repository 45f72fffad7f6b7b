"""`make uninstall` with a real engine: images by their id, volume and network by their project; nothing by force."""

import importlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
from paths import ROOT


@pytest.fixture
def project() -> str:
    return f"dgxcert-test-{uuid4().hex[:8]}"


@pytest.fixture
def uninstall(docker: str, project: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, for a project, a stand-in, a checkout and a list of builds of this test's own."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module = importlib.import_module("uninstall")
    (tmp_path / "checkout").mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(module, "PROJECT", project)
    monkeypatch.setattr(module, "STANDIN", f"{project}-standin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "argv", ["uninstall.py", "--yes"])
    monkeypatch.chdir(tmp_path)
    return module


class Docker:
    """A Docker CLI that must succeed."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, *words: str, content: bytes = b"") -> str:
        done = subprocess.run([self.path, *words], input=content, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def has(self, *words: str) -> bool:
        return subprocess.run([self.path, *words], capture_output=True, check=False).returncode == 0

    def image(self, name: str, content: str) -> str:
        """A small image with one file; returns its id."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            info = tarfile.TarInfo("file")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
        return self("import", "-", name, content=archive.getvalue())


def ended(module: ModuleType) -> int:
    try:
        module.main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def test_only_what_dgxcert_made_is_removed(
    uninstall: ModuleType, docker: str, project: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Docker(docker)
    label = f"{uninstall.OF_PROJECT}={project}"
    ours, theirs = run.image(f"{project}:ours", project), run.image(f"{project}:theirs", project + "2")
    state = tmp_path / "state" / "dgxcert" / "images.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps([{"id": ours, "labels": {}, "on_base": True}]), encoding="utf-8")
    run("volume", "create", "--label", label, f"{project}_cache")
    run("volume", "create", f"{project}_precious")
    run("network", "create", "--label", label, f"{project}_default")
    try:
        assert ended(uninstall) == 0
        said = capsys.readouterr().out
        assert f"removed: image {project}:ours" in said
        assert f"removed: volume {project}_cache" in said
        assert f"removed: network {project}_default" in said
        assert not run.has("image", "inspect", ours)
        assert not run.has("volume", "inspect", f"{project}_cache")
        assert not run.has("network", "inspect", f"{project}_default")
        assert run.has("image", "inspect", theirs)
        assert run.has("volume", "inspect", f"{project}_precious")
        assert not state.exists()
    finally:
        run("image", "rm", theirs)
        run("volume", "rm", f"{project}_precious")


def test_what_is_in_use_stays(
    uninstall: ModuleType, docker: str, project: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Docker(docker)
    ours = run.image(f"{project}:ours", project)
    state = tmp_path / "state" / "dgxcert" / "images.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps([{"id": ours, "labels": {}, "on_base": True}]), encoding="utf-8")
    run("volume", "create", "--label", f"{uninstall.OF_PROJECT}={project}", f"{project}_cache")
    holder = run("create", "--network", "none", "-v", f"{project}_cache:/cache", ours, "/file")
    try:
        assert ended(uninstall) == 1
        said = capsys.readouterr().err
        assert f"image {project}:ours" in said
        assert f"volume {project}_cache stays: " in said
        assert run.has("image", "inspect", ours)
        assert run.has("volume", "inspect", f"{project}_cache")
        assert ours in state.read_text(encoding="utf-8")
    finally:
        run("rm", holder)
    assert ended(uninstall) == 0
    assert not run.has("image", "inspect", ours)
