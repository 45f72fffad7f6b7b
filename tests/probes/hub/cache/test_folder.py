"""Folder: what is tried is removed again, and each kind of trouble is told apart by the kernel's own answer."""

import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.probes.hub.cache import folder, trouble
from dgxcert.probes.hub.cache.folder import Failed

MARK = "0123456789ab"


def failure(path: Path) -> Failed:
    with pytest.raises(Failed) as raised:
        folder.attempt(path, MARK)
    return raised.value


def test_healthy_folder_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("kept")
    os.utime(tmp_path, ns=(1, 2))
    assert folder.attempt(tmp_path, MARK) == []
    assert [path.name for path in tmp_path.iterdir()] == ["blob"]
    assert tmp_path.stat().st_mtime_ns == 2


def test_missing_folder_is_tried_where_it_would_be_made_and_not_made(tmp_path: Path) -> None:
    assert folder.attempt(tmp_path / "hf" / "hub", MARK) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, "permission"),
        (errno.EPERM, "permission"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "quota"),
        (errno.ESTALE, "lost"),
        (errno.EIO, "lost"),
        (errno.ENOTCONN, "lost"),
    ],
)
def test_error_of_the_kernel_is_a_kind_of_trouble(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, kind: str
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    failed = failure(tmp_path / "hub")
    assert (failed.kind, failed.path) == (kind, tmp_path)
    assert os.strerror(number) in failed.detail


def test_owner_and_mode_are_named_where_they_are_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert f"belongs to {trouble.user(os.getuid())}" in failure(tmp_path).detail
    assert "with mode 0750" in failure(tmp_path).detail


@pytest.mark.parametrize(
    ("inodes", "left", "kind"),
    [(1000, 0, "no-inode"), (1000, 1, "full"), (0, 0, "full")],
    ids=["ext4", "room", "btrfs"],
)
def test_a_disk_without_inodes_is_told_from_a_full_one(
    monkeypatch: pytest.MonkeyPatch, inodes: int, left: int, kind: str
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=inodes, f_favail=left))
    error = OSError(errno.ENOSPC, "No space left on device")
    assert trouble.kind_of(error, Path("/")) == kind
    assert ("no inode is left" in trouble.described(Path("/"), error)) is (kind == "no-inode")


@pytest.mark.parametrize(("flags", "word"), [(trouble.IMMUTABLE, "immutable"), (trouble.APPEND_ONLY, "append-only")])
def test_folder_that_chattr_protects_is_not_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: int, word: str
) -> None:
    monkeypatch.setattr(trouble, "flags_of", lambda _: flags)

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    if flags == trouble.IMMUTABLE:
        monkeypatch.setattr(Path, "mkdir", refuse)
    failed = failure(tmp_path)
    assert failed.kind == "immutable"
    assert word in failed.detail
    assert list(tmp_path.iterdir()) == []


def test_dangling_link_file_and_loop_in_the_place_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("")
    (tmp_path / "linked").symlink_to(tmp_path / "file")
    kinds = {name: failure(tmp_path / name / "hub").kind for name in ("dangling", "loop", "file", "linked")}
    assert kinds == {"dangling": "dangling", "loop": "loop", "file": "not-a-folder", "linked": "not-a-folder"}
    assert "gone, which does not exist" in failure(tmp_path / "dangling").detail
    assert not (tmp_path / "gone").exists()


def test_linked_folder_is_followed_as_the_client_does(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "hub").symlink_to(tmp_path / "disk")
    assert folder.attempt(tmp_path / "hub", MARK) == []


def test_path_that_no_model_fits_below_is_too_long(tmp_path: Path) -> None:
    assert failure(tmp_path / (("x" * 200 + "/") * 19)).kind == "too-long"
    assert failure(tmp_path / ("x" * 300)).kind == "too-long"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EAGAIN])
def test_file_system_that_cannot_lock_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    failed = failure(tmp_path)
    assert failed.kind == "no-locks"
    assert os.strerror(number) in failed.detail
    assert list(tmp_path.iterdir()) == []


def test_locks_by_files_and_locks_that_keep_nobody_out_are_notes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    assert "no flock" in folder.attempt(tmp_path, MARK)[0]
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert "keeps nobody out" in folder.attempt(tmp_path, MARK)[0]


def test_file_system_without_links_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert "no symbolic links" in folder.attempt(tmp_path, MARK)[0]
