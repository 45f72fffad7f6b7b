"""`dgxcert cache` verifies every checkpoint in the cache, and prints how to download what the profile needs."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dgxcert import cli
from dgxcert.machine.identity import Machine
from dgxcert.probes.hub import model_cache
from dgxcert.profiles.checkpoints import KNOWN
from dgxcert.runner import session

MACHINE = Machine(hostname="here", kernel="6.14", architecture="aarch64", cores=20)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_missing_files_are_listed_with_the_command_that_downloads_them(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(session, "read_machine", lambda: MACHINE)
    (cache / "models--someone--else").mkdir(parents=True)
    shown = CliRunner().invoke(cli.app, ["cache", "--profile", "cpu"])
    assert shown.exit_code == 1
    assert "  missing    config.json: is missing" in shown.output
    assert "2 of the 2 that the profile needs are not usable; not pinned: someone/else" in shown.output
    assert f"to download it: {KNOWN['gpt2'].fetch}" in shown.output


def test_a_complete_cache_needs_the_branch_that_notebooks_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "read_machine", lambda: MACHINE)
    monkeypatch.setattr(
        model_cache, "_verify_file", lambda folder, name, pin: model_cache.CachedFile(name, "verified", "as pinned")
    )
    shown = CliRunner().invoke(cli.app, ["cache", "--profile", "cpu"])
    assert shown.exit_code == 1
    assert "main is not in the cache, which code that names no revision loads" in shown.output
    for checkpoint in KNOWN.values():
        main = model_cache.snapshot(checkpoint).parents[1] / "refs" / "main"
        main.parent.mkdir(parents=True)
        main.write_text(checkpoint.revision)
    shown = CliRunner().invoke(cli.app, ["cache", "--profile", "cpu"])
    assert shown.exit_code == 0
    assert ": complete" in shown.output


def test_one_repository_is_verified_by_the_hubs_own_hashes(cache: Path, tmp_path: Path) -> None:
    snapshot = cache / "models--org--name" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (cache / "models--org--name" / "blobs").mkdir()
    blob = cache / "models--org--name" / "blobs" / "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    blob.write_text("")
    (snapshot / "config.json").symlink_to(blob)
    shown = CliRunner().invoke(cli.app, ["cache", "--repo", "org/name"])
    assert (shown.exit_code, "1 verified" in shown.output) == (0, True)
    blob.write_text("changed")
    shown = CliRunner().invoke(cli.app, ["cache", "--repo", "org/name"])
    assert (shown.exit_code, "1 wrong" in shown.output) == (1, True)
    shown = CliRunner().invoke(cli.app, ["cache", "--repo", "org/other"])
    assert (shown.exit_code, "hf download org/other" in shown.output) == (1, True)
