"""What `dgxcert doctor --json` prints: what a run that started now would trip over."""

from dgxcert.cli.json_output.document import Document
from dgxcert.runner.doctor.findings import Examination, Finding


class Doctor(Document):
    """All findings."""

    profile: str
    runtime: str
    image: str
    """What a run will do about its image; empty for a run without one."""
    findings: tuple[Finding, ...]
    """Everything that was looked at, what is well too."""
    seconds: float
    exit_code: int
    """0: nothing is in the way; 1: something stops a run or rejects the machine; 2: something could not be told."""


def of(examined: Examination) -> Doctor:
    """The document of an examination."""
    return Doctor(**dict(examined))
