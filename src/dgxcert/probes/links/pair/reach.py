"""Reach: who answers over each half of the link, and whether questions that fill its MTU arrive undivided.

Both ends ask and answer at the same time, by UDP from the address and the interface of each half, so that no other way
is taken. An end that comes later is waited for; one half that stays silent is given up soon after another has answered.
"""

import errno
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dgxcert.probes.links.pair import message, neighbours
from dgxcert.probes.links.pair.message import Message
from dgxcert.record.room.link_answer import Reach

PORT = 29410
QUESTIONS = 20
"""Of each size: enough to tell a cable that loses some from one that loses all."""
EVERY_S = 0.02
"""Between two questions of one half."""
KNOCK_S = 0.2
"""Between two questions to an end that has not answered yet, or is not done yet."""
PATIENCE_S = 30.0
SILENT_S = 5.0
"""After which a half that has not answered is given up, where another half has."""
LAST_S = 1.0
"""For the answer to the last question."""
GONE_S = 3.0
"""After which an end that says nothing more is taken to have ended."""
HEADERS_BYTES = 28
"""Of IPv4 and UDP, which a datagram's MTU includes (RFC 791, RFC 768)."""
LEAST_MTU, MOST_MTU = 576, 65_535
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
"""ip(7), linux/in.h: never divide what is sent, which Python does not name."""


@dataclass(frozen=True)
class Way:
    """One half of the link, as the lab wrote it."""

    interface: str
    address: str
    peer: str
    mtu: int


@dataclass(frozen=True)
class Meeting:
    """What both ends are told: the name of their test, and who they are."""

    name: str
    host: str
    peer_host: str
    measures: bool = False
    """Whether this end has ib_write_bw."""
    port: int = PORT
    patience_s: float = PATIENCE_S


@dataclass
class Half:
    """One half while it is tested."""

    way: Way
    channel: socket.socket | None = None
    says: str = ""
    first_s: float | None = None
    """When the other end was first heard on it."""
    next_s: float = 0.0
    sent: list[int] = field(default_factory=lambda: [0, 0])
    """Small and full questions."""
    answered: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))
    answers_as: str = ""
    at: str = ""
    last_sent_s: float = 0.0
    given_up: bool = False

    @property
    def asked(self) -> bool:
        """Whether all its questions were sent."""
        return self.sent == [QUESTIONS, QUESTIONS]

    def is_done(self, now_s: float) -> bool:
        """Whether nothing more is expected of it."""
        if self.channel is None or self.given_up:
            return True
        complete = all(len(numbers) == QUESTIONS for numbers in self.answered)
        return self.asked and (complete or now_s - self.last_sent_s > LAST_S)


@dataclass(frozen=True)
class Tested:
    """What came over all halves."""

    reached: tuple[Reach, ...]
    measures: bool
    """Whether the other end said that it has ib_write_bw."""


def test(ways: Sequence[Way], meeting: Meeting) -> Tested:
    """Ask and answer over all halves until both ends are done, or nobody has come within the patience."""
    talk = Talk(meeting, [_opened(way, meeting.port) for way in ways])
    try:
        talk.run()
        macs = neighbours.read()
    finally:
        for half in talk.halves:
            if half.channel is not None:
                half.channel.close()
    reached = (_reach(half, macs.get((half.way.interface, half.way.peer), "")) for half in talk.halves)
    return Tested(tuple(reached), talk.theirs_measure)


