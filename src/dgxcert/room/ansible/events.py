"""What Ansible says of a host while it plays: one JSON line per event, by our own callback."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ok", "failed", "unreachable", "retry", "skipped", "started"]


@dataclass(frozen=True)
class HostEvent:
    """One thing that happened on a host."""

    at: str
    """ISO 8601, by the controller's clock."""
    kind: Kind
    host: str
    task: str
    rc: int | None = None
    stdout: str = ""
    stderr: str = ""
    msg: str = ""
    attempts: int | None = None
