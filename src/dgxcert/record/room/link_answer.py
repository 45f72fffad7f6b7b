"""What one end of a pair answers about the cable alone, before both work together: who is at its other end, and how.

Each of two machines writes one; `room.pairs` judges both.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from dgxcert.console import on_one_line
from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.outcome import CannotStart
from dgxcert.record.room.pair_answer import LinkFacts, Part, Wire
from dgxcert.record.run import Moment

AT_MOST = 4 * MIB
"""The largest answer that is read: one of a machine with 500 interfaces has a tenth of one MiB."""
SHOWN = 200
MOST_NAMED = 16


class Reach(Part):
    """What came over one half of the link: questions to the other end, sent from one interface."""

    interface: str
    address: str
    peer: str
    """The address that was asked."""
    sent: int = Field(default=0, ge=0)
    """Questions of a few bytes."""
    answered: int = Field(default=0, ge=0)
    """Of them, those that the other end of this test has answered."""
    size_bytes: int = Field(default=0, ge=0)
    """Of a question as large as the interface's MTU, headers included, which no router may divide."""
    sent_full: int = Field(default=0, ge=0)
    answered_full: int = Field(default=0, ge=0)
    answers_as: str = ""
    """The name of the machine that has answered; "" where none has."""
    at: str = ""
    """The interface on which it has answered, as it says itself."""
    mac: str = ""
    """Of whoever has that address, as this end's kernel has found out: also where nobody has answered."""
    says: str = ""
    """What kept it from asking: `this machine has no address 192.168.100.1`; "" where it did."""


class LinkAnswer(Part):
    """The whole answer of one end about its link."""

    format: Literal[1] = 1
    host: str
    """The name of this end, as the lab's inventory has it."""
    peer_host: str
    meeting: str
    """What both ends of one test are told alike, and no other."""
    began: Moment
    ended: Moment
    facts: LinkFacts
    reached: tuple[Reach, ...] = Field(max_length=MOST_NAMED)
    """One for each half, in the order of the inventory."""
    wires: tuple[Wire, ...] = ()
    """What ib_write_bw measured, each half and then both at once; none where it is not installed on both ends."""


def parse(text: bytes | str, name: str) -> LinkAnswer:
    """An answer as it was written, by this name in errors. Raises CannotStart where it is cut off or not valid.

    >>> parse("{", "the answer of spark-01")
    Traceback (most recent call last):
    dgxcert.outcome.CannotStart: the answer of spark-01 is no whole answer about a link: : Invalid JSON: ...
    """
    try:
        return LinkAnswer.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CannotStart(
            f"{name} is no whole answer about a link: {place}: {on_one_line(first['msg'])[:SHOWN]}.",
            "Test the pair again; an end that was cut off has said nothing.",
        ) from error


def load(path: Path) -> LinkAnswer:
    """Read an answer. Raises CannotStart where it is missing, cut off or not valid."""
    try:
        content = untrusted.read_bytes(path, AT_MOST)
    except OSError as error:
        raise CannotStart(
            f"The answer {path} cannot be read: {error.strerror}.", "Look at what that end printed: its log."
        ) from error
    return parse(content, str(path))
