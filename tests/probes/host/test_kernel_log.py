"""A fault in the kernel log is never missed, a program's crash is none, and a missing log is inconclusive."""

import os
from pathlib import Path

import paths
import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import kernel_log, xid
from dgxcert.probes.host.kernel_log import parse
from dgxcert.probes.host.log import reading
from dgxcert.probes.host.xid import Kind

RECORDED = paths.RECORDED / "kernel_log"
HEALTHY = (RECORDED / "spark-healthy.txt").read_text(encoding="utf-8")
CUT = (RECORDED / "cut.txt").read_text(encoding="utf-8")
JOURNAL = (RECORDED / "spark-journal.txt").read_text(encoding="utf-8")

REFUSED = "dmesg: read kernel buffer failed: Operation not permitted"
HINT = (
    "Hint: You are currently not seeing messages from other users and the system.\n"
    "      Users in groups 'adm', 'systemd-journal' can see all messages.\n"
    "      Pass -q to turn off this notice."
)


def tool(folder: Path, name: str, stdout: str = "", *, stderr: str = "", code: int = 0, hangs: bool = False) -> Path:
    """A program of that name, which records how it is called."""
    (folder / f"{name}.out").write_text(stdout, encoding="utf-8")
    (folder / f"{name}.err").write_text(stderr, encoding="utf-8")
    lines = [
        f'echo "$LC_ALL: $@" >> "{folder}/{name}.called"',
        f'/bin/cat "{folder}/{name}.out"',
        f'/bin/cat "{folder}/{name}.err" >&2',
        "exec /bin/sleep 60" if hangs else f"exit {code}",
    ]
    program = folder / name
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def events_of(name: str) -> list[tuple[str, str, str]]:
    """Kind, name and GPU of each event of a recorded log."""
    log = parse((RECORDED / f"{name}.txt").read_text(encoding="utf-8"))
    return [(event.kind.value, event.name, event.gpu) for event in log.events]


LOGS: dict[str, list[tuple[str, str, str]]] = {
    "spark-healthy": [],
    "empty": [],
    "spark-journal": [("fault", "Xid 119", "000f:01:00")],
    "spark-gsp": [
        ("fault", "GSP not responding", ""),
        *[(Kind.FAULT, f"Xid {number}", "000f:01:00") for number in (119, 120, 154)],
    ],
    "spark-half-updated": [
        ("fault", "SEC2 timeout", ""),
        ("fault", "secure boot timeout", ""),
        ("fault", "RmInitAdapter failed", "000f:01:00"),
        ("fault", "rm_init_adapter failed", "000f:01:00"),
    ],
    "spark-closed-module": [("fault", "Xid 169", "000f:01:00"), ("fault", "RmInitAdapter failed", "000f:01:00")],
    "spark-frozen": [("fault", "soft lockup", ""), ("fault", "hung task", "")],
    "programs": [
        ("application", "Xid 31", "0000:2b:00"),
        *[("application", "Xid 13", "0000:38:00")] * 3,
        ("application", "Xid 43", "0000:38:00"),
        ("application", "Xid 45", "0000:61:00"),
        ("note", "out of memory", ""),
    ],
    "memory-rows": [(Kind.FAULT, f"Xid {number}", "0000:19:00") for number in (48, 63, 94, 94)],
    "nvlink5": [
        ("note", "Xid 145", "0018:01:00"),
        ("fault", "Xid 149", "0009:01:00"),
        ("fault", "Xid 154", "0009:01:00"),
        ("fault", "Xid 154", "0019:01:00"),
    ],
    "nvswitch": [("fault", "SXid 20034", "0000:00:00"), ("note", "SXid 12028", "0000:05:00")],
    "hung-in-driver": [("fault", "hung task", "")],
    "hung-on-disk": [("note", "hung task", "")] * 2,
    "cut": [("application", "Xid 43", "0000:38:00")],
    "spark-memory": [(Kind.FAULT, name, "") for name in ("hardware error", *["memory failure"] * 2, "EDAC UE")],
    "spark-corrected": [
        *[("note", "hardware error", "")] * 2,
        ("note", "EDAC CE", ""),
        *[("note", "PCIe error", address) for address in ("0002:00:00", "0002:01:00")],
    ],
    "spark-pcie": [
        *[(Kind.FAULT, "PCIe error", address) for address in ("0000:00:00", "0000:01:00")],
        ("fault", "RCU stall", ""),
    ],
    "spark-boot-record": [("fault", "hardware error", "")],
    "crash-log": [("note", "hardware error", "")],
    "virtual-busy": [("note", "soft lockup", ""), ("note", "RCU stall", "")],
}


