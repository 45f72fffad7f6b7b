"""The kernel log of this boot: what the NVIDIA driver and the kernel reported, each event named for what it is.

`dmesg` is asked first; where it is refused, or has lost its beginning, the journal is.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass, replace

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import xid
from dgxcert.probes.host.xid import Kind

TIMEOUT_S = 10.0
COMMANDS = (["dmesg"], ["journalctl", "-k", "-b", "--no-pager", "-o", "short-monotonic"])
EARLY_S = 1.0
"""No driver of a GPU is loaded so soon: a log that begins by then has lost nothing about it."""
EARLY_LINES = 5
"""Among so many the kernel names itself; by the journal's own clock they can be seconds late."""
TRACE_LINES = 60
"""How far below `blocked for more than` the kernel prints where the task hangs, or below a severity what erred."""
SHOWN = 4

NO_MEMORY = "NV_ERR_NO_MEMORY alone is an allocation that was refused: vllm-project/vllm#56824 counts 55 in two days"


@dataclass(frozen=True)
class Event:
    """One event: `gpu` is the PCI address as the kernel writes it, or empty; `remedy` names a row of REMEDIES."""

    name: str
    gpu: str
    line: str
    kind: Kind
    words: str = ""
    remedy: str = ""

    @property
    def says(self) -> str:
        """The event in words: `Xid 79 (the GPU has fallen off the bus) on 0000:05:00`."""
        words = f" ({self.words})" if self.words else ""
        return f"{self.name}{words}{' on ' if self.gpu else ''}{self.gpu}"


