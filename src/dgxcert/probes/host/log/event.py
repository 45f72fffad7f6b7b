"""An event of the kernel log: a line or a report of several, with its kind, its subject and its time."""

from dataclasses import dataclass

from dgxcert.probes.host.log.pattern import Subject
from dgxcert.probes.host.xid import Kind


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
    subject: Subject = Subject.GPU
    at_s: float | None = None
    """Seconds after the boot; None where the log has no such time."""

    @property
    def description(self) -> str:
        """Name, meaning and GPU."""
        meaning = f" ({self.meaning})" if self.meaning else ""
        return f"{self.name}{meaning}{' on ' if self.gpu else ''}{self.gpu}"