@pytest.mark.parametrize("name", LOGS)
def test_each_event_of_a_recorded_log_has_its_kind_name_and_gpu(name: str) -> None:
    assert events_of(name) == LOGS[name]


def test_every_recorded_log_has_a_test_and_an_origin() -> None:
    assert {path.stem for path in RECORDED.glob("*.txt")} == set(LOGS)
    readme = (RECORDED / "README.md").read_text(encoding="utf-8")
    assert [name for name in LOGS if name != "empty" and f"| {name}.txt |" not in readme] == []


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("spark-half-updated", "update"),
        ("spark-closed-module", "module"),
        ("spark-gsp", "restart"),
        ("spark-frozen", "hang"),
        ("memory-rows", "reset"),
        ("nvlink5", "link"),
        ("hung-in-driver", "hang"),
        ("spark-memory", "hardware"),
        ("spark-boot-record", "hardware"),
        ("spark-pcie", "bus"),
    ],
)
def test_the_remedy_is_that_of_the_worst_fault(name: str, row: str) -> None:
    assert parse((RECORDED / f"{name}.txt").read_text(encoding="utf-8")).remedy == xid.REMEDIES[row]


@pytest.mark.parametrize(
    "name", ["spark-healthy", "programs", "hung-on-disk", "empty", "spark-corrected", "virtual-busy"]
)
def test_without_a_fault_there_is_no_remedy(name: str) -> None:
    assert parse((RECORDED / f"{name}.txt").read_text(encoding="utf-8")).remedy == ()


LINE = "NVRM: Xid (PCI:000f:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "<4>",
        "[  130.456250] ",
        "[430954.509105] ",
        "<4>[  130.456250] ",
        "[  130.456250] [   T1946] ",
        "[  130.456250][    C5] ",
        "[Sun Feb 23 16:24:18 2025] ",
        "[Sun Feb  2 16:24:18 2025] ",
        "kern  :warn  : 2025-01-21T02:21:33,498559+00:00 ",
        "kern  :warn  : [  130.456250] ",
        "2024-11-15T12:02:03,470068+00:00 ",
        "[  130.456250] spark-2a60 kernel: ",
        "Feb 23 16:24:18 spark-2a60 kernel: ",
    ],
)
def test_an_xid_is_read_behind_every_prefix(prefix: str) -> None:
    (event,) = parse(f"{prefix}{LINE}\n").events
    assert (event.name, event.gpu, event.kind, event.line) == ("Xid 79", "000f:01:00", Kind.FAULT, LINE)


