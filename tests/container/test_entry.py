"""The entry, as far as no container is needed: what it refuses, what it takes over, and what it never follows."""

import importlib.util
import json
import os
import socket
import stat
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from needs import missing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def entry() -> ModuleType:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("entry", ROOT / "container" / "entry.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def status(mode: int, uid: int = 1000) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, 1000, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (status(stat.S_IFDIR | 0o700), ""),
        (status(stat.S_IFDIR | 0o755), ""),
        (status(stat.S_IFDIR | 0o770), "has mode 0770, which lets others write to it"),
        (status(stat.S_IFDIR | 0o707), "has mode 0707, which lets others write to it"),
        (status(stat.S_IFDIR | 0o700, 0), "belongs to user 0 and not to user 1000"),
        (status(stat.S_IFLNK | 0o777), "is a link"),
        (status(stat.S_IFREG | 0o600), "is no folder"),
        (status(stat.S_IFIFO | 0o600), "is no folder"),
    ],
)
def test_a_folder_is_a_cache_only_where_nobody_else_could_have_written(
    entry: ModuleType, found: os.stat_result, problem: str
) -> None:
    assert entry.unfit(found, 1000) == problem


@pytest.mark.parametrize("value", ["", "-1", "1000:0", "0x10", "\u0661", "4294967295", "root", "9" * 400])
def test_who_is_no_number_is_refused_in_one_line(
    entry: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setenv("DGXCERT_GID", value)
    with pytest.raises(SystemExit):
        entry.number("DGXCERT_GID")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "wanted a user's number: DGXCERT_GID=$(id -g)" in said


def offered(path: Path, content: bytes) -> threading.Thread:
    """A host that hands this over."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)

    def give() -> None:
        with listening, listening.accept()[0] as asking:
            asking.sendall(content)

    giving = threading.Thread(target=give, daemon=True)
    giving.start()
    return giving


def test_what_the_host_hands_over_is_taken(entry: ModuleType, tmp_path: Path) -> None:
    given: dict[str, Any] = {"token": "hf_x", "environment": {"HTTPS_PROXY": "http://proxy:3128"}}
    offered(tmp_path / "handover", json.dumps(given).encode())
    assert entry.handed(str(tmp_path / "handover")) == given


def test_without_a_host_nothing_is_waited_for(entry: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("none", "file", "file/handover"):
        assert entry.handed(str(tmp_path / path)) == {}


def test_a_token_by_hand_is_read_and_a_missing_one_is_none(entry: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" hf_x\n")
    assert entry.token_by_hand(str(tmp_path / "token")) == "hf_x"
    assert entry.token_by_hand(str(tmp_path / "none")) == ""


def test_the_token_is_kept_for_the_caller_alone_and_through_no_link(entry: ModuleType, tmp_path: Path) -> None:
    entry.keep_token("hf_x", str(tmp_path / "token"), os.getuid(), os.getgid())
    assert (tmp_path / "token").read_text() == "hf_x"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o400
    (tmp_path / "link").symlink_to(tmp_path / "made")
    with pytest.raises(FileExistsError):
        entry.keep_token("hf_x", str(tmp_path / "link"), os.getuid(), os.getgid())
    entry.keep_token("", str(tmp_path / "none"), os.getuid(), os.getgid())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "token"]


def test_the_cache_is_nobodys_and_each_folder_its_users(entry: ModuleType, tmp_path: Path) -> None:
    if os.getuid() != 0:
        missing("root, which the entry begins as", "Run the tests as root, as CI does")
    tmp_path.chmod(0o1777)  # as an older image made it
    cache = entry.take_cache(str(tmp_path), 65534)
    entry.make_own(cache, 4711, 4712)
    entry.make_own(cache, 4711, 4712)  # the next time it is there
    os.close(cache)
    assert (tmp_path.stat().st_uid, stat.S_IMODE(tmp_path.stat().st_mode)) == (65534, 0o755)
    own = (tmp_path / "4711").stat()
    assert (own.st_uid, own.st_gid, stat.S_IMODE(own.st_mode)) == (4711, 4712, 0o700)


def test_a_cache_that_is_a_link_is_not_followed(entry: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o777)
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError):
        entry.take_cache(str(tmp_path / "cache"), os.getuid())


def test_started_as_another_user_it_prepares_nothing(entry: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "execvp", lambda program, args: became.append([program, *args[1:]]))
    monkeypatch.setattr(entry.sys, "argv", ["entry.py", "list"])
    entry.main()
    assert became == [["python3", "-P", "-m", "dgxcert", "list"]]
