"""Jobs: what each end of a pair runs, begun by the agent on its host; and their time limits. Pure."""

from dataclasses import dataclass

from dgxcert.room.delivery import commands
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions

ANSWER = "answer.json"
LINK_PATIENCE_S = 30.0
LINK_LIMIT_S = 150.0
"""The patience of both ends, a start of Python on a slow disk, 20 questions of each size, and ib_write_bw thrice."""
WORK_PATIENCE_S, WORK_LIMIT_S = 60.0, 900.0
WORK_KILLED_S = 1200.0
"""A little more than an end takes to end itself, whatever the other one does: it starts within 90 s."""


@dataclass(frozen=True)
class Job:
    """What one end is to do, as its agent is told."""

    host: Host
    name: str
    """Of its folders on the host; both ends of a test have the same."""
    program: tuple[str, ...]
    limit_s: float


def link(host: Host, other: Host, meeting: str) -> Job:
    """Look at the cable."""
    name = f"{meeting}-link"
    words = [*commands.LATEST, "pair-link"]
    for interface, address, peer in zip(host.link.ports, host.link.addresses, other.link.addresses, strict=True):
        words += ["--half", f"{interface}={address}={peer}"]
    words += ["--patience", f"{LINK_PATIENCE_S:g}"]
    return _job(host, other, meeting, name, words, LINK_LIMIT_S)


def work(rank: int, host: Host, other: Host, meeting: str, options: RoomOptions) -> Job:
    """Work together over the first half's address."""
    name = f"{meeting}-work"
    words = [*commands.LATEST, "pair-end", "--rank", str(rank)]
    words += ["--address", host.link.addresses[0], "--peer", other.link.addresses[0]]
    for interface in host.link.ports:
        words += ["--interface", interface]
    words += ["--profile", options.profile_of(host), "--runtime", options.runtime.value, *commands.image(options)]
    words += ["--patience", f"{WORK_PATIENCE_S:g}", "--limit", f"{WORK_LIMIT_S:g}"]
    return _job(host, other, meeting, name, words, WORK_KILLED_S)


def _job(host: Host, other: Host, meeting: str, name: str, words: list[str], limit_s: float) -> Job:
    words += ["--host", host.name, "--peer-host", other.name, "--meeting", meeting]
    words += ["--out", f"{commands.HERE}/results/{name}/{ANSWER}"]
    return Job(host, name, tuple(words), limit_s)
