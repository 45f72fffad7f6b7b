"""Trial: troubles of the user's folders are named in time, with their own remedy, and nothing stays behind."""

import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.probes.hub import causes
from dgxcert.probes.hub import diagnosis as hub
from dgxcert.probes.hub.cache import locks, places, repositories, trial, trouble
from dgxcert.probes.hub.cache.places import Place
from dgxcert.probes.hub.cache.remedy import remedy_of
from dgxcert.probes.hub.cache.trial import Trial
from dgxcert.probes.hub.cache.trouble import Trouble

pytestmark = pytest.mark.usefixtures("plain_hub_environment")
MARK = "0123456789ab"
ASK = """
import json
from datasets import config
from huggingface_hub import constants
print(json.dumps({
    "HF_HUB_CACHE": constants.HF_HUB_CACHE,
    "HF_XET_CACHE": constants.HF_XET_CACHE,
    "HF_DATASETS_CACHE": str(config.HF_DATASETS_CACHE),
    "downloads": str(config.DOWNLOADED_DATASETS_PATH),
}))
"""
OURS = """
from dgxcert.probes.hub.cache import places
for place in places.all_of_them():
    print(f"{place.variable}={place.path}")
"""
LOCKED = Trouble("permission", "/lab/xet", "the cache of Xet", "HF_XET_CACHE", "/lab/xet belongs to uid 7")


def test_healthy_home_has_no_trouble_and_stays_empty(tmp_path: Path) -> None:
    done = trial.read()
    assert done.troubles == ()
    assert "the Hub cache" in done.summary
    assert not (tmp_path / "home").exists()


def test_every_kind_of_trouble_has_a_cause_and_a_remedy() -> None:
    for kind, cause in trouble.CAUSES.items():
        assert kind == "noexec" or cause in causes.CAUSES
        assert remedy_of((replace(LOCKED, kind=kind),))


def test_remedy_names_the_folders_and_one_that_was_tried() -> None:
    other = replace(LOCKED, path="/lab/hub x", variable="HF_HUB_CACHE", place="the Hub cache")
    steps = remedy_of((replace(LOCKED, elsewhere="/home/lab/huggingface"), other))
    assert steps[0] == "Look at the owner: ls -ld /lab/xet '/lab/hub x'"
    assert "export HF_XET_CACHE=/home/lab/huggingface/xet HF_HUB_CACHE=/home/lab/huggingface/hub" in steps[1]
    assert any("sudo chown" in step and "-R" not in step for step in steps)
    legacy = remedy_of((replace(LOCKED, variable="TRANSFORMERS_CACHE"),))
    assert "Let transformers use the Hub cache: unset TRANSFORMERS_CACHE" in legacy


def test_a_certain_trouble_comes_before_one_that_may_pass() -> None:
    held = replace(LOCKED, kind="lock-held")
    assert Trial((), (held, LOCKED), ()).first == LOCKED
    assert Trial((), (replace(LOCKED, needed=False),), ()).first is None
    assert Trial((), (LOCKED, LOCKED), ()).alike == (LOCKED,)


def test_place_that_does_not_answer_is_named_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(
        "import json, time; print(json.dumps({'begun': 'the Hub cache (/nfs)'}), flush=True); time.sleep(60)"
    )
    run = command.run
    monkeypatch.setattr(
        command, "run", lambda args, timeout_s: run([sys.executable, str(tmp_path / "late.py")], timeout_s=1)
    )
    started = time.monotonic()
    result = hub.diagnose()
    assert time.monotonic() - started < 10
    assert (result.failed, result.steps[-1].cause, result.conclusive) == ("folders", "cache-late", False)
    assert "the Hub cache (/nfs)" in result.summary


def test_first_trouble_is_the_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "read", lambda: Trial(("x",), (LOCKED,), ()))
    result = hub.diagnose()
    assert (result.failed, result.steps[-1].cause, result.conclusive) == ("folders", "cache-locked", True)
    assert result.remedy[0] == "Look at the owner: ls -ld /lab/xet"


