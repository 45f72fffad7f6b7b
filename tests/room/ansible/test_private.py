"""Private folders: the next call removes those whose owners were killed, and no others."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from dgxcert.room.ansible import private
from dgxcert.room.ansible.private import PrivateFolder

OWNS = """
import sys, time
from pathlib import Path
from dgxcert.room.ansible import private
private.PARENT = Path(sys.argv[1])
print(private.PrivateFolder().path, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(private, "PARENT", tmp_path)
    return tmp_path


@contextmanager
def owner(parent: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Another call, and its folder."""
    with subprocess.Popen([sys.executable, "-c", OWNS, parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_nobody_else_can_enter_it_and_nothing_is_left_of_it(parent: Path) -> None:
    with PrivateFolder() as folder:
        assert (folder.parent, folder.stat().st_mode & 0o777) == (parent, 0o700)
        (folder / "socket").touch()
    assert list(parent.iterdir()) == []


def test_one_whose_owner_was_killed_is_removed_by_the_next(parent: Path) -> None:
    with owner(parent) as (process, left):
        (left / "c").mkdir()
        PrivateFolder().remove()
        assert left.exists(), "its owner lives"
        process.kill()
        process.wait()
        assert left.exists()
        PrivateFolder().remove()
        assert not left.exists()


def test_another_users_is_left_alone(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (parent / "dgxr-theirs").mkdir()
    (parent / "dgxr-theirs" / private.OWNER).touch()
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    PrivateFolder().remove()
    assert (parent / "dgxr-theirs").exists()
    monkeypatch.setattr(os, "geteuid", lambda: own)
    PrivateFolder().remove()
    assert not (parent / "dgxr-theirs").exists()


def test_what_only_has_such_a_name_is_left_alone(parent: Path) -> None:
    (parent / "elsewhere").mkdir()
    (parent / "elsewhere" / private.OWNER).touch()
    (parent / "dgxr-unlocked").mkdir()
    (parent / "dgxr-link").symlink_to(parent / "elsewhere")
    (parent / "dgxr-file").touch()
    os.mkfifo(parent / "dgxr-pipe")
    PrivateFolder().remove()
    assert sorted(path.name for path in parent.iterdir()) == [
        "dgxr-file",
        "dgxr-link",
        "dgxr-pipe",
        "dgxr-unlocked",
        "elsewhere",
    ]
    assert (parent / "elsewhere" / private.OWNER).exists()


def test_calls_that_begin_together_keep_their_own(parent: Path) -> None:
    def make(_: int) -> PrivateFolder:
        return PrivateFolder()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            made = list(pool.map(make, range(8)))
            assert sorted(each.path for each in made) == sorted(parent.iterdir())
            for each in made:
                each.remove()


def test_one_that_is_taken_for_abandoned_before_it_is_owned_is_made_again(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = private.fcntl.flock, list[Path]()

    def taken_first(handle: int, way: int) -> None:
        if not taken:
            taken.append(Path(os.readlink(f"/proc/self/fd/{handle}")).parent)
            shutil.rmtree(taken[0])
        lock(handle, way)

    monkeypatch.setattr(private.fcntl, "flock", taken_first)
    with PrivateFolder() as folder:
        assert folder.exists()
        assert [folder] != taken
