"""Records that were changed after they were written: no result improves, and each change is named with its line."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from attacks.attack import Attack, Harm, Try
from suites import example

from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs

KEYS = ("A", "B", "C", "D", "E")
Mutate = Callable[[bytes, random.Random], bytes]


def _content() -> bytes:
    endings = (Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.PASSED)
    events: list[journal.Event] = [example.opened(*map(example.planned, KEYS))]
    for key, outcome in zip(KEYS, endings, strict=False):
        events += [example.started(key), example.finished(key, outcome)]
    return example.record(*events, example.started(KEYS[-1])).encode()


def _lines(content: bytes) -> list[bytes]:
    return content.split(b"\n")[:-1]


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(content) - 1)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _drop(content: bytes, chance: random.Random) -> bytes:
    lines = _lines(content)
    del lines[chance.randrange(len(lines) - 1)]
    return _joined(lines)


def _repeat(content: bytes, chance: random.Random) -> bytes:
    lines = _lines(content)
    at = chance.randrange(len(lines))
    return _joined([*lines[: at + 1], *lines[at:]])


def _swap(content: bytes, chance: random.Random) -> bytes:
    lines = _lines(content)
    at = chance.randrange(len(lines) - 1)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return _joined(lines)


def _forge(content: bytes, chance: random.Random) -> bytes:
    lines = _lines(content)
    pass_ = example.finished(chance.choice(KEYS)).model_dump_json().encode()
    lines.insert(chance.randrange(1, len(lines)), pass_)
    return _joined(lines)


def _garble(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) - 64)
    return content[:at] + chance.randbytes(64) + content[at + 64 :]


MUST_BE_NAMED: dict[str, Mutate] = {
    "flip": _flip,
    "drop": _drop,
    "repeat": _repeat,
    "swap": _swap,
    "forge": _forge,
    "garble": _garble,
}


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Change a record at random places, in each way, and read it."""
    chance, content = random.Random(seed), _content()
    passed = _passed(journal.read_content(content, folder))
    for name, mutate in {**MUST_BE_NAMED, "cut": _cut}.items():
        for number in range(12 if quick else 250):
            changed = mutate(content, chance)
            if changed != content:
                yield _read(f"{name} {number}", changed, passed, named=name in MUST_BE_NAMED)


def _read(name: str, changed: bytes, passed: set[str], *, named: bool) -> Try:
    try:
        events = journal.read_content(changed, Path(journal.NAME))
    except CannotStart:
        return Try(name)
    if named:
        return Try(name, Harm.WRONG, "the change was not seen")
    more = _passed(events) - passed
    return Try(name, Harm.WRONG, f"{more} passed") if more else Try(name)


def _passed(events: list[journal.Event]) -> set[str]:
    return {each.key for each in runs.assemble(events, "run").results if each.outcome is Outcome.PASSED}


ATTACK = Attack("records", "flipped, cut, dropped, repeated, swapped, forged and garbled lines of a record", tries)