def _opened(way: Way, port: int) -> Half:
    """A half with its socket; without one where this end cannot use it, and why."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, way.interface.encode())
        opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        opened.setblocking(False)
        opened.bind((way.address, port))
    except OSError as error:
        opened.close()
        return Half(way, says=_why(error, way, port))
    return Half(way, opened)


def _why(error: OSError, way: Way, port: int) -> str:
    """What kept this end from using a half, in words."""
    match error.errno:
        case errno.ENODEV:
            return f"there is no interface {way.interface} on this machine"
        case errno.EADDRNOTAVAIL:
            return f"this machine has no address {way.address}"
        case errno.EADDRINUSE:
            return f"port {port} of {way.address} is taken by another program"
    return f"{way.address} on {way.interface} cannot be used: {error.strerror or error}"


def _reach(half: Half, mac: str) -> Reach:
    small, full = half.sent
    return Reach(
        interface=half.way.interface,
        address=half.way.address,
        peer=half.way.peer,
        sent=small,
        answered=len(half.answered[0]),
        size_bytes=half.way.mtu,
        sent_full=full,
        answered_full=len(half.answered[1]),
        answers_as=half.answers_as,
        at=half.at,
        mac=mac,
        says=half.says,
    )


class Talk:
    """The questions and answers of one end over all halves."""

    def __init__(self, meeting: Meeting, halves: list[Half]) -> None:
        self._meeting = meeting
        self.halves = halves
        self._heard_s: float | None = None
        """When the other end of this test was heard of last."""
        self._theirs_done = False
        self.theirs_measure = False

    def run(self) -> None:
        """Talk until both ends are done, the other end is gone, or nobody has come."""
        deadline_s = time.monotonic() + self._meeting.patience_s
        while self._goes_on(deadline_s):
            now_s = time.monotonic()
            for half in self.halves:
                self._ask(half, now_s)
            sockets = {half.channel: half for half in self.halves if half.channel is not None}
            readable, _, _ = select.select(list(sockets), [], [], EVERY_S)
            for each in readable:
                self._hear(sockets[each])
        self._say_done()

    def _goes_on(self, deadline_s: float) -> bool:
        now_s = time.monotonic()
        if not any(half.channel for half in self.halves):
            return False
        first_s = min((half.first_s for half in self.halves if half.first_s is not None), default=None)
        if first_s is None:
            return now_s < deadline_s
        for half in self.halves:
            half.given_up = half.given_up or (half.first_s is None and now_s - first_s > SILENT_S)
        if not self._done(now_s):
            return True
        return not self._theirs_done and self._heard_s is not None and now_s - self._heard_s < GONE_S

    def _done(self, now_s: float) -> bool:
        return all(half.is_done(now_s) for half in self.halves)

    def _ask(self, half: Half, now_s: float) -> None:
        """Send the next question of a half that is due; after the last one, keep saying that this end is done."""
        if half.channel is None or now_s < half.next_s:
            return
        knocks = half.first_s is None or half.asked
        half.next_s = now_s + (KNOCK_S if knocks else EVERY_S)
        if knocks:
            self._send(half, self._message(half, "question", number=0))
            return
        full = half.sent[0] == QUESTIONS
        half.sent[full] += 1
        half.last_sent_s = now_s
        question = self._message(half, "question", number=half.sent[full], full=full)
        self._send(half, question, half.way.mtu - HEADERS_BYTES if full else 0)

    def _send(self, half: Half, said: Message, size_bytes: int = 0, to: Any = None) -> None:
        if half.channel is None:
            return
        to = (half.way.peer, self._meeting.port) if to is None else to
        try:
            half.channel.sendto(said.datagram(min(size_bytes, message.MOST_BYTES)), to)
        except OSError as error:  # no route, a cable that was pulled, a full queue: as if it were lost on the way
            if half.first_s is None:
                half.says = f"nothing can be sent from {half.way.interface} to {to[0]}: {error.strerror or error}"

    def _message(self, half: Half, kind: Any, *, number: int, full: bool = False) -> Message:
        return Message(
            kind=kind,
            meeting=self._meeting.name,
            host=self._meeting.host,
            interface=half.way.interface,
            number=number,
            full=full,
            done=self._done(time.monotonic()),
            measures=self._meeting.measures,
        )

    def _hear(self, half: Half) -> None:
        if half.channel is None:
            return
        try:
            datagram, sender = half.channel.recvfrom(message.MOST_BYTES + 1)
        except OSError:
            return
        said = message.parse(datagram)
        if said is None:
            return
        if said.kind == "question":
            self._send(half, self._message(half, "answer", number=said.number, full=said.full), to=sender)
        if said.meeting != self._meeting.name or said.host != self._meeting.peer_host:
            half.answers_as = half.answers_as or said.host
            return
        self._heard_s = time.monotonic()
        self._theirs_done = self._theirs_done or said.done
        self.theirs_measure = said.measures
        if said.kind == "answer" and sender[0] == half.way.peer:
            self._answered(half, said)

    def _answered(self, half: Half, said: Message) -> None:
        half.answers_as, half.at, half.says = said.host, said.interface, ""
        if half.first_s is None:
            half.first_s = time.monotonic()
            half.next_s = 0.0
        elif 0 < said.number <= half.sent[said.full]:
            half.answered[said.full].add(said.number)

    def _say_done(self) -> None:
        """Tell the other end that there is nothing to wait for, in case it has not heard of it."""
        for half in self.halves:
            for _ in range(3):
                self._send(half, self._message(half, "question", number=0))
