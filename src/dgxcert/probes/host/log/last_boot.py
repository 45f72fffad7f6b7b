"""The end of the boot before this one: whether it was in good order, and what the kernel and firmware kept of a crash.

A machine that went down under load and was started again shows nothing in the log of the new boot. The journal keeps
the last lines of the old one, and pstore what the kernel printed while it died (man systemd-pstore).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.judgement.computation import Computation
from dgxcert.outcome import AfterWork, Inconclusive
from dgxcert.probes.host import kernel_log
from dgxcert.probes.host.log.event import Event
from dgxcert.probes.host.xid import Kind

LINES = 3000
"""Lines from the end of the boot, of the kernel and of programs: minutes of a machine that is busy."""
TIMEOUT_S = 10.0
JOURNAL = ["journalctl", "-b", "-1", "--no-pager", "-o", "short-monotonic", "-n", str(LINES)]
KERNELS = Path("/sys/fs/pstore")
PSTORE = (KERNELS, Path("/var/lib/systemd/pstore"))
AGE_S = {KERNELS: 24 * 3600.0}
"""How long before this boot a record may be dated. The kernel dates its own by the crash (pstore_mkfile of
fs/pstore/inode.c); systemd copies them at the start that follows."""
STAT = Path("/proc/stat")
LONGEST = 200_000
"""Characters read of one record."""
MOST_RECORDS = 100

ORDERLY = re.compile(
    r"systemd\[1\]: (?:Shutting down|Reached target .*(?i:reboot|power[- ]?off|shutdown|halt|kexec))"
    r"|systemd-shutdown\[\d+\]: "
    r"|kernel: reboot: (?:Restarting|Power down|System halted)"
)
"""What a boot that is ended in good order says last: systemd's manager.c and shutdown.c, kernel/reboot.c."""
KERNEL = re.compile(r"\S+ kernel: ")
NONE_KEPT = re.compile(
    r"(?i)no such boot|not available|no journal boot entry|no persistent journal|no journal files were found"
)
CRASH = re.compile(r"(?:Oops|Panic)#\d+|Kernel panic|Internal error: |Unable to handle kernel|general protection fault")
"""The head of a record that a dying kernel wrote: fs/pstore/platform.c."""

MARK = ("LAST-BOOT", "end of the last boot")
PROOF = "BURN-IN"


@dataclass(frozen=True)
class LastBoot:
    """How the boot before this one ended, as far as it was kept."""

    end: str
    """In words; the same for every boot that ended in good order."""
    crashed: bool
    faults: tuple[Event, ...] = ()
    """Faults among its last lines, whatever they were about."""
    source: str = ""

    @property
    def description(self) -> str:
        """The source and its faults, each once."""
        names = dict.fromkeys(event.description for event in self.faults)
        return f"{self.source}: {'; '.join(list(names)[:4]) or 'no fault'}"

    def require_survived(self, computation: Computation, minutes: float, enough: float | None) -> None:
        """Raise Inconclusive where it crashed and no load of enough minutes has passed in this run since.

        Before the work that is `AfterWork`: the run looks again when the machine has worked.
        """
        if not self.crashed:
            return
        problem = f"{self.end} ({self.description})"
        remedy = (
            "Read its last messages: journalctl -b -1 -n 200",
            "Read what the dying kernel kept, if anything: sudo ls -R /var/lib/systemd/pstore",
            "Let the machine prove itself, which this requirement accepts: make burn-in MINUTES=60",
            "If you cut its power yourself: restart it in good order (sudo reboot), then run this again.",
            "If it goes down again, open a hardware case with the log and the run folder.",
        )
        if MARK not in computation.before:
            raise AfterWork(problem, *remedy)
        missing = computation.missing(*kernel_log.COMPUTING, PROOF)
        if missing or enough is None or minutes < enough:
            short = missing or f"the burn-in lasted {minutes:g} minutes, wanted {enough:g}"
            raise Inconclusive(f"{problem}; and no load shows that it was repaired: {short}", *remedy)


def read() -> LastBoot:
    """The end of the last boot. Raises Inconclusive where it was kept, and cannot be read."""
    records = read_pstore(PSTORE, boot_time_s())
    try:
        shown = command.run(JOURNAL, timeout_s=TIMEOUT_S, env={**os.environ, "LC_ALL": "C"})
    except OSError:
        return parse("", records, kept=False)
    said = shown.stderr + shown.stdout
    if "not seeing messages from other users and the system" in said or "insufficient permissions" in said:
        raise _unreadable("it shows only this user's messages")
    if shown.returncode != 0 and not NONE_KEPT.search(said):
        raise _unreadable(shown.complaint)
    # Older journals print a warning and then this boot, where none is persistent.
    kept = shown.returncode == 0 and not NONE_KEPT.search(shown.stderr)
    return parse(shown.stdout if kept else "", records, kept=kept)


def _unreadable(why: str) -> Inconclusive:
    return Inconclusive(
        f"the end of the last boot cannot be read: {why}",
        "Get access to the journal: sudo usermod -aG adm $USER, then log in again and run this again.",
        "Read it by hand meanwhile: sudo journalctl -b -1 -n 200",
    )


def parse(text: str, records: tuple[str, ...] = (), *, kept: bool = True) -> LastBoot:
    """The end of a boot from the last lines of its journal, and from the records of pstore.

    >>> parse("[ 9.1] spark systemd[1]: Reached target reboot.target - System Reboot.").crashed
    False
    >>> parse("[ 9.1] spark kernel: NVRM: Xid (PCI:000f:01:00): 79, GPU has fallen off the bus.").end
    'the last boot ended without a shutdown'
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("-- ")]
    kernel = kernel_log.parse("\n".join(line for line in lines if KERNEL.search(line)), "`journalctl -b -1`")
    faults = tuple(event for event in kernel.events if event.kind in (Kind.FAULT, Kind.UNKNOWN))
    if records:
        head = next((line for line in records[0].splitlines() if line.strip()), "a record")
        return LastBoot(f"the last boot ended in a crash of the kernel: {head[:120]}", True, faults, "pstore")
    if not kept or not lines:
        return LastBoot("nothing was kept of the last boot", False, source="no journal of it, and no record in pstore")
    orderly = any(map(ORDERLY.search, lines))
    end = "the last boot ended in good order" if orderly else "the last boot ended without a shutdown"
    return LastBoot(end, not orderly, faults, kernel.source)


def boot_time_s() -> float:
    """When this boot began, in seconds since 1970; infinite where the kernel does not say."""
    try:
        lines = STAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), float("inf"))


def read_pstore(folders: tuple[Path, ...], began_s: float) -> tuple[str, ...]:
    """Records of a crash that were found in this boot, so that the last one wrote them; those that can be read.

    The kernel offers them again at each start until they are deleted; systemd moves them into a folder of its own at
    the first. Neither place needs to be readable without root: then the journal alone decides.
    """
    found = []
    for folder in folders:
        oldest_s = began_s - AGE_S.get(folder, 60.0)
        for place in sorted(_files(folder))[:MOST_RECORDS]:
            try:
                fresh = place.stat().st_ctime >= oldest_s
                text = place.read_text(encoding="utf-8", errors="replace")[:LONGEST] if fresh else ""
            except OSError:
                continue
            if CRASH.search(text):
                found.append(text)
    return tuple(found)


def _files(folder: Path) -> list[Path]:
    return [Path(place) / name for place, _, names in os.walk(folder) for name in names]
