"""The kernel log of this boot: events of the NVIDIA driver, memory, CPUs and PCIe, each of a known kind.

`dmesg` is read first; where it is refused or has lost its beginning, the journal.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass, replace

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import xid
from dgxcert.probes.host.log_patterns import PATTERNS, PCI
from dgxcert.probes.host.xid import Kind

TIMEOUT_S = 10.0
COMMANDS = (["dmesg"], ["journalctl", "-k", "-b", "--no-pager", "-o", "short-monotonic"])
EARLY_S = 1.0
"""Seconds after the boot. No GPU driver is loaded so soon: a log that begins by then has lost nothing about it."""
EARLY_LINES = 5
"""The kernel prints its version within so many lines. The journal's own timestamps can be seconds late."""
TRACE_LINES = 60
"""Lines below `blocked for more than` that can hold the stack trace, or below a severity its sections."""
SHOWN = 4
"""Kinds of events that a description lists; the others are counted."""

NO_MEMORY = "NV_ERR_NO_MEMORY alone is a refused allocation: vllm-project/vllm#56824 counts 55 in two days"


@dataclass(frozen=True)
class Event:
    """One event of the log.

    >>> Event("Xid 79", "0000:05:00", "NVRM: Xid ...", Kind.FAULT, "the GPU has fallen off the bus").description
    'Xid 79 (the GPU has fallen off the bus) on 0000:05:00'
    """

    name: str
    gpu: str
    """The PCI address as the kernel writes it, or empty."""
    line: str
    kind: Kind
    meaning: str = ""
    remedy: str = ""
    """A row of `xid.REMEDIES`."""

    @property
    def description(self) -> str:
        """Name, meaning and GPU."""
        meaning = f" ({self.meaning})" if self.meaning else ""
        return f"{self.name}{meaning}{' on ' if self.gpu else ''}{self.gpu}"


