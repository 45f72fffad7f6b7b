"""Events that take more than one line to understand: hung tasks, firmware's error records, consequences of an Xid."""

import re
from collections.abc import Iterable
from dataclasses import replace

from dgxcert.probes.host import xid
from dgxcert.probes.host.log import storage
from dgxcert.probes.host.log.event import Event
from dgxcert.probes.host.log.pattern import Subject
from dgxcert.probes.host.xid import Kind

HUNG = re.compile(r"INFO: task (.+?):\d+ blocked for more than \d+ seconds")
OTHER_REPORT = re.compile(r".*invoked oom-killer|watchdog: |(?:rcu: )?INFO: rcu|WARNING: |BUG: |Internal error: ")
"""The next report: it ends the stack trace of a hung task, which may name the driver for another reason."""
IN_DRIVER = re.compile(r"\[nvidia\w*\]")
OF_DRIVER = re.compile(r"nv_|nvidia|UVM |irq/\d+-nvidia")
"""Threads of the driver, and programs such as nvidia-smi that do nothing but ask it, whose stack may not be printed."""

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

CAUSE = re.compile(r"caused by previous Xid (\d+)")
CLEANUP = ("Xid 43", "Xid 45")
SOON_S = 60.0
"""A channel that is torn down this soon after a link's error was torn down by it; older drivers do not say so."""


def hung(message: str, task: str, below: list[str]) -> Event:
    """A task that hangs in the driver or in memory compaction is a fault; others wait for a disk or a network."""
    end = next((at for at, line in enumerate(below) if HUNG.match(line) or OTHER_REPORT.match(line)), len(below))
    driver = bool(OF_DRIVER.match(task)) or any(map(IN_DRIVER.search, below[:end]))
    if driver or task.startswith("kcompactd"):
        where = "the NVIDIA driver" if driver else "memory compaction"
        subject = Subject.GPU if driver else Subject.CPU
        return Event("hung task", "", message, Kind.FAULT, f"{task} hung in {where}", "hang", subject)
    return Event("hung task", "", message, Kind.NOTE, f"{task} waited for minutes", "", Subject.STORAGE)


def hardware_error(message: str, prefix: str, severity: str, below: list[str]) -> Event:
    """A report of the firmware about memory, CPUs or PCIe."""
    # Lines of one report share its number in the prefix; reports of different devices can interleave.
    own = [line.removeprefix(prefix) for line in below if line.startswith(prefix)]
    end = next((at for at, line in enumerate(own) if line.startswith(" event severity:")), len(own))
    sections = [section.group(1) for line in own[:end] if (section := SECTION.match(line))]
    when = "" if prefix.startswith("{") else ", before this boot"
    meaning = f"{severity}: {', '.join(dict.fromkeys(sections)) or 'of an unknown part'}{when}"
    subject = _subject(sections)
    kind, remedy = Kind.FAULT, "bus" if subject is Subject.PCIE else "hardware"
    if severity in MILD or (when and sections and set(sections) == {CRASH_LOG}):
        kind, remedy = Kind.NOTE, ""
    elif subject is Subject.PCIE and severity == "recoverable":  # what the kernel itself calls non-fatal
        kind, remedy = Kind.SUSPICIOUS, ""
    return Event("hardware error", "", message, kind, meaning, remedy, subject)


def _subject(sections: list[str]) -> Subject:
    """The part that all sections of a report are about; the CPU's, where they are about several or none."""
    names = {
        Subject.PCIE if re.match(r"PCIe|CXL|PCI", section) else Subject.MEMORY if "memory" in section else Subject.CPU
        for section in sections
    }
    return names.pop() if len(names) == 1 else (Subject.MEMORY if Subject.MEMORY in names else Subject.CPU)


def with_causes(events: Iterable[Event]) -> list[Event]:
    """The events, each consequence with the meaning of its cause.

    A channel that was torn down because of another Xid is that Xid's fault, on whichever GPU. An NVLink error that
    calls itself nonfatal and tore down channels was fatal to what used them.
    """
    found = list(events)
    guilty: set[int] = set()
    link: int | None = None
    for at, event in enumerate(found):
        number = _number(event)
        if number is None:
            continue
        if cause := CAUSE.search(event.line):
            found[at] = _of_cause(event, int(cause.group(1)))
            guilty.add(int(cause.group(1)))
        elif event.name in CLEANUP and link is not None and _soon(found[link], event):
            found[at] = _of_cause(event, number_of_link := _number(found[link]) or 0)
            guilty.add(number_of_link)
        elif event.name not in CLEANUP:
            link = at if number in xid.NVLINK5 and event.kind is not Kind.FAULT else None
    return [_guilty(event) if _number(event) in guilty and _number(event) in xid.NVLINK5 else event for event in found]


def _number(event: Event) -> int | None:
    return int(event.name.removeprefix("Xid ")) if re.fullmatch(r"Xid \d+", event.name) else None


def _soon(cause: Event, event: Event) -> bool:
    return cause.at_s is None or event.at_s is None or event.at_s - cause.at_s <= SOON_S


def _of_cause(event: Event, number: int) -> Event:
    """An event with the kind and the remedy of the Xid that caused it."""
    kind, meaning, remedy = xid.meaning(number, "fatal" if number in xid.NVLINK5 else "")
    if kind is Kind.NOTE:  # what is harmless by itself, but has torn down a program
        kind = Kind.SUSPICIOUS
    caused = f"caused by Xid {number}{f', {meaning}' if meaning else ''}"
    return replace(event, kind=kind, meaning=caused, remedy=remedy)


def _guilty(event: Event) -> Event:
    if event.kind is Kind.FAULT:
        return event
    return replace(event, kind=Kind.FAULT, meaning="an NVLink error that ended programs", remedy="link")


def without_stall(event: Event) -> Event:
    """The event in a virtual machine, whose CPUs stall whenever the hypervisor is busy: that is no fault."""
    if event.name not in STALLS:
        return event
    return replace(event, kind=Kind.NOTE, meaning="a CPU of this virtual machine stalled", remedy="")


def of_the_machine(event: Event, removable: set[str]) -> Event:
    """The event, which is no fault where it is about a drive that somebody plugged in."""
    device = storage.DEVICE.search(event.line)
    if event.subject is Subject.STORAGE and device is not None and device.group(1) in removable:
        return replace(event, kind=Kind.NOTE, meaning="of a removable drive", remedy="")
    return event