@dataclass(frozen=True)
class KernelLog:
    """What a log holds. `whole`: it reaches back to the boot; `since_s`: else its first line, in seconds after it."""

    source: str
    whole: bool
    since_s: float | None
    events: tuple[Event, ...]
    benign: int
    """Lines of NV_ERR_NO_MEMORY."""

    @property
    def reach(self) -> str:
        """From when on the log says anything."""
        if self.whole:
            return "the boot"
        if self.since_s is None:
            return "an unknown time after the boot: what came before is lost"
        return f"{self.since_s:.0f} s after the boot: what came before is lost"

    def count(self, kind: str) -> int:
        """How many events are of a kind."""
        return sum(event.kind == kind for event in self.events)

    def says(self, kind: str) -> str:
        """The source, and what was found of a kind: each once, with how often."""
        found = Counter(event.says for event in self.events if event.kind == kind)
        told = [f"{says}{f', {times} times' if times > 1 else ''}" for says, times in found.most_common(SHOWN)]
        more = [f"and {len(found) - SHOWN} other kinds"] if len(found) > SHOWN else []
        return f"{self.source}: {'; '.join([*told, *more]) or 'none'}"

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the worst fault: what REMEDIES names first is at the root of what it names later."""
        needed = {event.remedy for event in self.events if event.kind is Kind.FAULT}
        return next((steps for name, steps in xid.REMEDIES.items() if name in needed), ())

    def require_known(self) -> None:
        """Raise Inconclusive where the log holds events that nobody here can judge."""
        unknown = [event for event in self.events if event.kind is Kind.UNKNOWN]
        if unknown:
            raise Inconclusive(
                f"the kernel log holds what is in no table here: {self.says(Kind.UNKNOWN)}; first: {unknown[0].line}",
                "Look the number up: https://docs.nvidia.com/deploy/xid-errors",
                "Restart the machine (sudo reboot), then run this again: a log without it can be judged.",
            )

    @property
    def grave(self) -> bool:
        """Whether it holds a fault, or an event that nobody knows."""
        return self.count(Kind.FAULT) + self.count(Kind.UNKNOWN) > 0

    def require_whole(self) -> None:
        """Raise Inconclusive where the log has lost its beginning, and with it perhaps a fault."""
        if not self.whole:
            raise Inconclusive(
                f"no kernel log of this boot is whole: {self.source} holds no fault, but begins {self.reach}",
                "Let yourself read the journal: sudo usermod -aG adm $USER, then log in again and run this again.",
                "Keep the journal: sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
                "Or restart the machine (sudo reboot) and run this again, before the log overflows.",
            )


PCI = r"[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}"
AER = r"(?:AER: (?:Multiple )?|(?:PCIe|CXL) Bus Error: severity=)"
XID = re.compile(rf"NVRM: Xid (?:\((?:PCI:)?({PCI})[^)]*\): )?(\d+)\b,?\s*(.*)")
HUNG = re.compile(r"INFO: task (.+?):\d+ blocked for more than \d+ seconds")
OTHER_REPORT = re.compile(r".*invoked oom-killer|watchdog: |(?:rcu: )?INFO: rcu|WARNING: |BUG: |Internal error: ")
"""Where the trace of a hung task is over: what follows is about somebody else."""
IN_DRIVER = re.compile(r"\[nvidia\w*\]")

LOST = "the GPU is not on PCIe any more"
DARK = "the GPU could not be initialised"
CLOSED = "this GPU needs the open one"
HUNG_CPU = "a processor hung in the kernel"
DAMAGED = "an uncorrected error of memory"

HYPERVISOR = re.compile(r"Hypervisor detected: |smccc: KVM: hypervisor services detected")
"""What a kernel says that runs in a virtual machine: arch/x86/kernel/cpu/hypervisor.c, drivers/firmware/smccc."""
WAITS = ("soft lockup", "RCU stall")
"""What a virtual machine also reports when its hypervisor gives it no processor for a while."""

OTHERS: dict[str, tuple[Kind, str, str, str]] = {
    r"NVRM:.*RmInitAdapter failed!": (Kind.FAULT, "RmInitAdapter failed", DARK, "restart"),
    r"NVRM:.*fallen off the bus": (Kind.FAULT, "fallen off the bus", LOST, "restart"),
    r"NVRM:.*SEC2 secure boot partition timed out": (Kind.FAULT, "SEC2 timeout", "its firmware is silent", "update"),
    r"NVRM:.*requires use of the NVIDIA open kernel": (Kind.FAULT, "closed kernel module", CLOSED, "module"),
    r"watchdog: BUG: soft lockup": (Kind.FAULT, "soft lockup", HUNG_CPU, "hang"),
    r"watchdog: .*hard LOCKUP": (Kind.FAULT, "hard lockup", HUNG_CPU, "hang"),
    r"(?:rcu: )?INFO: rcu\w* (self-|)detected (\w+ )?stalls? on": (Kind.FAULT, "RCU stall", HUNG_CPU, "hang"),
    r"Internal error: |BUG: unable to handle |BUG: kernel NULL pointer|kernel BUG at ": (
        Kind.UNKNOWN,
        "kernel crash",
        "",
        "",
    ),
    r"Memory failure: 0x": (Kind.FAULT, "memory failure", "a page of memory is damaged", "hardware"),
    r"mce: Uncorrected hardware memory error": (Kind.FAULT, "machine check", DAMAGED, "hardware"),
    r"EDAC \w+: (?:\d+ )?UE\b": (Kind.FAULT, "EDAC UE", DAMAGED, "hardware"),
    r"EDAC \w+: (?:\d+ )?CE\b": (Kind.NOTE, "EDAC CE", "an error of memory that was corrected", ""),
    rf"(?:\S+ )?{PCI}\S+ {AER}Uncorrect(?:ed|able) \(Fatal\)": (Kind.FAULT, "PCIe error", "fatal", "bus"),
    rf"(?:\S+ )?{PCI}\S+ DPC: containment event.*ERR_FATAL": (Kind.FAULT, "PCIe error", "fatal, contained", "bus"),
    rf"(?:\S+ )?{PCI}\S+ {AER}Uncorrect(?:ed|able) \(Non-Fatal\)": (Kind.NOTE, "PCIe error", "not fatal", ""),
    rf"(?:\S+ )?{PCI}\S+ {AER}Correct(?:ed|able)": (Kind.NOTE, "PCIe error", "corrected", ""),
    r"nvidia-nvswitch\d+: SXid \(\S+\): (\d+), Fatal": (Kind.FAULT, r"SXid \1", "a fatal error of an NVSwitch", "link"),
    r"nvidia-nvswitch\d+: SXid \(\S+\): (\d+), Non-fatal": (Kind.NOTE, r"SXid \1", "an error of an NVSwitch", ""),
    r"(?:Memory cgroup out|Out) of memory: Killed": (Kind.NOTE, "out of memory", "the kernel ended a program", ""),
}
"""Lines that are no Xid, by pattern: kind, name, words, row of REMEDIES. Those of the kernel itself are as in
kernel/rcu/tree_stall.h, mm/memory-failure.c, drivers/edac/edac_mc.c and edac_device.c, drivers/pci/pcie/aer.c and dpc.c
of Linux 4.15 to 6.17. An error of PCIe that is not fatal lost one transfer, which its driver repeats or reports."""

SEVERITY = re.compile(r"((?:\{\d+\})?\[Hardware Error\]:) event severity: (\w+)")
SECTION = re.compile(r"\s+section[_ ]type: (.+)")
MILD = ("corrected", "info")
CRASH_LOG = "Firmware Error Record Reference"
"""Firmware's reports: drivers/acpi/apei/ghes.c and bert.c, drivers/firmware/efi/cper.c. A fatal one halts the kernel,
and is seen at the next boot only, among the records of the previous one (BERT), which bear no number. There a crash log
alone says nothing: somebody may have held the power button."""

PREFIX = re.compile(
    r"(?:<\d+>)?(?:\w+\s*:\w+\s*: )?"  # of /dev/kmsg; of `dmesg -x`
    r"(?:\[\s*(\d+\.\d+)\]|\[\w{3} \w{3} +\d+ [\d:]+ \d{4}\]|\d{4}-\d\d-\d\dT\S+|\w{3} +\d+ \d\d:\d\d:\d\d)?"
    r"\s*(?:\[\s*[TC]\d+\])?\s*(?:\S+ kernel: )?"  # thread or CPU; journalctl
)
EARLY = re.compile(r"Linux version |Booting Linux ")


def read() -> KernelLog:
    """The first log that reaches back to the boot; else one that is grave; else what reaches back furthest.

    A journal that is whole does not excuse what dmesg told before: it may have lost that in a storm of messages, or
    have ended where its disk was full. Raises Inconclusive where neither tool shows a log.
    """
    logs: list[KernelLog] = []
    refusals: list[str] = []
    for args in COMMANDS:
        try:
            logs.append(parse(ask(args), f"`{' '.join(args)}`"))
        except Inconclusive as error:
            refusals.append(error.problem)
            continue
        if logs[-1].whole and not any(log.grave for log in logs[:-1]):
            return logs[-1]
    if not logs:
        raise Inconclusive(
            f"the kernel log of this boot cannot be read: {'; '.join(refusals)}",
            "Let yourself read it: sudo usermod -aG adm $USER, then log in again and run this again.",
            "Look at it by hand meanwhile: sudo dmesg | grep -E 'NVRM|Xid'",
        )
    return min(logs, key=_rank)


def _rank(log: KernelLog) -> tuple[bool, bool, bool, float]:
    """Faults first, then events that nobody knows; of equal ones the log that tells of more time."""
    reach = float("inf") if log.since_s is None else log.since_s
    return log.count(Kind.FAULT) == 0, log.count(Kind.UNKNOWN) == 0, not log.whole, reach


def ask(args: list[str]) -> str:
    """What a tool shows; raises Inconclusive where it is missing, refuses, hangs or shows nothing."""
    try:
        asked = command.run(args, timeout_s=TIMEOUT_S, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise Inconclusive(f"{args[0]}: {error.strerror}") from error
    if asked.returncode != 0:
        raise Inconclusive(asked.complaint)
    if "not seeing messages from other users and the system" in asked.stderr + asked.stdout:
        raise Inconclusive(f"{args[0]} does not show the system's messages to this user")
    first = next(iter(_lines(asked.stdout)), "")
    if not first:
        raise Inconclusive(f"{args[0]} shows an empty log")
    if "Starting gVisor" in first:
        raise Inconclusive(f"{args[0]} shows the log of a sandbox (gVisor), not of this machine's kernel")
    return asked.stdout


def parse(text: str, source: str = "kernel log") -> KernelLog:
    """The log from what dmesg or journalctl printed; an empty one reaches back to nothing."""
    lines = _lines(text)
    first = PREFIX.match(lines[0]) if lines else None
    since_s = float(first.group(1)) if first and first.group(1) else None
    messages = [PREFIX.sub("", line, count=1) for line in lines]
    whole = (since_s is not None and since_s <= EARLY_S) or any(map(EARLY.match, messages[:EARLY_LINES]))
    found = [event for at in range(len(messages)) if (event := _event(messages, at)) is not None]
    events = tuple(map(_excused, found) if any(map(HYPERVISOR.match, messages)) else found)
    benign = sum(message.startswith("NVRM:") and "NV_ERR_NO_MEMORY" in message for message in messages)
    return KernelLog(source, whole, since_s, events, benign)


def _lines(text: str) -> list[str]:
    """The log's own lines: journalctl's remarks begin with `-- `."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("-- ")]