@dataclass(frozen=True)
class KernelLog:
    """The events of a log."""

    source: str
    complete: bool
    """Whether the log begins at the boot."""
    since_s: float | None
    """Time of its first line in seconds after the boot; None where it has no such timestamp."""
    events: tuple[Event, ...]
    refused_allocations: int
    """Lines of NV_ERR_NO_MEMORY."""
    driver_lines: int = 0
    """Lines of the driver, whatever they say."""

    @property
    def reach(self) -> str:
        """The time at which the log begins."""
        if self.complete:
            return "the boot"
        if self.since_s is None:
            return "an unknown time after the boot: earlier lines are lost"
        return f"{self.since_s:.0f} s after the boot: earlier lines are lost"

    def count(self, kind: str) -> int:
        """Number of events of a kind."""
        return sum(event.kind == kind for event in self.events)

    def describe(self, kind: str) -> str:
        """The source and the events of a kind, each once with its number.

        >>> parse("NVRM: Xid (PCI:0000:05:00): 79, GPU has fallen off the bus.", "`dmesg`").describe("fault")
        '`dmesg`: Xid 79 (the GPU has fallen off the bus) on 0000:05:00'
        """
        counts = Counter(event.description for event in self.events if event.kind == kind)
        shown = [f"{event}{f', {count} times' if count > 1 else ''}" for event, count in counts.most_common(SHOWN)]
        more = [f"and {len(counts) - SHOWN} other kinds"] if len(counts) > SHOWN else []
        return f"{self.source}: {'; '.join([*shown, *more]) or 'none'}"

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the worst fault: an earlier row of REMEDIES is a cause of later ones."""
        needed = {event.remedy for event in self.events if event.kind is Kind.FAULT}
        return next((steps for name, steps in xid.REMEDIES.items() if name in needed), ())

    def require_known(self) -> None:
        """Raise Inconclusive where the log holds events that are in none of the tables, or that may be faults."""
        unknown = [event for event in self.events if event.kind is Kind.UNKNOWN]
        if unknown:
            raise Inconclusive(
                f"the kernel log holds unknown events: {self.describe(Kind.UNKNOWN)}; the first: {unknown[0].line}",
                "Look the number up: https://docs.nvidia.com/deploy/xid-errors",
                "Restart the machine (sudo reboot), then run this again: a log without unknown events can be judged.",
            )
        suspicious = [event for event in self.events if event.kind is Kind.SUSPICIOUS]
        if suspicious:
            raise Inconclusive(
                f"the kernel log holds events that may be faults: {self.describe(Kind.SUSPICIOUS)}; "
                f"the first: {suspicious[0].line}",
                "Read the lines around it: sudo dmesg",
                "Restart the machine (sudo reboot), then run this again: a log without such events can be judged.",
                "If they come back, open a hardware case with the log and the run folder.",
            )

    @property
    def serious(self) -> bool:
        """Whether it holds a fault, or an event that is unknown or may be one."""
        return self.count(Kind.FAULT) + self.doubtful > 0

    @property
    def doubtful(self) -> int:
        """Number of events that are unknown or may be faults."""
        return self.count(Kind.UNKNOWN) + self.count(Kind.SUSPICIOUS)

    def require_complete(self) -> None:
        """Raise Inconclusive where the log has lost its beginning, and with it perhaps a fault."""
        if not self.complete:
            raise Inconclusive(
                f"no kernel log of this boot is complete: {self.source} holds no fault, but begins {self.reach}",
                "Get access to the journal: sudo usermod -aG adm $USER, then log in again and run this again.",
                "Keep the journal: sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
                "Restart the machine (sudo reboot) and run this again before the log overflows.",
            )


XID = re.compile(rf"NVRM: Xid (?:\((?:PCI:)?({PCI})[^)]*\): )?(\d+)\b,?\s*(.*)")
HUNG = re.compile(r"INFO: task (.+?):\d+ blocked for more than \d+ seconds")
OTHER_REPORT = re.compile(r".*invoked oom-killer|watchdog: |(?:rcu: )?INFO: rcu|WARNING: |BUG: |Internal error: ")
"""The next report: it ends the stack trace of a hung task, which may name the driver for another reason."""
IN_DRIVER = re.compile(r"\[nvidia\w*\]")

HYPERVISOR = re.compile(r"Hypervisor detected: |smccc: KVM: hypervisor services detected")
"""Printed by a kernel in a virtual machine: arch/x86/kernel/cpu/hypervisor.c, drivers/firmware/smccc."""
STALLS = ("soft lockup", "RCU stall")
"""A virtual machine also reports these when its hypervisor gives it no CPU for a while."""

SEVERITY = re.compile(r"((?:\{\d+\})?\[Hardware Error\]:) event severity: (\w+)")
SECTION = re.compile(r"\s+section[_ ]type: (.+)")
MILD = ("corrected", "info")
CRASH_LOG = "Firmware Error Record Reference"
"""Reports of the firmware: drivers/acpi/apei/ghes.c and bert.c, drivers/firmware/efi/cper.c. A fatal one halts the
kernel and is only printed at the next boot, among the records of the previous one (BERT), which have no `{number}`.
Among those a crash log alone is no fault: holding the power button writes one."""

PREFIX = re.compile(
    r"(?:<\d+>)?(?:\w+\s*:\w+\s*: )?"  # /dev/kmsg; `dmesg -x`
    r"(?:\[\s*(\d+\.\d+)\]|\[\w{3} \w{3} +\d+ [\d:]+ \d{4}\]|\d{4}-\d\d-\d\dT\S+|\w{3} +\d+ \d\d:\d\d:\d\d)?"
    r"\s*(?:\[\s*[TC]\d+\])?\s*(?:\S+ kernel: )?"  # thread or CPU; journalctl
)
EARLY = re.compile(r"Linux version |Booting Linux ")


def read() -> KernelLog:
    """The first complete log; else the most serious one; else the one that begins earliest.

    Raises Inconclusive where neither tool shows a log.
    """
    logs: list[KernelLog] = []
    refusals: list[str] = []
    for args in COMMANDS:
        try:
            logs.append(parse(run(args), f"`{' '.join(args)}`"))
        except Inconclusive as error:
            refusals.append(error.problem)
            continue
        # A complete journal does not overrule a fault in dmesg: journald drops lines in a burst or on a full disk.
        if logs[-1].complete and not any(log.serious for log in logs[:-1]):
            return logs[-1]
    if not logs:
        raise Inconclusive(
            f"the kernel log of this boot cannot be read: {'; '.join(refusals)}",
            "Get access to it: sudo usermod -aG adm $USER, then log in again and run this again.",
            "Read it by hand meanwhile: sudo dmesg | grep -E 'NVRM|Xid'",
        )
    return min(logs, key=_rank)


def _rank(log: KernelLog) -> tuple[bool, bool, bool, float]:
    """Sort key: logs with faults first, then with doubtful events, then complete ones, then those that begin early."""
    begin_s = float("inf") if log.since_s is None else log.since_s
    return log.count(Kind.FAULT) == 0, log.doubtful == 0, not log.complete, begin_s


def run(args: list[str]) -> str:
    """The output of dmesg or journalctl; raises Inconclusive where it is missing, fails, hangs or shows nothing."""
    try:
        completed = command.run(args, timeout_s=TIMEOUT_S, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise Inconclusive(f"{args[0]}: {error.strerror}") from error
    if completed.returncode != 0:
        raise Inconclusive(completed.complaint)
    # journalctl exits with 0 and shows the user's own messages where it may not show the kernel's.
    if "not seeing messages from other users and the system" in completed.stderr + completed.stdout:
        raise Inconclusive(f"{args[0]} does not show the system's messages to this user")
    first = next(iter(_lines(completed.stdout)), "")
    if not first:
        raise Inconclusive(f"{args[0]} shows an empty log")
    if "Starting gVisor" in first:
        raise Inconclusive(f"{args[0]} shows the log of a sandbox (gVisor), not of this machine's kernel")
    return completed.stdout


def parse(text: str, source: str = "kernel log") -> KernelLog:
    """The log from the output of dmesg or journalctl; an empty one is not complete.

    >>> log = parse('''[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x413fd0c1]
    ... [ 3600.123456] NVRM: Xid (PCI:000f:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
    ... ''')
    >>> log.complete, [(event.name, event.gpu, event.kind.value) for event in log.events]
    (True, [('Xid 79', '000f:01:00', 'fault')])
    """
    lines = _lines(text)
    first = PREFIX.match(lines[0]) if lines else None
    since_s = float(first.group(1)) if first and first.group(1) else None
    messages = [PREFIX.sub("", line, count=1) for line in lines]
    complete = (since_s is not None and since_s <= EARLY_S) or any(map(EARLY.match, messages[:EARLY_LINES]))
    events = [event for at in range(len(messages)) if (event := _event(messages, at)) is not None]
    if any(map(HYPERVISOR.match, messages)):
        events = [_without_stall(event) for event in events]
    if any("[Hardware Error]: Corrected error" in message for message in messages):
        events = [event for event in events if "Machine check events logged" not in event.line]  # its severity follows
    driver = [message for message in messages if message.startswith("NVRM:")]
    refused = sum("NV_ERR_NO_MEMORY" in message for message in driver)
    return KernelLog(source, complete, since_s, tuple(events), refused, len(driver))


def _lines(text: str) -> list[str]:
    """The log's own lines, without journalctl's remarks, which begin with `-- `."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("-- ")]


