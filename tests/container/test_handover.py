"""What is handed over reaches the first who asks, and is in no file, text or second answer."""

import json
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.container import handover
from dgxcert.container.handover import Handover

SECRETS = Handover("hf_between_us", {"HTTPS_PROXY": "http://me:between-us@proxy:3128"})


def ask(folder: Path) -> bytes:
    """Ask as the entry does."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.path.relpath(folder / handover.NAME))
        return b"".join(iter(lambda: asking.recv(65536), b""))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_first_who_asks_gets_it_and_nobody_else(tmp_path: Path) -> None:
    giving = handover.offer(tmp_path, SECRETS)
    assert json.loads(ask(tmp_path)) == {"token": SECRETS.token, "environment": SECRETS.environment}
    giving.join(5)
    assert not giving.is_alive()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        ask(tmp_path)


def test_a_folder_may_have_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    handover.offer(deep, SECRETS)
    monkeypatch.chdir(deep)
    assert b"hf_between_us" in ask(deep)


def test_nobody_who_asks_is_waited_for_only_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "ASKED_WITHIN_S", 0.05)
    giving = handover.offer(tmp_path, SECRETS)
    giving.join(5)
    assert not giving.is_alive()


def test_where_there_can_be_no_socket_is_an_error(tmp_path: Path) -> None:
    (tmp_path / handover.NAME).mkdir()
    with pytest.raises(OSError, match="in use"):
        handover.offer(tmp_path, SECRETS)


def test_its_text_shows_nothing_of_it() -> None:
    assert "between" not in f"{SECRETS} {SECRETS!r}"


def test_a_process_that_becomes_another_program_leaves_the_offer_behind(tmp_path: Path) -> None:
    program = (
        "import os; from dgxcert.container import handover\n"
        "folder = handover.offer_after_exec(handover.Handover('hf_between_us'))\n"
        "os.execv('/bin/echo', ['echo', str(folder)])"
    )
    done = command.run([sys.executable, "-c", program], timeout_s=30, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, "its output ends with it"
    folder = Path(done.stdout.strip())
    assert folder.parent == tmp_path
    assert (folder.stat().st_mode & 0o777, [path.name for path in folder.iterdir()]) == (0o700, [handover.NAME])
    assert json.loads(ask(folder))["token"] == "hf_between_us"
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []
