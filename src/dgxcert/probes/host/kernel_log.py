"""The kernel log of this boot: events of GPUs, drives, memory, PCIe, CPUs and power, each of a known kind.

dmesg and the journal are both read, and what either of them holds counts: the ring buffer of the kernel overflows, and
journald drops lines in a burst or on a full disk.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace

from dgxcert.judgement.computation import Computation
from dgxcert.outcome import AfterWork, Inconclusive
from dgxcert.probes.host import xid
from dgxcert.probes.host.log import driver, reading, reports, storage
from dgxcert.probes.host.log.event import Event as Event
from dgxcert.probes.host.log.pattern import PCI, Subject
from dgxcert.probes.host.log.reading import COMMANDS as COMMANDS
from dgxcert.probes.host.log.reading import PREFIX
from dgxcert.probes.host.log.tables import PATTERNS
from dgxcert.probes.host.xid import Kind

EARLY_S = 1.0
"""Seconds after the boot. No GPU driver is loaded so soon: a log that begins by then has lost nothing about it."""
EARLY_LINES = 5
"""The kernel prints its version within so many lines. The journal's own timestamps can be seconds late."""
TRACE_LINES = 60
"""Lines below `blocked for more than` that can hold the stack trace, or below a severity its sections."""
SHOWN = 4
"""Kinds of events that a description lists; the others are counted."""

NO_MEMORY = "NV_ERR_NO_MEMORY alone is a refused allocation: vllm-project/vllm#56824 counts 55 in two days"

OF_SUBJECT = {
    Subject.GPU: "restart",
    Subject.STORAGE: "storage",
    Subject.MEMORY: "hardware",
    Subject.PCIE: "bus",
    Subject.CPU: "hang",
    Subject.POWER: "supply",
}
"""The row of REMEDIES by what a doubtful line is about."""

