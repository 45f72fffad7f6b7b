"""A YAML document that somebody wrote: read within limits, and every problem has its line and column.

What other readers accept in silence is an error: a repeated key, a number that is none or that two versions of YAML
read differently (010, 0x10, 1_000, 1:30), a tag, a second document. `yes`, `no` and dates are texts, as in YAML 1.2.
"""

import copy
import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dgxcert.console import on_one_line
from dgxcert.files import untrusted
from dgxcert.outcome import CannotStart

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML has it, ten times as fast. Only its events are used: no object is constructed."""
SLOWER = 1 if Loader is not yaml.SafeLoader else 10

MOST_BYTES = 1024**2 // SLOWER
MOST_NODES = 50_000 // SLOWER
"""Scalars, lists and mappings, those repeated by aliases included: as many as are read in half a second."""
MOST_LEVELS = 32
LONGEST_TEXT = 20_000
SHOWN = 60
"""Characters of a found value that an error shows."""
FIX = "Correct it; nothing was run."

NULL = frozenset({"", "~", "null", "Null", "NULL"})
BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
AMBIGUOUS = re.compile(
    r"[-+]?(?:0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9]+_[0-9_]*(?:\.[0-9_]*)?|[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?)"
)
CONTROL = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""Not the carriage return, with which Windows ends a line: in a value it can only be written as an escape."""
LARGEST, SMALLEST = 1e30, 1e-30

Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(frozen=True)
class Document:
    """What a document says, and where in it."""

    name: str
    content: Any
    places: dict[str, Place]
    """Line and column of each entry, by its path joined by dots, such as `limits.spread.max`."""

    def at(self, path: str) -> str:
        """The document's name with the place of an entry, or of the nearest that is there and encloses it.

        >>> parse("limits:\\n  spread: {max: 0.1}\\n", "Profile mine.yaml").at("limits.spread.unit")
        'Profile mine.yaml, line 2, column 3'
        """
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        line, column = self.places.get(path, (1, 1))
        return f"{self.name}, line {line}, column {column}"


@dataclass
class _Open:
    """A list or mapping whose end has not been read yet."""

    value: Any
    path: str
    key: str | None = None
    merged: list[dict[str, Any]] = field(default_factory=list)
    anchor: str | None = None
    nodes_before: int = 0


@dataclass(frozen=True)
class _Anchored:
    value: Any
    nodes: int
    levels: int


def load(path: Path, what: str, *, follow: bool = True) -> Document:
    """The document in a file; `what` is what the file is for, such as "Profile", or "".

    Raises CannotStart where the file cannot be read, and as `parse` does. Links are followed only with `follow`, for a
    path that the user has typed.
    """
    name = f"{what} {path}".strip()
    try:
        content = untrusted.read_bytes(path, MOST_BYTES, follow=follow)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else "its name holds a NUL"
        raise CannotStart(f"{name} cannot be read: {why}.", "Name a YAML file that you may read.") from error
    return parse(decoded(content, name), name)


