"""The greeting: both ends say who they are over the link itself, before either begins, so that a misfit has a name.

Rank 0 listens on the address of its link and rank 1 comes to it. Each says one line of JSON; what differs is named
before torch and NCCL are asked to join, which would hang or fail with words of their own. The connection stays open
while both work: see `lifeline`.
"""

import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field, ValidationError

from dgxcert.console import on_one_line
from dgxcert.outcome import Inconclusive
from dgxcert.record.room.pair_answer import Part, Plan, Versions
from dgxcert.workloads.pairs.order import Order

MAGIC = "dgxcert pair"
FORMAT = 1
MOST_BYTES = 65536
SHOWN = 60
ANSWERS_S = 10.0
"""How long an end that has come may take for its line."""
TRIES_S = 0.5
MUST_FIT = ("dgxcert", "suite", "torch", "nccl")
"""Of `Versions`: others may differ, and are kept in both answers."""
LOOK_AT_LINK = (
    "Look whether the cable carries on both ends: ip -br link; ip -br address",
    "Try the way: ping -c 3 -I {interface} {peer}",
    "Correct `link_address` and `link_port` in the inventory.",
)


class Hello(Part):
    """What one end says of itself."""

    magic: Literal["dgxcert pair"] = "dgxcert pair"
    format: Literal[1] = 1
    meeting: str = Field(max_length=200)
    rank: Literal[0, 1]
    host: str = Field(max_length=300)
    plan: Plan
    versions: Versions
    store_port: int = Field(ge=0, le=65535)
    """Of torch's store, which rank 0 chooses."""


@dataclass
class Connection:
    """What connects both ends, with what was read and is not yet a line."""

    socket: socket.socket
    peer: str
    rest: bytes = field(default=b"")

    def say(self, message: dict[str, Any]) -> None:
        """Send one line."""
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def lines(self) -> list[dict[str, Any]] | None:
        """What has arrived by now, in whole lines; None where the other end has closed. Raises OSError."""
        received = self.socket.recv(MOST_BYTES)
        if not received:
            return None
        *whole, self.rest = (self.rest + received).split(b"\n")
        if len(self.rest) > MOST_BYTES:
            raise OSError(None, "a line without an end")
        return [parse(line) for line in whole]


def parse(line: bytes) -> dict[str, Any]:
    """A line of the other end; what is none has no key.

    >>> parse(b'{"at": "training"}'), parse(b"SSH-2.0-OpenSSH_9.6")
    ({'at': 'training'}, {})
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


@dataclass(frozen=True)
class Met:
    """Both ends have met."""

    connection: Connection
    theirs: Hello
    store_port: int
    """Where torch's store is to listen on rank 0."""


def meet(order: Order, versions: Versions) -> Met:
    """Meet the other end. Raises Inconclusive, by what was found there."""
    mine = Hello(
        meeting=order.meeting,
        rank=order.rank,
        host=order.host,
        plan=order.plan,
        versions=versions,
        store_port=_free_port(order.address),
    )
    deadline = time.monotonic() + order.patience_s
    connection, theirs = _wait(order, mine, deadline) if order.rank == 0 else _come(order, mine, deadline)
    if problem := misfit(mine, theirs):
        connection.socket.close()
        raise Inconclusive(
            f"{order.peer_host} is no partner: {problem}",
            "Deliver the same suite and the same image to both: dgxcert room run",
        )
    return Met(connection, theirs, (mine if order.rank == 0 else theirs).store_port)


def misfit(mine: Hello, theirs: Hello) -> str:
    """Why two ends cannot work together, or ""; the same sentence but for its order on both."""
    if mine.rank == theirs.rank:
        return f"both ends were told to be rank {mine.rank}"
    for name in MUST_FIT:
        ours, other = (getattr(each.versions, name) for each in (mine, theirs))
        if ours != other:
            return f"it has {name} {other[:SHOWN] or 'none'}, this end {ours[:SHOWN] or 'none'}"
    for name in Plan.model_fields:
        ours, other = (getattr(each.plan, name) for each in (mine, theirs))
        if ours != other:
            return f"its plan has {name} {other}, that of this end {ours}"
    return ""


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise _no_address(address, error) from error
        return int(probe.getsockname()[1])


def _no_address(address: str, error: OSError) -> Inconclusive:
    return Inconclusive(
        f"this machine has no address {address}: {error.strerror}",
        "Look which addresses it has: ip -br address",
        "Correct `link_address` in the inventory.",
    )