@pytest.mark.parametrize(
    ("line", "name", "gpu"),
    [
        ("NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, Contained: CE User Channel", "Xid 94", "0000:01:00"),
        ("NVRM: Xid (PCI:0000:3B:00 GPU-I:01 GPU-CI:02): 79, pid=9, name=a, fallen off", "Xid 79", "0000:3B:00"),
        ("NVRM: Xid (PCI:0000:01:00): 79, ", "Xid 79", "0000:01:00"),
        ("NVRM: Xid (PCI:0000:01:00): 79", "Xid 79", "0000:01:00"),
        ("NVRM: Xid (0000:03:00): 79, GPU has fallen off the bus.", "Xid 79", "0000:03:00"),
        ("NVRM: Xid 119, Timeout after 6s waiting for GSP_INIT_DONE (function 4097)", "Xid 119", ""),
        ("NVRM: GPU 0000:29:00.0: GPU has fallen off the bus.", "fallen off the bus", "0000:29:00"),
        ("NVRM: fallen off the bus and is not responding to commands.", "fallen off the bus", ""),
        ("NVRM: RmInitAdapter failed! (0x62:0x65:2028)", "RmInitAdapter failed", ""),
        ("NVRM: installed in this system requires use of the NVIDIA open kernel modules.", "closed kernel module", ""),
        ("watchdog: Watchdog detected hard LOCKUP on cpu 3", "hard lockup", ""),
        ("INFO: rcu_sched self-detected stall on CPU", "RCU stall", ""),
        ("rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 4-... } 21 jiffies", "RCU stall", ""),
        ("mce: Uncorrected hardware memory error in user-access at af34214200", "memory failure", ""),
        ("EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0)", "EDAC UE", ""),
        ("EDAC DEVICE0: UE: tegra-cbb instance: 0 block: 0 'uncorrectable'", "EDAC UE", ""),
        ("0000:50:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=x", "PCIe error", "0000:50:00"),
        (
            "pcieport 0000:00:1c.0: AER: Multiple Uncorrected (Fatal) error received: id=00e0",
            "PCIe error",
            "0000:00:1c",
        ),
        (
            "pcieport 0015:00:00.0: DPC: containment event, status:0x200d, ERR_FATAL received",
            "PCIe error",
            "0015:00:00",
        ),
        ("{7}[Hardware Error]: event severity: unknown", "hardware error", ""),
        (
            "INFO: task KMS thread:3849 blocked for more than 860 seconds.\n  nvkms+0x4a/0xa0 [nvidia_modeset]",
            "hung task",
            "",
        ),
    ],
)
def test_a_fault_is_recognised_in_each_of_its_forms(line: str, name: str, gpu: str) -> None:
    assert [(event.name, event.gpu, event.kind) for event in parse(line).events] == [(name, gpu, Kind.FAULT)]


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: GPU at PCI:0000:01:00: GPU-1e61ad7a-9486-bed3-4cb3-065b17451322",
        "NVRM: RmInitAdapter: Failed to load gsp_log_ga10x.bin, no GSP-RM logs will be printed (non-fatal)",
        "nouveau 0000:01:00.0: Xid 79",
        "audit: a user wrote NVRM: Xid (PCI:0000:01:00): 79, into a file name",
        "nvidia-peermem nv_get_p2p_free_callback:127 ERROR detected invalid context, skipping further processing",
        "oom_reaper: reaped process 123 (python3)",
        "-- Boot 6f7f0b1c --",
        "EDAC MC0: Giving out device to module igen6_edac controller Intel: DEV 0000:00:00.0 (INTERRUPT)",
        "pcieport 0000:00:1c.0: AER: enabled with IRQ 122",
        "rcu: INFO: something else about stalls",
        "Injecting memory failure for pfn 0x131e00 at process virtual address 0x20200000",
        "BERT: Boot Error Record Table support is disabled.",
    ],
)
def test_other_lines_are_no_events(line: str) -> None:
    assert parse(f"[   10.000001] {line}\n").events == ()


def test_refused_allocations_are_counted_and_are_no_events() -> None:
    log = parse(f"{HEALTHY}[97104.000001] python3: a program that quotes NV_ERR_NO_MEMORY\n")
    assert (log.refused_allocations, log.events) == (3, ())


def test_a_task_that_waits_for_a_disk_is_not_blamed_for_the_one_below_it() -> None:
    disk = "INFO: task dpkg:570 blocked for more than 120 seconds.\n"
    driver = "INFO: task python3:571 blocked for more than 120 seconds.\n  uvm_ioctl+0x13e0/0x16f0 [nvidia_uvm]\n"
    assert [event.kind for event in parse(disk + driver).events] == [Kind.NOTE, Kind.FAULT]


def test_a_log_describes_each_event_once_with_its_number() -> None:
    log = parse((RECORDED / "programs.txt").read_text(encoding="utf-8"), "`dmesg`")
    assert log.describe("application").startswith(
        "`dmesg`: Xid 13 (an exception in a program's kernel) on 0000:38:00, 3 times; Xid 31 ("
    )
    assert log.describe("fault") == "`dmesg`: none"
    many = "".join(f"NVRM: Xid (PCI:0000:0{gpu}:00): 79, \n" for gpu in range(7))
    assert parse(many).describe("fault").endswith("; and 3 other kinds")