def decoded(content: bytes, name: str) -> str:
    """The text of a file in UTF-8, without the mark that some editors begin it with. Raises CannotStart.

    >>> decoded(b"\\xef\\xbb\\xbfhost: spark", "Profile mine.yaml")
    'host: spark'
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = content.count(b"\n", 0, error.start) + 1, error.start - content.rfind(b"\n", 0, error.start)
        where = f"{name}, line {line}, column {column}"
        raise CannotStart(f"{where}: wanted text in UTF-8, found other bytes.", "Save it as UTF-8.") from error


def parse(text: str, name: str) -> Document:
    """The document of a text; `name` is what errors call it. Raises CannotStart with line and column.

    >>> parse("spread: 0.1\\nhost: no", "Profile mine.yaml").content
    {'spread': 0.1, 'host': 'no'}
    >>> parse("spread: 0.1\\nspread: 9", "Profile mine.yaml")
    Traceback (most recent call last):
    dgxcert.outcome.CannotStart: Profile mine.yaml, line 2, column 1: key 'spread' is given twice. Correct it; ...
    """
    return _Reader(name).read(text)


def shown(value: object) -> str:
    """A found value for an error: short, on one line, and never a whole list or mapping.

    >>> shown("h200"), shown(["h200"]), shown({}), shown(None), shown(True)
    ("'h200'", 'a list', 'keys and values', 'nothing', 'true')
    """
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = on_one_line(str(value))
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return f"'{short}'" if isinstance(value, str) else short


class _Reader:
    """Builds a document from the parser's events one by one, so that a limit is met before its cost is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._places: dict[str, Place] = {}
        self._nodes = 0
        self._documents = 0
        self._root: Any = None

    def read(self, text: str) -> Document:
        if found := CONTROL.search(text):
            line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
            raise self._wrong((line, column), f"wanted printable text, found {on_one_line(found.group())}")
        try:
            for event in yaml.parse(text, Loader=Loader):
                self._take(event)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            why = " ".join(filter(None, (getattr(error, "problem", None), getattr(error, "context", None))))
            raise self._wrong(place, f"this is not YAML: {on_one_line(why or str(error))[:200]}") from error
        if not self._documents:
            raise self._wrong((1, 1), "wanted keys and values, found nothing")
        return Document(self._name, self._root, self._places)

    def _wrong(self, place: Place, what: str, remedy: str = FIX) -> CannotStart:
        return CannotStart(f"{self._name}, line {place[0]}, column {place[1]}: {what}.", remedy)

    def _take(self, event: Any) -> None:
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._wrong(place, "wanted one document, found a second")
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._repeated(event.anchor, place), place)
        elif isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, place)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(event, place)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()

    def _take_scalar(self, event: Any, place: Place) -> None:
        if len(event.value) > LONGEST_TEXT:
            raise self._wrong(place, f"wanted a text of at most {LONGEST_TEXT} characters, found {len(event.value)}")
        if found := CONTROL.search(event.value) or re.search("\r", event.value):  # written as an escape
            raise self._wrong(place, f"wanted printable text, found {on_one_line(found.group())}")
        if self._wants_key:
            self._count(place)
            self._set_key(event.value, not event.style, place)
            return
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._wrong(place, f"wanted no tag, found {shown(event.tag)}", "Leave the tag out.")
        self._count(place)
        value = self._resolved(event.value, place) if event.implicit[0] else event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        self._add(value, place)

    def _resolved(self, text: str, place: Place) -> Any:
        """The value of a text without quotes."""
        if text in NULL:
            return None
        if text in BOOL:
            return BOOL[text]
        if NUMBER.fullmatch(text):
            return self._number(text, place)
        if NOT_FINITE.fullmatch(text):
            raise self._wrong(place, f"wanted a finite number, found {text}", "Give a number, or put a text in quotes.")
        if AMBIGUOUS.fullmatch(text):
            remedy = "Write a number in decimal, or put a text in quotes."
            raise self._wrong(place, f"found {shown(text)}, which not every reader of YAML takes for the same", remedy)
        return text

    def _number(self, text: str, place: Place) -> int | float:
        value = float(text)
        size = abs(value)
        zero = not re.search(r"[1-9]", re.split("[eE]", text)[0])
        if not math.isfinite(value) or size > LARGEST or (size < SMALLEST and not zero):
            wanted = f"wanted a number between {SMALLEST:g} and {LARGEST:g}"
            raise self._wrong(place, f"{wanted}, found {shown(text)}", "Correct it, or put a text in quotes.")
        return int(text) if INTEGER.fullmatch(text) else value

    def _begin(self, event: Any, place: Place) -> None:
        if self._wants_key:
            raise self._wrong(place, "wanted a text as key, found a list or keys and values")
        if event.tag is not None and event.tag != "!":
            raise self._wrong(place, f"wanted no tag, found {shown(event.tag)}", "Leave the tag out.")
        self._count(place)
        if len(self._open) >= MOST_LEVELS:
            raise self._wrong(place, f"wanted at most {MOST_LEVELS} levels, found more")
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._path()
        self._places.setdefault(path, place)
        self._open.append(_Open(value, path, anchor=event.anchor, nodes_before=self._nodes - 1))

    def _end(self) -> None:
        ended = self._open.pop()
        for merged in ended.merged:
            for key, value in merged.items():
                ended.value.setdefault(key, value)
        if ended.anchor is not None:
            nodes = self._nodes - ended.nodes_before
            self._anchors[ended.anchor] = _Anchored(ended.value, nodes, _levels(ended.value))
        self._add(ended.value, self._places[ended.path])

    def _repeated(self, anchor: str | None, place: Place) -> Any:
        """What an alias stands for. Raises CannotStart for one that stands for what it is part of, or for nothing."""
        if anchor is None or anchor not in self._anchors:
            raise self._wrong(place, f"there is nothing complete called {shown(f'&{anchor}')} before this")
        if self._wants_key:
            raise self._wrong(place, "wanted a text as key, found an alias")
        anchored = self._anchors[anchor]
        self._count(place, anchored.nodes)
        if len(self._open) + anchored.levels > MOST_LEVELS:
            raise self._wrong(place, f"wanted at most {MOST_LEVELS} levels, found more")
        return copy.deepcopy(anchored.value)

    def _count(self, place: Place, nodes: int = 1) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            raise self._wrong(place, f"wanted at most {MOST_NODES} values, found more")

    @property
    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _set_key(self, key: str, plain: bool, place: Place) -> None:
        top = self._open[-1]
        top.key = key
        if key == "<<" and plain:
            return
        if key in top.value:
            raise self._wrong(place, f"key {shown(key)} is given twice")
        top.value[key] = None
        self._places[self._path()] = place

    def _path(self) -> str:
        """The path of the value that comes next, joined by dots."""
        if not self._open:
            return ""
        top = self._open[-1]
        last = top.key if isinstance(top.value, dict) else str(len(top.value))
        return f"{top.path}.{last}" if top.path else str(last)

    def _add(self, value: Any, place: Place) -> None:
        if not self._open:
            self._root = value
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            self._places.setdefault(self._path(), place)
            top.value.append(value)
            return
        key, top.key = top.key, None
        if key == "<<" and key not in top.value:
            top.merged += self._merged(value, place)
        elif isinstance(key, Hashable):
            top.value[key] = value

    def _merged(self, value: Any, place: Place) -> list[dict[str, Any]]:
        """The mappings of a merge key, `<<: *usual`."""
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in mappings):
            raise self._wrong(place, f"<<: wanted keys and values, found {shown(value)}")
        return mappings


def _levels(value: Any) -> int:
    """How many lists and mappings are in each other."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return 0
    return 1 + max(map(_levels, value), default=0)