def _event(messages: list[str], at: int) -> Event | None:
    message = messages[at]
    if message.startswith("NVRM: Xid"):
        return _xid(message)
    if hung := HUNG.match(message):
        return _hung(message, hung.group(1), messages[at + 1 : at + 1 + TRACE_LINES])
    if severity := SEVERITY.match(message):
        return _reported(message, severity.group(1), severity.group(2), messages[at + 1 : at + 1 + TRACE_LINES])
    for pattern, (kind, name, words, remedy) in OTHERS.items():
        if found := re.match(pattern, message):
            gpu = re.search(PCI, message)
            return Event(found.expand(name), gpu.group() if gpu else "", message, kind, words, remedy)
    return None


def _xid(message: str) -> Event:
    found = XID.match(message)
    if found is None:
        return Event("an Xid that cannot be read", "", message, Kind.UNKNOWN)
    gpu, number, text = found.group(1) or "", int(found.group(2)), found.group(3)
    kind, words, remedy = xid.meaning(number, text)
    return Event(f"Xid {number}", gpu, message, kind, words, remedy)


def _hung(message: str, task: str, below: list[str]) -> Event:
    """A task that hangs in the driver, or in compacting memory, is a fault; others wait for a disk or a network."""
    end = next((at for at, line in enumerate(below) if HUNG.match(line) or OTHER_REPORT.match(line)), len(below))
    driver = any(map(IN_DRIVER.search, below[:end]))
    if driver or task.startswith("kcompactd"):
        where = "the NVIDIA driver" if driver else "compacting memory"
        return Event("hung task", "", message, Kind.FAULT, f"{task} hung in {where}", "hang")
    return Event("hung task", "", message, Kind.NOTE, f"{task} waited for minutes", "")


def _reported(message: str, mark: str, severity: str, below: list[str]) -> Event:
    """What firmware reports of memory, processors and PCIe."""
    own = [line.removeprefix(mark) for line in below if line.startswith(mark)]
    end = next((at for at, line in enumerate(own) if line.startswith(" event severity:")), len(own))
    sections = [found.group(1) for line in own[:end] if (found := SECTION.match(line))]
    when = "" if mark.startswith("{") else ", before this boot"
    words = f"{severity}: {', '.join(dict.fromkeys(sections)) or 'of no known part'}{when}"
    if severity in MILD or (when and sections and set(sections) == {CRASH_LOG}):
        return Event("hardware error", "", message, Kind.NOTE, words)
    bus = bool(sections) and all(section.startswith("PCIe") for section in sections)
    return Event("hardware error", "", message, Kind.FAULT, words, "bus" if bus else "hardware")


def _excused(event: Event) -> Event:
    """A virtual machine's processors stand still whenever its hypervisor is busy, which is no fault of theirs."""
    if event.name not in WAITS:
        return event
    return replace(event, kind=Kind.NOTE, words="a processor of this virtual machine stood still", remedy="")