@pytest.mark.parametrize("line", ["NVRM: Xid (PCI:000f:01:00): 999, something", "NVRM: Xid (a new form)"])
def test_an_unknown_event_is_inconclusive_and_shown(line: str) -> None:
    with pytest.raises(Inconclusive, match=r"unknown events: kernel log: (Xid 999 on 000f|an Xid that)") as raised:
        parse(f"{HEALTHY}{line}\n").require_known()
    assert line in raised.value.problem
    assert "https://docs.nvidia.com/deploy/xid-errors" in raised.value.remedy[0]


@pytest.mark.parametrize(
    ("severity", "sections", "kind", "meaning", "row"),
    [
        ("fatal", ["memory error"], Kind.FAULT, "fatal: memory error", "hardware"),
        ("recoverable", ["PCIe error"], Kind.SUSPICIOUS, "recoverable: PCIe error", ""),
        ("fatal", ["PCIe error"], Kind.FAULT, "fatal: PCIe error", "bus"),
        (
            "recoverable",
            ["PCIe error", "memory error"],
            Kind.FAULT,
            "recoverable: PCIe error, memory error",
            "hardware",
        ),
        ("recoverable", [], Kind.FAULT, "recoverable: of an unknown part", "hardware"),
        (
            "fatal",
            ["Firmware Error Record Reference"],
            Kind.FAULT,
            "fatal: Firmware Error Record Reference",
            "hardware",
        ),
        ("corrected", ["memory error"], Kind.NOTE, "corrected: memory error", ""),
        ("info", [], Kind.NOTE, "info: of an unknown part", ""),
    ],
)
def test_a_report_of_the_firmware_has_a_severity_and_sections(
    severity: str, sections: list[str], kind: Kind, meaning: str, row: str
) -> None:
    marks = [f"event severity: {severity}", *(f"  section_type: {section}" for section in sections)]
    other = (
        "{3}[Hardware Error]: event severity: corrected\n{3}[Hardware Error]:   section_type: general processor error"
    )
    lines = "\n".join(f"{{2}}[Hardware Error]: {mark}" for mark in marks)
    event, _ = parse(f"{lines}\n{other}").events
    assert (event.kind, event.meaning, event.remedy) == (kind, meaning, row)


def test_a_record_of_bert_is_from_before_this_boot() -> None:
    (event,) = parse((RECORDED / "spark-boot-record.txt").read_text(encoding="utf-8")).events
    assert event.description == "hardware error (fatal: ARM processor error, before this boot)"


def test_in_a_virtual_machine_only_stalls_are_no_fault() -> None:
    virtual = (RECORDED / "virtual-busy.txt").read_text(encoding="utf-8")
    assert "stalled" in parse(virtual).events[0].meaning
    assert parse(f"{virtual}{LINE}\nwatchdog: Watchdog detected hard LOCKUP on cpu 3\n").count("fault") == 2
    bare = virtual.replace("Hypervisor detected: KVM", "DMI: NVIDIA")
    assert (parse(bare).count("fault"), parse(bare).remedy) == (2, xid.REMEDIES["hang"])


def test_only_a_log_that_begins_at_the_boot_is_complete() -> None:
    parse(HEALTHY).require_complete()
    with pytest.raises(Inconclusive, match=r"`dmesg` holds no fault, but begins 350101 s after the boot") as raised:
        parse(CUT, "`dmesg`").require_complete()
    steps = raised.value.remedy
    for wanted in ("usermod -aG adm $USER", "mkdir -p /var/log/journal", "sudo reboot"):
        assert any(wanted in step for step in steps)


def test_of_two_incomplete_logs_the_one_with_a_fault_counts(tools: Path) -> None:
    tool(tools, "dmesg", f"{CUT}[350900.000001] {LINE}\n")
    tool(tools, "journalctl", "[90000.5] spark kernel: usb 1-1\n")
    assert (kernel_log.read().source, kernel_log.read().count("fault")) == (BOTH, 1)


