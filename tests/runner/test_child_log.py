"""A log has no secret in it, waits for nobody, and has a largest size."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from dgxcert.runner import child_log
from dgxcert.runner.child_log import ChildLog

SECRET = "Xq7PlantedSecret99zz"


def logged(path: Path, program: str) -> str:
    path.unlink(missing_ok=True)
    with ChildLog(path.open("xb"), path) as log:
        subprocess.run(["sh", "-c", program], stdout=log.pipe, stderr=log.pipe, check=True)
        log.settled()
    return path.read_text(encoding="utf-8", errors="replace")


def test_what_a_child_prints_is_redacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    halves = f"printf 'a {SECRET[:9]}'; sleep 0.3; printf '{SECRET[9:]}\\nb\\n'"
    assert logged(tmp_path / "log", halves) == "a [secret]\nb\n"
    assert logged(tmp_path / "log", f"printf 'a {SECRET[:9]}\\n{SECRET[9:]}\\nb'") == "a [secret]\nb"


def test_a_private_key_is_redacted_as_a_whole(tmp_path: Path) -> None:
    begin, end = "echo '-----BEGIN RSA PRIVATE KEY-----'; echo x7Qm2k", "echo '-----END RSA PRIVATE KEY-----'"
    key = f"{begin}; sleep 0.5; echo x7Qm2k; {end}"
    assert logged(tmp_path / "log", f"echo a; {key}; echo b") == "a\n[secret]\nb\n"


def test_bytes_that_are_no_text_are_kept(tmp_path: Path) -> None:
    logged(tmp_path / "log", "printf '\\377\\376\\n'")
    assert (tmp_path / "log").read_bytes() == b"\xff\xfe\n"


def test_a_grandchild_that_keeps_the_pipe_open_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_log, "GRACE_S", 0.1)
    with ChildLog((tmp_path / "log").open("xb"), tmp_path / "log") as log:
        left = subprocess.Popen(["sleep", "60"], stdout=log.pipe)
    left.kill()
    left.wait()


def test_a_grandchild_that_prints_without_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_log, "GRACE_S", 0.1)
    log = ChildLog((tmp_path / "log").open("xb"), tmp_path / "log")
    log.__enter__()
    left = subprocess.Popen(["yes"], stdout=log.pipe)
    closing = threading.Thread(target=log.__exit__, args=(None, None, None), daemon=True)
    closing.start()
    closing.join(10)
    waits = closing.is_alive()
    left.kill()
    left.wait()
    assert not waits


def test_a_log_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_log, "LARGEST", 1000)
    text = logged(tmp_path / "log", "head -c 300000 /dev/zero | tr '\\0' '\\n'")
    assert len(text) < 1100
    assert text.endswith("it has reached its limit)\n")


def test_a_secret_over_the_end_of_a_piece_is_found_in_a_large_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    monkeypatch.setattr(child_log, "SEEN_AT_ONCE", 200)
    monkeypatch.setattr(child_log, "CHUNK", 50)
    monkeypatch.setattr(child_log, "IDLE_S", 0.05)
    lines = "i=0; while [ $i -lt 40 ]; do echo line$i; i=$((i+1)); done"
    halves = f"printf '{SECRET[:9]}\\n'; sleep 0.3; printf '{SECRET[9:]}\\n'"
    text = logged(tmp_path / "log", f"{lines}; {halves}; {lines}; {halves}; {lines}; {halves}")
    assert text.count("[secret]") == 3
    assert text.count("line39") == 3
    assert SECRET[9:] not in text
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_full_disk_ends_a_log_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(file: int, content: bytes) -> int:
        if b"more" in content:
            raise OSError(28, "No space left on device")
        return write(file, content)

    monkeypatch.setattr(child_log, "IDLE_S", 0.05)
    monkeypatch.setattr(child_log.os, "write", full)
    text = logged(tmp_path / "log", "seq 100; sleep 0.3; echo more; sleep 0.3; echo b")
    assert text.startswith("1\n2\n3\n")
    assert text.endswith("\n(the log ends here: No space left on device)\n")
    assert len(text) == len("".join(f"{number}\n" for number in range(1, 101)))
