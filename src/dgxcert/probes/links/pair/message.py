"""Messages of a link test: one datagram each, a question or an answer, in which an end says who it is."""

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAGIC = "dgxcert link"
MOST_BYTES = 65_507
"""The largest payload of a UDP datagram over IPv4 (RFC 768)."""


class Message(BaseModel):
    """One datagram. Whoever can reach the port may send one, so that nothing of it is believed but who is there."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    magic: Literal["dgxcert link"] = "dgxcert link"
    kind: Literal["question", "answer"]
    meeting: str = Field(max_length=200)
    host: str = Field(max_length=300)
    interface: str = Field(max_length=64)
    """On which it was sent."""
    number: int = Field(ge=0, le=1_000_000)
    """Of the question, which its answer repeats."""
    full: bool = False
    """Whether the question fills the interface's MTU."""
    done: bool = False
    """Whether the sender has no more questions."""
    measures: bool = False
    """Whether the sender has ib_write_bw."""

    def datagram(self, size_bytes: int = 0) -> bytes:
        """The message as it is sent, filled with spaces up to a size.

        >>> message = Message(kind="question", meeting="m", host="spark-01", interface="p0", number=1)
        >>> len(message.datagram(1472)), parse(message.datagram(1472)) == message
        (1472, True)
        """
        return self.model_dump_json().encode().ljust(size_bytes)


def parse(datagram: bytes) -> Message | None:
    """What was received; None where it is no message of a link test.

    >>> parse(b"\\x00\\x01") is None
    True
    """
    try:
        return Message.model_validate(json.loads(datagram))
    except (ValueError, RecursionError, ValidationError):
        return None
