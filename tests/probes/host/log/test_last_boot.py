"""A crash of the last boot is seen in the journal or in pstore; only a load of this run shows that it was repaired."""

import os
from pathlib import Path

import pytest
from probes.host.test_kernel_log import HINT, tool

from dgxcert.judgement.computation import Computation
from dgxcert.outcome import AfterWork, Inconclusive
from dgxcert.probes.host import kernel_log
from dgxcert.probes.host.log import last_boot

LOST = "[ 8999.0] host kernel: NVRM: Xid (PCI:000f:01:00): 79, GPU has fallen off the bus."
ORDERLY = "[ 9000.1] host systemd[1]: Reached target reboot.target - System Reboot."
PANIC = "Panic#1 Part1\n<0>[ 8999.9] Kernel panic - not syncing: Fatal exception\n"
PROVEN = (*(f"{name}[gpu0]" for name in kernel_log.COMPUTING), last_boot.PROOF)
SEEN = {last_boot.MARK: "the last boot ended without a shutdown"}


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the programs, without a record in pstore."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(last_boot, "PSTORE", (tmp_path / "pstore",))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "crashed", "faults"),
    [
        (f"{LOST}\n", True, 1),
        (f"{LOST}\n{ORDERLY}\n", False, 1),
        ("[ 1.0] host kernel: usb 1-1: new device\n", True, 0),
        ("[ 9000.1] host systemd[1]: Shutting down.\n", False, 0),
        ("[ 9000.1] host systemd[1]: Reached target System Power Off.\n", False, 0),
        ("[ 9000.1] host systemd[2345]: Reached target shutdown.target - Shutdown.\n", True, 0),
        ("[ 9000.1] host python3[7]: systemd quotes kernel: NVRM: GPU has fallen off the bus\n", True, 0),
        ("", False, 0),
    ],
)
def test_only_a_boot_that_was_ended_in_good_order_did_not_crash(text: str, crashed: bool, faults: int) -> None:
    found = last_boot.parse(text)
    assert (found.crashed, len(found.faults)) == (crashed, faults)


def test_a_record_of_pstore_is_a_crash_whatever_the_journal_says() -> None:
    found = last_boot.parse(ORDERLY, (PANIC,))
    assert (found.crashed, found.source) == (True, "pstore")
    assert "Panic#1 Part1" in found.end


def test_a_record_counts_only_in_the_boot_that_found_it(tmp_path: Path) -> None:
    folder = tmp_path / "1755102938001" / "001"
    folder.mkdir(parents=True)
    (folder / "dmesg.txt").write_text(PANIC, encoding="utf-8")
    (folder / "other.txt").write_text("<6>[ 1.0] usb 1-1: new device\n", encoding="utf-8")
    found_at = (folder / "dmesg.txt").stat().st_ctime
    assert last_boot.read_pstore((tmp_path,), found_at - 30) == (PANIC,)
    assert last_boot.read_pstore((tmp_path,), found_at + 120) == ()
    assert last_boot.read_pstore((tmp_path / "absent",), 0.0) == ()


def test_the_kernels_own_record_is_dated_by_the_crash_before_this_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dmesg-efi-1").write_text(PANIC, encoding="utf-8")
    crashed_at = (tmp_path / "dmesg-efi-1").stat().st_ctime
    monkeypatch.setattr(last_boot, "AGE_S", {tmp_path: last_boot.AGE_S[last_boot.KERNELS]})
    assert last_boot.read_pstore((tmp_path,), crashed_at + 3600) == (PANIC,)
    assert last_boot.read_pstore((tmp_path,), crashed_at + 2 * 24 * 3600) == ()


def test_the_journal_of_the_last_boot_is_read_with_a_bound(journal: Path) -> None:
    tool(journal, "journalctl", f"{LOST}\n")
    assert last_boot.read().crashed
    called = (journal / "journalctl.called").read_text(encoding="utf-8")
    assert called == "C: -b -1 --no-pager -o short-monotonic -n 3000\n"


@pytest.mark.parametrize(
    "refusal",
    [
        "Data from the specified boot (-1) is not available: No such boot ID in journal",
        "No journal boot entry found from the specified boot offset (-1).",
        "Specifying boot ID or boot offset has no effect, no persistent journal was found.",
    ],
)
def test_a_first_boot_and_a_journal_that_is_not_kept_show_no_crash(journal: Path, refusal: str) -> None:
    tool(journal, "journalctl", stderr=refusal, code=1)
    assert (last_boot.read().crashed, last_boot.read().end) == (False, "nothing was kept of the last boot")


def test_without_a_journal_nothing_was_kept(journal: Path) -> None:
    assert not (journal / "journalctl").exists()
    assert not last_boot.read().crashed


@pytest.mark.parametrize(
    ("stdout", "stderr", "code"),
    [("", HINT, 0), ("", "No journal files were opened due to insufficient permissions.", 1), ("", "broken", 1)],
)
def test_a_journal_that_is_refused_is_inconclusive(journal: Path, stdout: str, stderr: str, code: int) -> None:
    tool(journal, "journalctl", stdout, stderr=stderr, code=code)
    with pytest.raises(Inconclusive, match="the end of the last boot cannot be read") as raised:
        last_boot.read()
    assert any("sudo usermod -aG adm $USER" in step for step in raised.value.remedy)


def test_before_the_work_a_crash_is_left_to_the_load() -> None:
    last_boot.parse(ORDERLY).require_survived(Computation(), 1.0, 30.0)
    with pytest.raises(AfterWork, match="ended without a shutdown"):
        last_boot.parse(LOST).require_survived(Computation(), 60.0, 30.0)


@pytest.mark.parametrize(
    ("planned", "passed", "minutes", "why"),
    [
        (PROVEN, PROVEN, 30.0, None),
        (PROVEN, PROVEN, 29.0, "the burn-in lasted 29 minutes, wanted 30"),
        (PROVEN, PROVEN[:-1], 60.0, "BURN-IN did not pass"),
        (PROVEN[:-1], PROVEN, 60.0, "nothing measured BURN-IN"),
    ],
)
def test_a_crash_is_settled_by_a_burn_in_alone(
    planned: tuple[str, ...], passed: tuple[str, ...], minutes: float, why: str | None
) -> None:
    done = Computation(planned, frozenset(passed), SEEN)
    if why is None:
        last_boot.parse(LOST).require_survived(done, minutes, 30.0)
        return
    with pytest.raises(Inconclusive, match=why) as raised:
        last_boot.parse(LOST).require_survived(done, minutes, 30.0)
    assert any("make burn-in MINUTES=60" in step for step in raised.value.remedy)


def test_the_boot_time_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_boot, "STAT", tmp_path / "stat")
    assert last_boot.boot_time_s() == float("inf")
    (tmp_path / "stat").write_text("cpu 1 2\nbtime 1755102938\n", encoding="ascii")
    assert last_boot.boot_time_s() == 1755102938.0
    assert os.access("/proc/stat", os.R_OK)