def _event(messages: list[str], at: int) -> Event | None:
    message = messages[at]
    if message.startswith("NVRM: Xid"):
        return _xid(message)
    if hung := HUNG.match(message):
        return _hung(message, hung.group(1), messages[at + 1 : at + 1 + TRACE_LINES])
    if severity := SEVERITY.match(message):
        return _hardware_error(message, severity.group(1), severity.group(2), messages[at + 1 : at + 1 + TRACE_LINES])
    for pattern in PATTERNS:
        if match := pattern.regex.match(message):
            gpu = re.search(PCI, message)
            address = gpu.group() if gpu else ""
            return Event(match.expand(pattern.name), address, message, pattern.kind, pattern.meaning, pattern.remedy)
    return None


def _xid(message: str) -> Event:
    match = XID.match(message)
    if match is None:
        return Event("an Xid that cannot be read", "", message, Kind.UNKNOWN)
    gpu, number, text = match.group(1) or "", int(match.group(2)), match.group(3)
    kind, meaning, remedy = xid.meaning(number, text)
    return Event(f"Xid {number}", gpu, message, kind, meaning, remedy)


def _hung(message: str, task: str, below: list[str]) -> Event:
    """A task that hangs in the driver or in memory compaction is a fault; others wait for a disk or a network."""
    end = next((at for at, line in enumerate(below) if HUNG.match(line) or OTHER_REPORT.match(line)), len(below))
    driver = any(map(IN_DRIVER.search, below[:end]))
    if driver or task.startswith("kcompactd"):
        where = "the NVIDIA driver" if driver else "memory compaction"
        return Event("hung task", "", message, Kind.FAULT, f"{task} hung in {where}", "hang")
    return Event("hung task", "", message, Kind.NOTE, f"{task} waited for minutes", "")


def _hardware_error(message: str, prefix: str, severity: str, below: list[str]) -> Event:
    """A report of the firmware about memory, CPUs or PCIe."""
    # Lines of one report share its number in the prefix; reports of different devices can interleave.
    own = [line.removeprefix(prefix) for line in below if line.startswith(prefix)]
    end = next((at for at, line in enumerate(own) if line.startswith(" event severity:")), len(own))
    sections = [section.group(1) for line in own[:end] if (section := SECTION.match(line))]
    when = "" if prefix.startswith("{") else ", before this boot"
    meaning = f"{severity}: {', '.join(dict.fromkeys(sections)) or 'of an unknown part'}{when}"
    if severity in MILD or (when and sections and set(sections) == {CRASH_LOG}):
        return Event("hardware error", "", message, Kind.NOTE, meaning)
    bus = bool(sections) and all(section.startswith("PCIe") for section in sections)
    if bus and severity == "recoverable":  # what the kernel itself calls non-fatal
        return Event("hardware error", "", message, Kind.SUSPICIOUS, meaning)
    return Event("hardware error", "", message, Kind.FAULT, meaning, "bus" if bus else "hardware")


def _without_stall(event: Event) -> Event:
    """The event in a virtual machine, whose CPUs stall whenever the hypervisor is busy: that is no fault."""
    if event.name not in STALLS:
        return event
    return replace(event, kind=Kind.NOTE, meaning="a CPU of this virtual machine stalled", remedy="")