COMPUTING = ("KERNEL-CORRECT", "BF16-CORRECT")
"""The requirements of every tier that compute on each GPU and compare the result: proof that a GPU works."""
DOUBTED = ("GPU-XID", "last event that may be a fault")
"""The requirement and the quantity by which the stage after the work knows which doubtful lines are older than it."""
NONE_DOUBTED = 0.0


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
    unlisted: tuple[str, ...] = ()
    """Lines of the driver that are in no table and speak of no failure."""

    @property
    def reach(self) -> str:
        """The time at which the log begins."""
        if self.complete:
            return "the boot"
        if self.since_s is None:
            return "an unknown time after the boot: earlier lines are lost"
        return f"{self.since_s:.0f} s after the boot: earlier lines are lost"

    def about(self, *subjects: str) -> "KernelLog":
        """The log with the events about these subjects alone.

        >>> log = parse("NVRM: Xid (PCI:0000:05:00): 79, GPU has fallen off the bus.")
        >>> log.about("gpu").count("fault"), log.about("storage", "memory").count("fault")
        (1, 0)
        """
        return replace(self, events=tuple(event for event in self.events if event.subject in subjects))

    def count(self, kind: str) -> int:
        """Number of events of a kind."""
        return sum(event.kind == kind for event in self.events)

    def describe(self, kind: str) -> str:
        """The source and the events of a kind, each once with its number.

        >>> parse("NVRM: Xid (PCI:0000:05:00): 79, GPU has fallen off the bus.", "`dmesg`").describe("fault")
        '`dmesg`: Xid 79 (the GPU has fallen off the bus) on 0000:05:00'
        """
        return self._list(Counter(event.description for event in self.events if event.kind == kind))

    def describe_unlisted(self) -> str:
        """The source and the driver's lines that are in no table, each once with its number."""
        return self._list(Counter(self.unlisted))

    def _list(self, counts: Counter[str]) -> str:
        shown = [f"{event}{f', {count} times' if count > 1 else ''}" for event, count in counts.most_common(SHOWN)]
        more = [f"and {len(counts) - SHOWN} other kinds"] if len(counts) > SHOWN else []
        return f"{self.source}: {'; '.join([*shown, *more]) or 'none'}"

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the worst fault: an earlier row of REMEDIES is a cause of later ones."""
        needed = {event.remedy for event in self.events if event.kind is Kind.FAULT}
        return next((steps for name, steps in xid.REMEDIES.items() if name in needed), ())

    @property
    def last_doubted_s(self) -> float | None:
        """Time of the last event that may be a fault, in seconds after the boot; 0 for none, None where unknown.

        >>> parse("[ 310.1] NVRM: GPU0 f: Possible bad register read: addr: 0x1, regvalue: 0xbadf5600").last_doubted_s
        310.1
        """
        times = [event.at_s for event in self.events if event.kind is Kind.SUSPICIOUS]
        known = [at_s for at_s in times if at_s is not None]
        return max(known, default=NONE_DOUBTED) if len(known) == len(times) else None

    def require_known(self) -> None:
        """Raise Inconclusive where the log holds events that are in none of the tables."""
        unknown = [event for event in self.events if event.kind is Kind.UNKNOWN]
        if unknown:
            number = "Look the number up: https://docs.nvidia.com/deploy/xid-errors"
            look = number if unknown[0].subject is Subject.GPU else "Read the lines around it: sudo dmesg"
            raise Inconclusive(
                f"the kernel log holds unknown events: {self.describe(Kind.UNKNOWN)}; the first: {unknown[0].line}",
                look,
                "Restart the machine (sudo reboot), then run this again: a log without unknown events can be judged.",
            )

    def require_undoubted(self) -> None:
        """Raise Inconclusive where the log holds events that may be faults and that nothing decides."""
        if doubted := self._doubted():
            subject = next(event.subject for event in self.events if event.kind is Kind.SUSPICIOUS)
            look = xid.REMEDIES[OF_SUBJECT[subject]]
            raise Inconclusive(f"the kernel log holds events that may be faults: {doubted}", *look)

    def require_decided(self, computation: Computation) -> None:
        """Raise Inconclusive where the log holds events that may be faults and no computation has passed after them.

        Before the work that is `AfterWork`: the run looks again when it has computed. After it, every event must be
        older than the work, by the times that were read before it, and every GPU must have computed correctly.
        """
        doubted = self._doubted()
        if not doubted:
            return
        problem = f"the kernel log holds events that may be faults: {doubted}"
        seen_s = computation.before.get(DOUBTED)
        if not isinstance(seen_s, int | float):
            later = "If a GPU computes correctly after them they were harmless: run the whole suite, make validate"
            raise AfterWork(problem, "Read the lines around it: sudo dmesg", later, *self._restart()[1:])
        last_s = self.last_doubted_s
        if last_s is None or last_s > seen_s:
            raise Inconclusive(f"{problem}; they came while this run worked", *self._restart())
        if missing := computation.missing(*COMPUTING):
            problem = f"{problem}; and no computation shows that they were harmless: {missing}"
            raise Inconclusive(
                problem, "Run the whole suite, which computes on every GPU: make validate", *self._restart()
            )

    def _doubted(self) -> str:
        suspicious = [event for event in self.events if event.kind is Kind.SUSPICIOUS]
        return f"{self.describe(Kind.SUSPICIOUS)}; the first: {suspicious[0].line}" if suspicious else ""

    def _restart(self) -> tuple[str, ...]:
        return (
            "Read the lines around it: sudo dmesg",
            "Restart the machine (sudo reboot), then run this again: a log without such events can be judged.",
            "If they come back, open a hardware case with the log and the run folder.",
        )

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
EARLY = re.compile(r"Linux version |Booting Linux ")


def read() -> KernelLog:
    """What dmesg and the journal hold together. Raises Inconclusive where neither shows a log."""
    logs: list[KernelLog] = []
    refusals: list[str] = []
    for args in COMMANDS:
        try:
            logs.append(parse(reading.run(args), f"`{' '.join(args[:3])}`"))
        except Inconclusive as error:
            refusals.append(error.problem)
    if not logs:
        raise Inconclusive(
            f"the kernel log of this boot cannot be read: {'; '.join(refusals)}",
            "Get access to it: sudo usermod -aG adm $USER, then log in again and run this again.",
            "Read it by hand meanwhile: sudo dmesg | grep -E 'NVRM|Xid'",
        )
    return merged(logs)


def merged(logs: list[KernelLog]) -> KernelLog:
    """Several logs of one boot as one; a line that several of them hold counts once.

    >>> one = parse("NVRM: Xid (PCI:0000:05:00): 79, off the bus", "`a`")
    >>> two = parse("NVRM: Xid (PCI:0000:05:00): 62, 2d1c", "`b`")
    >>> merged([one, two, one]).describe("fault").partition(":")[0], merged([one, two, one]).count("fault")
    ('`a` and `b`', 2)
    """
    events: list[Event] = []
    for log in logs:
        known, own = Counter(event.line for event in events), Counter[str]()
        for event in log.events:
            own[event.line] += 1
            if own[event.line] > known[event.line]:
                events.append(event)
    times = [log.since_s for log in logs if log.since_s is not None]
    return KernelLog(
        source=" and ".join(dict.fromkeys(log.source for log in logs)),
        complete=any(log.complete for log in logs),
        since_s=min(times, default=None),
        events=tuple(reports.with_causes(sorted(events, key=lambda event: event.at_s or 0.0))),
        refused_allocations=max(log.refused_allocations for log in logs),
        driver_lines=max(log.driver_lines for log in logs),
        unlisted=max((log.unlisted for log in logs), key=len),
    )


def parse(text: str, source: str = "kernel log") -> KernelLog:
    """The log from the output of dmesg or journalctl; an empty one is not complete.

    >>> log = parse('''[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x413fd0c1]
    ... [ 3600.123456] NVRM: Xid (PCI:000f:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
    ... ''')
    >>> log.complete, [(event.name, event.gpu, event.kind.value) for event in log.events]
    (True, [('Xid 79', '000f:01:00', 'fault')])
    """
    lines = reading.lines(text)
    prefixes = [PREFIX.match(line) for line in lines]
    times = [float(found.group(1)) if found and found.group(1) else None for found in prefixes]
    messages = [line[found.end() :] if found else line for line, found in zip(lines, prefixes, strict=True)]
    since_s = times[0] if times else None
    complete = (since_s is not None and since_s <= EARLY_S) or any(map(EARLY.match, messages[:EARLY_LINES]))
    found_events = ((at, _event(messages, at)) for at in range(len(messages)))
    events = _in_context([replace(event, at_s=times[at]) for at, event in found_events if event], messages)
    about_driver = [message for message in messages if driver.LINE.match(message)]
    listed = {event.line for event in events}
    unlisted = [line for line in about_driver if line not in listed and not _is_listed(line)]
    refused = sum("NV_ERR_NO_MEMORY" in message for message in messages if message.startswith("NVRM"))
    return KernelLog(source, complete, since_s, tuple(events), refused, len(about_driver), tuple(unlisted))


def _in_context(events: list[Event], messages: list[str]) -> list[Event]:
    """The events as the rest of the log explains them."""
    removable = {found.group(1) for message in messages if (found := storage.REMOVABLE.match(message))}
    events = [reports.of_the_machine(event, removable) for event in events]
    if any(map(reports.HYPERVISOR.match, messages)):
        events = [reports.without_stall(event) for event in events]
    if any("[Hardware Error]: Corrected error" in message for message in messages):
        events = [event for event in events if "Machine check events logged" not in event.line]  # its severity follows
    return reports.with_causes(events)


def _is_listed(line: str) -> bool:
    return any(pattern.regex.match(line) for _, pattern in PATTERNS)


def _event(messages: list[str], at: int) -> Event | None:
    message = messages[at]
    if message.startswith("NVRM: Xid"):
        return _xid(message)
    if hung := reports.HUNG.match(message):
        return reports.hung(message, hung.group(1), messages[at + 1 : at + 1 + TRACE_LINES])
    if severity := reports.SEVERITY.match(message):
        below = messages[at + 1 : at + 1 + TRACE_LINES]
        return reports.hardware_error(message, severity.group(1), severity.group(2), below)
    for subject, row in PATTERNS:
        if match := row.regex.match(message):
            if row.kind is Kind.QUIET:
                return None
            gpu = re.search(PCI, message)
            address = gpu.group() if gpu else ""
            return Event(match.expand(row.name), address, message, row.kind, row.meaning, row.remedy, subject)
    return None


def _xid(message: str) -> Event:
    match = XID.match(message)
    if match is None:
        return Event("an Xid that cannot be read", "", message, Kind.UNKNOWN)
    gpu, number, text = match.group(1) or "", int(match.group(2)), match.group(3)
    kind, meaning, remedy = xid.meaning(number, text)
    return Event(f"Xid {number}", gpu, message, kind, meaning, remedy)