def _wait(order: Order, mine: Hello, deadline: float) -> tuple[Connection, Hello]:
    """Rank 0: take the connection of the other end, and of nobody else."""
    with _listening(order) as listening:
        strangers = ""
        while (left := deadline - time.monotonic()) > 0:
            listening.settimeout(left)
            try:
                connected, (address, *_) = listening.accept()
            except TimeoutError:
                break
            theirs, strange = _exchanged(Connection(connected, address), order, mine)
            if theirs is not None and address == order.peer:
                return Connection(connected, address), theirs
            connected.close()
            strangers = f"; {address} came, and {strange or 'is not the other end of this link'}"
    raise Inconclusive(
        f"{order.peer_host} did not come from {order.peer} to {order.address} port {order.port} within "
        f"{order.patience_s:.0f} s{strangers}",
        "Read what the other end says; it may not have started.",
        *_look(order),
    )


def _listening(order: Order) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((order.address, order.port))
        listening.listen(4)
    except OSError as error:
        listening.close()
        if error.errno == 98:
            raise Inconclusive(
                f"port {order.port} of {order.address} is taken by another program",
                f"See by which: sudo ss -ltnp 'sport = :{order.port}'",
                "End it, or wait until an earlier test of this pair has ended, then test again.",
            ) from error
        raise _no_address(order.address, error) from error
    return listening


def _come(order: Order, mine: Hello, deadline: float) -> tuple[Connection, Hello]:
    """Rank 1: come to the other end, which may not listen yet."""
    problem = "it was not tried"
    while (left := deadline - time.monotonic()) > 0:
        try:
            connected = socket.create_connection((order.peer, order.port), left, (order.address, 0))
        except OSError as error:
            if error.errno == 99:
                raise _no_address(order.address, error) from error
            problem = error.strerror or str(error)
            time.sleep(min(TRIES_S, left))
            continue
        theirs, problem = _exchanged(Connection(connected, order.peer), order, mine)
        if theirs is not None:
            return Connection(connected, order.peer), theirs
        connected.close()
        time.sleep(min(TRIES_S, left))
    raise Inconclusive(
        f"{order.peer_host} could not be met at {order.peer} port {order.port} within {order.patience_s:.0f} s: "
        f"{problem}",
        "Read what the other end says; it may not have started.",
        *_look(order),
    )


def _look(order: Order) -> tuple[str, ...]:
    return tuple(each.format(interface=order.interfaces[0], peer=order.peer) for each in LOOK_AT_LINK)


def _exchanged(connection: Connection, order: Order, mine: Hello) -> tuple[Hello | None, str]:
    """Say hello and hear it; None, and what was there instead, where it is no end of this test.

    Raises Inconclusive where it is an end of another version, which no patience makes fit.
    """
    try:
        connection.socket.settimeout(ANSWERS_S)
        connection.say(mine.model_dump(mode="json"))
        line = _line(connection)
    except TimeoutError:
        return None, f"says nothing within {ANSWERS_S:.0f} s"
    except OSError as error:
        return None, f"closes the connection ({error.strerror or error})"
    said = parse(line)
    if said.get("magic") != MAGIC:
        told = on_one_line(line[:SHOWN].decode(errors="replace").strip())
        return None, f"is no end of a pair: it says '{told}'" if told else "is no end of a pair: it says nothing"
    if said.get("meeting") != order.meeting:
        return None, "is an end of another test"
    try:
        return Hello.model_validate(said), ""
    except ValidationError as error:
        connection.socket.close()
        place = ".".join(map(str, error.errors()[0]["loc"]))
        theirs = said.get("versions")
        version = str(theirs.get("dgxcert", "?"))[:SHOWN] if isinstance(theirs, dict) else "?"
        raise Inconclusive(
            f"{order.peer_host} is no partner: it has dgxcert {on_one_line(version)} and this end "
            f"{mine.versions.dgxcert}, which do not understand each other ({place})",
            "Deliver the same suite to both: dgxcert room run",
        ) from error


def _line(connection: Connection) -> bytes:
    """The first line; what came without an end where the connection was closed. Nothing after it is lost."""
    deadline, received = time.monotonic() + ANSWERS_S, b""
    while b"\n" not in received and len(received) < MOST_BYTES:
        connection.socket.settimeout(max(0.01, deadline - time.monotonic()))
        more = connection.socket.recv(1)
        if not more:
            break
        received += more
    return received.removesuffix(b"\n")