def test_every_event_of_the_recorded_logs_is_known() -> None:
    for name in LOGS:
        parse((RECORDED / f"{name}.txt").read_text(encoding="utf-8")).require_known()


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        (HEALTHY, "the boot"),
        ("[    0.000000] microcode: updated early\n", "the boot"),
        ("[    2.134567] spark kernel: Booting Linux on physical CPU 0x0000000000 [0x413fd0c1]\n", "the boot"),
        ("[Sun Feb 23 16:24:18 2025] Linux version 6.8.0\n", "the boot"),
        (CUT, "350101 s after the boot: earlier lines are lost"),
        ("[    1.100000] usb 1-1: new device\n", "1 s after the boot: earlier lines are lost"),
        (
            "[Sun Feb 23 16:24:18 2025] usb 1-1: new device\n",
            "an unknown time after the boot: earlier lines are lost",
        ),
        ("", "an unknown time after the boot: earlier lines are lost"),
    ],
)
def test_a_log_reports_when_it_begins(text: str, reach: str) -> None:
    assert parse(text).reach == reach


BOTH = "`dmesg` and `journalctl -k -b`"


def test_both_logs_are_read_and_a_line_of_both_counts_once(tools: Path) -> None:
    tool(tools, "dmesg", f"{HEALTHY}[  130.1] {LINE}\n[  131.1] {LINE}\n")
    tool(tools, "journalctl", f"[    0.5] spark kernel: Linux version 6.17\n[  130.1] spark kernel: {LINE}\n")
    log = kernel_log.read()
    assert (log.source, log.reach, log.refused_allocations, log.count("fault")) == (BOTH, "the boot", 3, 2)
    assert (tools / "dmesg.called").read_text(encoding="utf-8") == "C: \n"


def test_a_fault_that_only_the_journal_still_holds_counts(tools: Path) -> None:
    tool(tools, "dmesg", HEALTHY)
    tool(tools, "journalctl", JOURNAL)
    assert (kernel_log.read().source, kernel_log.read().count("fault")) == (BOTH, 1)


def test_a_long_journal_is_read_from_its_end(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_LINES", 10)
    text = "".join(f"[ {at}.0] spark kernel: veth{at}: entered promiscuous mode\n" for at in range(1, 100))
    log = parse(f"[    0.000000] Linux version 6.17\n{text}")
    assert (log.complete, log.since_s) == (False, 90.0)


def test_the_journal_replaces_a_dmesg_that_is_refused(tools: Path) -> None:
    tool(tools, "dmesg", stderr=REFUSED, code=1)
    tool(tools, "journalctl", JOURNAL)
    log = kernel_log.read()
    assert (log.source, log.count("fault")) == ("`journalctl -k -b`", 1)
    called = "C: -k -b --no-pager -o short-monotonic -n 200000\n"
    assert (tools / "journalctl.called").read_text(encoding="utf-8") == called


def test_the_journal_completes_a_dmesg_that_has_lost_its_beginning(tools: Path) -> None:
    tool(tools, "dmesg", CUT)
    tool(tools, "journalctl", JOURNAL)
    assert kernel_log.read().reach == "the boot"


@pytest.mark.parametrize(("journal", "since"), [("[90000.5] spark kernel: usb 1-1\n", 90000.5), ("", 350101.118201)])
def test_of_two_incomplete_logs_the_longer_one_counts(tools: Path, journal: str, since: float) -> None:
    tool(tools, "dmesg", CUT)
    tool(tools, "journalctl", journal)
    log = kernel_log.read()
    assert (log.since_s, log.complete) == (since, False)


NONE: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "refused": (
        {"stderr": REFUSED, "code": 1},
        {"stdout": "-- No entries --\n", "stderr": HINT},
        f"`dmesg` exited with 1: {REFUSED}; journalctl does not show the system's messages to this user",
    ),
    "hint beside a user's own entries": (
        {"stderr": REFUSED, "code": 1},
        {"stdout": HEALTHY, "stderr": HINT},
        "journalctl does not show the system's messages to this user",
    ),
    "no rights to the journal's files": (
        {"stderr": REFUSED, "code": 1},
        {"stderr": "No journal files were opened due to insufficient permissions.", "code": 1},
        "exited with 1: No journal files were opened due to insufficient permissions.",
    ),
    "empty": (
        {},
        {"stdout": "-- No entries --\n", "stderr": "No journal files were found."},
        "dmesg shows an empty log; journalctl shows an empty log",
    ),
    "sandbox": (
        {"stdout": "[    0.000000] Starting gVisor...\n[    0.354495] Daemonizing children...\n"},
        {},
        "dmesg shows the log of a sandbox (gVisor), not of this machine's kernel; journalctl shows an empty log",
    ),
}