def repository(cache: Path, *, complete: bool = True) -> Path:
    """A repository with one file, of which a part is missing where it is not complete."""
    folder = cache / "models--org--name"
    (folder / "blobs").mkdir(parents=True)
    (folder / "snapshots" / "0").mkdir(parents=True)
    (folder / "blobs" / "e").write_text("x")
    (folder / "snapshots" / "0" / "config.json").symlink_to(folder / "blobs" / ("e" if complete else "gone"))
    return folder


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders in which nothing can be made."""
    folders: list[Path] = []
    mkdir = Path.mkdir

    def make(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if path.parent in folders:
            raise PermissionError(13, "Permission denied", str(path))
        mkdir(path, mode, parents, exist_ok)

    monkeypatch.setattr(Path, "mkdir", make)
    return folders


def test_locked_repository_is_named_only_where_it_is_not_complete(tmp_path: Path, refused: list[Path]) -> None:
    whole = repository(tmp_path / "a")
    torn = repository(tmp_path / "b", complete=False)
    refused += [whole / "blobs", torn / "blobs"]
    assert list(repositories.attempt(whole, MARK)) == []
    assert [(failed.kind, failed.path) for failed in repositories.attempt(torn, MARK)] == [
        ("permission", torn / "blobs")
    ]
    (whole / "blobs" / "e.12345678.incomplete").write_text("")
    assert len(list(repositories.attempt(whole, MARK))) == 1


def test_links_out_of_the_cache_are_not_followed(tmp_path: Path, refused: list[Path]) -> None:
    torn = repository(tmp_path / "other", complete=False)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / torn.name).symlink_to(torn)
    refused.append(torn / "blobs")
    assert repositories.newest(tmp_path / "hub") == []


def test_what_stands_in_the_place_of_a_repository_is_named(tmp_path: Path) -> None:
    gone, file = tmp_path / "models--org--gone", tmp_path / "models--org--file"
    gone.symlink_to(tmp_path / "unmounted")
    file.write_text("")
    assert set(repositories.newest(tmp_path)) == {gone, file}
    assert [failed.kind for failed in repositories.attempt(gone, MARK)] == ["dangling"]
    assert [failed.kind for failed in repositories.attempt(file, MARK)] == ["not-a-folder"]


def test_blobs_on_a_disk_that_is_gone_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "models--org--name"
    folder.mkdir()
    (folder / "blobs").symlink_to(tmp_path / "unmounted")
    assert [(failed.kind, failed.path) for failed in repositories.attempt(folder, MARK)] == [
        ("dangling", folder / "blobs")
    ]


def test_locks_of_another_user_are_named_before_anything_is_downloaded(tmp_path: Path, refused: list[Path]) -> None:
    locked = tmp_path / ".locks" / "models--org--name"
    locked.mkdir(parents=True)
    refused.append(locked)
    (found,) = repositories.newest(tmp_path)
    assert [failed.path for failed in repositories.attempt(found, MARK)] == [locked]


def test_the_probed_repository_is_tried_before_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repositories, "MOST", 2)
    for age, name in enumerate(("models--c--c", "models--b--b", "models--a--a")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    names = [path.name for path in repositories.newest(tmp_path, ("models--a--a",))]
    assert names == ["models--a--a", "models--c--c"]


def lock_of(cache: Path, etag: str = "e2") -> Path:
    lock = cache / ".locks" / "models--org--name" / f"{etag}.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    return lock


def test_lock_of_another_user_is_named_while_its_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = repository(tmp_path), lock_of(tmp_path)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(locks, "take", refuse)
    assert [(failed.kind, failed.path) for failed in repositories.attempt(folder, MARK)] == [("permission", lock)]
    (folder / "blobs" / "e2").write_text("there")
    assert list(repositories.attempt(folder, MARK)) == []


@pytest.mark.parametrize("at_work", [True, False])
def test_lock_that_is_held_is_named_with_its_process_unless_it_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_work: bool
) -> None:
    folder, lock = repository(tmp_path), lock_of(tmp_path)
    program = f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, 2); print(flush=True); time.sleep(60)"
    monkeypatch.setattr(locks, "BUSY_S", 120.0 if at_work else -1.0)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            found = list(repositories.attempt(folder, MARK))
        finally:
            process.kill()
    assert [failed.kind for failed in found] == ([] if at_work else ["lock-held"])
    assert at_work or f"(pid {process.pid})" in found[0].detail
    assert list(repositories.attempt(folder, MARK)) == []
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_lock_of_a_data_set_is_named_where_it_cannot_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.lock").symlink_to(tmp_path / "b")
    assert [failed.kind for failed in repositories.of_data_sets(tmp_path)] == ["loop"]


def test_folders_of_xet_are_tried_without_its_logs(tmp_path: Path, refused: list[Path]) -> None:
    for name in ("logs", "store/staging"):
        (tmp_path / name).mkdir(parents=True)
    refused += [tmp_path / "logs", tmp_path / "store" / "staging"]
    assert [failed.path for failed in repositories.of_xet(tmp_path, MARK)] == [tmp_path / "store" / "staging"]


def test_places_are_where_the_installed_clients_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked in a fresh process, because the clients read their variables once."""
    pytest.importorskip("datasets", reason="needs the stack: make setup")
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "x"))
    printed = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout
    ours = subprocess.run([sys.executable, "-c", OURS], capture_output=True, text=True, check=True).stdout
    for name, path in json.loads(printed).items():
        assert f"{'HF_DATASETS_CACHE' if name == 'downloads' else name}={path}" in ours.splitlines()


@pytest.mark.parametrize("variable", ["", *places.LEGACY])
def test_models_are_where_transformers_itself_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Asked in a fresh process; transformers before 5.0 has the constant, later ones read the Hub's."""
    pytest.importorskip("transformers", reason="needs the stack: make setup")
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "lab"))
    ask = "from transformers.utils import hub; print(getattr(hub, 'TRANSFORMERS_CACHE', hub.constants.HF_HUB_CACHE))"
    args = [sys.executable, "-W", "ignore", "-c", ask]
    theirs = subprocess.run(args, capture_output=True, text=True, check=True).stdout.strip()
    assert str(places.models_cache()) == theirs
    named = f"the cache of {variable}" in [place.name for place in places.all_of_them()]
    assert named is (theirs == str(tmp_path / "lab"))


def test_folder_of_xet_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hf_xet 1.8 downloads with its own folder on a full tmpfs, and fails where it cannot make folders in it."""
    sizes: list[int] = []
    monkeypatch.setattr(trial.folder, "attempt", lambda path, mark, written: sizes.append(written) or [])
    for place in places.all_of_them():
        list(trial.attempt(place, MARK, 5))
    kept = [place.variable != "HF_XET_CACHE" for place in places.all_of_them()]
    assert [bool(size) for size in sizes] == kept


def test_noexec_is_told_of_a_place_that_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.statvfs(tmp_path)
    place = Place("kernels", tmp_path, "TRITON_CACHE_DIR", needed=False, executes=True)
    assert list(trial.attempt(place, MARK, 1)) == []
    flags = type("Status", (), {"f_flag": status.f_flag | os.ST_NOEXEC})
    monkeypatch.setattr(os, "statvfs", lambda _: flags)
    assert [found.kind for found in trial.attempt(place, MARK, 1) if isinstance(found, Trouble)] == ["noexec"]
