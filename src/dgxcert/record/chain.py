"""The chain: each line of a record carries its number, and a hash over itself and every line before it. Pure.

A changed, missing, moved or added line breaks the chain at its place. The chain finds what was changed by accident or
without care; who can write the whole file can also make a new chain, and that is what a signature is for.
"""

import hashlib
import re
from collections.abc import Iterable

HEX = 64
OPENS, CLOSES = b',"hash":"', b'"}'
TAIL = len(OPENS) + HEX + len(CLOSES)
WHOLE = re.compile(rb'"hash":".{64}|[0-9a-f]{64}"\}$', re.DOTALL)
"""What a line contains that was written to its end, even where a byte of it was changed later."""
FORMAT_6 = re.compile(rb'^\{[^{]*"format":([6-9]|[1-9][0-9]+)[,}]')
NUMBER = re.compile(rb',"line":([0-9]{1,12}),?')


class Chain:
    """The chain of one record, from its first line on.

    >>> written, read = Chain(), Chain()
    >>> line = written.link(b'{"event":"started"}')
    >>> line[:30]
    b'{"event":"started","line":1,"h'
    >>> read.content(line)
    b'{"event":"started"}'
    """

    def __init__(self) -> None:
        self.lines = 0
        self.hash = b""
        """That of all lines so far, as the last one carries it."""

    def copy(self) -> "Chain":
        """A chain that goes on from here."""
        copied = Chain()
        copied.lines, copied.hash = self.lines, self.hash
        return copied

    def link(self, event: bytes) -> bytes:
        """The line of an event, which is given as a JSON object."""
        self.lines += 1
        body = b'%s,"line":%d' % (event[:-1], self.lines)
        self.hash = self._over(body)
        return body + OPENS + self.hash + CLOSES

    def content(self, line: bytes) -> bytes | None:
        """The event of a line, as a JSON object; None where it is not the next line."""
        body, tail = line[:-TAIL], line[-TAIL:]
        event, _, number = body.rpartition(b',"line":')
        if number != b"%d" % (self.lines + 1) or tail != OPENS + (hashed := self._over(body)) + CLOSES:
            return None
        self.lines += 1
        self.hash = hashed
        return event + b"}"

    def skip(self, line: bytes) -> None:
        """Take a line that a crash cut short into the chain, as the next writer does who finds it."""
        self.lines += 1
        self.hash = self._over(line)

    def _over(self, body: bytes) -> bytes:
        return hashlib.sha256(self.hash + body).hexdigest().encode()


def over(lines: Iterable[bytes]) -> Chain:
    """The chain over all lines of a record, as their next writer continues it."""
    links = Chain()
    for line in lines:
        if links.content(line) is None:
            links.skip(line)
    return links


def is_chained(content: bytes) -> bool:
    """Whether the first line of a record carries a hash, as all do from format 6 on."""
    first = content.partition(b"\n")[0]
    return was_whole(first) or FORMAT_6.search(first) is not None


def was_whole(line: bytes) -> bool:
    """Whether a line was once written to its end, so that no crash has cut it."""
    return WHOLE.search(line) is not None


def wrong(line: bytes, at: int, later: list[bytes]) -> str:
    """What is wrong with the line at a place (counted from 1) where the chain breaks; `later` are the lines after it.

    >>> wrong(b'{"event":"said","line":7,"hash":"00"}', 5, [])
    'lines 5 to 6 are missing before it'
    """
    number = _number(line)
    if number is None:
        return "it is damaged" if was_whole(line) else "it is none of the lines that were written"
    if number == at:
        return "it was changed"
    if number < at:
        return f"it was written as line {number}"
    if at in map(_number, later):
        return f"it was written as line {number}, and line {at} comes later"
    return (
        f"line {at} is missing before it" if number == at + 1 else f"lines {at} to {number - 1} are missing before it"
    )


def _number(line: bytes) -> int | None:
    """The number that a line carries."""
    found = NUMBER.findall(line[-TAIL - 20 :])
    return int(found[-1]) if found else None