@pytest.mark.parametrize("case", NONE)
def test_a_log_that_cannot_be_read_is_inconclusive_with_the_way_to_get_access(tools: Path, case: str) -> None:
    dmesg, journal, reason = NONE[case]
    tool(tools, "dmesg", **dmesg)  # type: ignore[arg-type]
    tool(tools, "journalctl", **journal)  # type: ignore[arg-type]
    with pytest.raises(Inconclusive) as raised:
        kernel_log.read()
    assert raised.value.problem.startswith("the kernel log of this boot cannot be read: ")
    assert raised.value.problem.endswith(reason)
    assert raised.value.remedy[0].startswith("Get access to it: sudo usermod -aG adm $USER")


def test_missing_tools_are_inconclusive(tools: Path) -> None:
    with pytest.raises(Inconclusive, match=r"dmesg: No such file or directory; journalctl: No such file or directory"):
        kernel_log.read()


def test_a_tool_that_hangs_is_replaced_by_the_other(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TIMEOUT_S", 0.3)
    tool(tools, "dmesg", HEALTHY, hangs=True)
    tool(tools, "journalctl", JOURNAL)
    assert kernel_log.read().source.startswith("`journalctl")
    tool(tools, "journalctl", JOURNAL, hangs=True)
    with pytest.raises(Inconclusive, match=r"`dmesg` did not answer within its time limit; `journalctl -k"):
        kernel_log.read()


def test_a_dmesg_earlier_on_the_path_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "dmesg", f"{HEALTHY}{LINE}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert kernel_log.read().count("fault") == 1


def test_a_fault_in_dmesg_counts_though_the_journal_misses_it(tools: Path) -> None:
    tool(tools, "dmesg", f"{CUT}[350900.000001] {LINE}\n")
    tool(tools, "journalctl", HEALTHY)
    assert (kernel_log.read().complete, kernel_log.read().count("fault")) == (True, 1)
    tool(tools, "journalctl", f"{HEALTHY}[350900.000001] {LINE}\n")
    assert kernel_log.read().reach == "the boot", "of two logs with the fault the complete one"
    tool(tools, "dmesg", f"{CUT}[350900.000001] NVRM: Xid (a new form)\n")
    tool(tools, "journalctl", HEALTHY)
    assert kernel_log.read().count("unknown") == 1


def test_a_task_that_waits_for_a_disk_is_not_blamed_for_an_out_of_memory_report() -> None:
    disk = "INFO: task jbd2/nvme0n1:570 blocked for more than 120 seconds.\n io_schedule+0x46/0x70\n"
    memory = "python3 invoked oom-killer: gfp_mask=0xcc0\n uvm_ioctl+0x13e0/0x16f0 [nvidia_uvm]\n"
    assert [event.kind for event in parse(disk + memory).events] == [Kind.NOTE]


@pytest.mark.parametrize(
    "line",
    [
        "Internal error: Oops: 0000000096000004 [#1] SMP",
        "BUG: unable to handle page fault for address: ffffb3c1",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "kernel BUG at mm/slub.c:434!",
    ],
)
def test_a_kernel_crash_is_inconclusive(line: str) -> None:
    with pytest.raises(Inconclusive, match="unknown events: kernel log: kernel crash"):
        parse(f"{HEALTHY}[97104.000001] {line}\n").require_known()
