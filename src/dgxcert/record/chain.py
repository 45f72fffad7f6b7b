"""The chain: each line of a record carries its number, and a hash over itself and every line before it. Pure.

A changed, missing, moved or added line breaks the chain at its place. The chain finds what was changed by accident or
without care; who can write the whole file can also make a new chain, and that is what a signature is for.
"""

import hashlib
import io
import re
from collections.abc import Iterable

HEX = 64
OPENS, CLOSES = b',"hash":"', b'"}'
TAIL = len(OPENS) + HEX + len(CLOSES)
DIGEST = re.compile(rb'[0-9a-f]{64}"\}')
FORMAT = re.compile(rb'(\{[^{\n]*"format":)([0-9]{1,300})(?=[,}])')
"""The beginning of a first line, with the format of its record."""
FIRST_FORMAT = 6
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
        number = b',"line":%d' % (self.lines + 1)
        if not line.endswith(number, 0, -TAIL):
            return None
        view = memoryview(line)  # the first line can have 25 MB, of which no copy is made
        body, tail = view[:-TAIL], view[-TAIL:]
        if tail != OPENS + (hashed := self._over(body)) + CLOSES:
            return None
        self.lines += 1
        self.hash = hashed
        return b"".join((body[: -len(number)], b"}"))

    def skip(self, line: bytes) -> None:
        """Take a line that a crash cut short into the chain, as the next writer does who finds it."""
        self.lines += 1
        self.hash = self._over(line)

    def _over(self, body: bytes | memoryview) -> bytes:
        hashed = hashlib.sha256(self.hash)
        hashed.update(body)
        return hashed.hexdigest().encode()


def over(lines: Iterable[bytes]) -> Chain:
    """The chain over all lines of a record, as their next writer continues it."""
    links = Chain()
    for line in lines:
        if links.content(line) is None:
            links.skip(line)
    return links


def last_hash(content: bytes) -> str | None:
    """The hash that the last line of a record carries, which stands for all of it; None up to format 5.

    >>> last_hash(b'{"event":"opened","format":5}')
    """
    if not is_chained(content):
        return None
    lines = io.BytesIO(content)
    return over(line.removesuffix(b"\n") for line in lines).hash.decode()


def is_chained(content: bytes) -> bool:
    """Whether the first line of a record carries a hash, as all do from format 6 on."""
    said = format_of(content)
    return (said is not None and said >= FIRST_FORMAT) or was_whole(first_line(content))


def first_line(content: bytes) -> bytes:
    """The first line of a record, without its end."""
    end = content.find(b"\n")
    return content[:end] if end >= 0 else content


def format_of(content: bytes) -> int | None:
    """The format that the first line of a record states; None where it is not in its usual place.

    It is searched for without a copy of the line, which has 25 MB where a plan is long.

    >>> format_of(b'{"at":"2026-11-23T18:40:12.000Z","event":"opened","format":6,"suite":{}}')
    6
    """
    found = FORMAT.match(content)
    return int(found[2]) if found else None


def is_changed_format(first: bytes) -> bool:
    """Whether the first line of a record was written with a format of this chain, and now states another.

    >>> line = Chain().link(b'{"event":"opened","format":6,"suite":{}}')
    >>> is_changed_format(line), is_changed_format(line.replace(b":6,", b":7,"))
    (False, True)
    """
    written = FORMAT.sub(rb"\g<1>%d" % FIRST_FORMAT, first, count=1)
    return written != first and Chain().content(written) is not None


def was_whole(line: bytes) -> bool:
    """Whether a line was once written to its end, so that no crash has cut it, even where a byte was changed later."""
    at = line.find(OPENS[1:])
    return 0 <= at <= len(line) - len(OPENS[1:]) - HEX or DIGEST.fullmatch(line[-HEX - 2 :]) is not None


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
