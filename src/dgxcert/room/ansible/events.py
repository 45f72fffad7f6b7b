"""What Ansible says of a host while it plays: one JSON line per event, by `callback/room_events.py`."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from dgxcert.files import untrusted

Kind = Literal["ok", "failed", "unreachable", "retry", "skipped", "started"]
LONGEST = 64 * 1024
"""Characters that are kept of what a host printed."""


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


def parse(line: str) -> HostEvent | None:
    """The event in a line of ansible-playbook's output; None where it is none, such as a warning of Ansible's.

    >>> parse('{"at": "2026-12-01T02:00:00+00:00", "event": "ok", "host": "spark-01", "task": "answers", "rc": 0}').task
    'answers'
    >>> parse("[WARNING]: no hosts matched") is None
    True
    """
    if not line.startswith("{"):
        return None
    try:
        said = untrusted.parse_json(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("event") not in get_args(Kind):
        return None
    return HostEvent(
        at=_text(said.get("at")),
        kind=said["event"],
        host=_text(said.get("host")),
        task=_text(said.get("task")),
        rc=said["rc"] if isinstance(said.get("rc"), int) else None,
        stdout=_text(said.get("stdout")),
        stderr=_text(said.get("stderr")),
        msg=_text(said.get("msg")),
        attempts=said["attempts"] if isinstance(said.get("attempts"), int) else None,
    )


def _text(value: Any) -> str:
    return value[-LONGEST:] if isinstance(value, str) else "" if value is None else str(value)[:LONGEST]
