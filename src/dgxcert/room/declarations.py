"""The text of an inventory: what Ansible accepts in silence and would cost a room one of its machines.

Of a key that is given twice, and of two addresses for one host, Ansible takes the last: the other machine would never
be validated, and nobody would miss it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from dgxcert.console import on_one_line
from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.outcome import CannotStart

LARGEST = 4 * MIB
VAULT = b"$ANSIBLE_VAULT"
MOST_FILES = 1000
YAML = (".yaml", ".yml", ".json")
"""What Ansible's plugin `yaml` reads; it tries `ini` for every other name."""
ADDRESS = "ansible_host"
FIX = "Correct it; nothing was run."


def require_readable(path: Path) -> str:
    """The text of an inventory; "" of one that is a program, which Ansible runs. Raises CannotStart."""
    if path.is_dir():
        inside = next(
            iter(sorted(each for each in path.glob("*") if each.suffix in (*YAML, ".ini"))), path / "room.yaml"
        )
        raise CannotStart(
            f"{path} is a folder, and a room is one inventory.", f"Name the file in it, such as {inside}."
        )
    try:
        content = untrusted.read_bytes(path, LARGEST, follow=True)
    except FileNotFoundError as error:
        remedy = "Name your Ansible inventory: make room ROOM=room.yaml"
        raise CannotStart(f"There is no inventory {path}.", remedy) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name holds a NUL"
        raise CannotStart(f"{path} cannot be read: {why}.", "Name an inventory that you may read.") from error
    return "" if content.startswith(b"#!") else content.decode("utf-8", errors="replace")


def _encrypted(path: Path) -> list[Path]:
    """Of an inventory and the variables beside it, the files that Ansible Vault has encrypted as a whole."""
    beside = (each for name in ("group_vars", "host_vars") for each in sorted((path.parent / name).rglob("*")))
    return [each for each in (path, *islice(beside, MOST_FILES)) if _is_encrypted(each)]


def _is_encrypted(path: Path) -> bool:
    try:
        return untrusted.read_head(path, len(VAULT)) == VAULT
    except OSError:  # a folder, or a file that nobody may read
        return False


def unreadable(stderr: str, text: str, path: Path) -> CannotStart:
    """What Ansible did not like in an inventory, with its line; the line itself may hold a password, and is not shown.

    `stderr` is that of ansible-inventory, which tries each format and says of each why it does not fit.
    """
    if "no vault secrets" in stderr:
        which = ", ".join(str(each) for each in _encrypted(path)) or f"{path}, or a file of variables beside it,"
        return CannotStart(
            f"{which} is encrypted by Ansible Vault, and dgxcert decrypts nothing.",
            "Write an inventory for dgxcert in a folder of its own, with what it reads, which is no secret: hosts, "
            "addresses, users and keys. It asks for passwords: dgxcert room run --ask-password --ask-sudo-password",
        )
    kinds = ("auto", "yaml") if path.suffix.lower() in YAML else ("ini",)
    said = dict(reversed(re.findall(r"Failed to parse inventory with '(\w+)' plugin: (.*)", stderr)))
    why = next((said[kind] for kind in kinds if kind in said), "") or _last(stderr)
    place = re.search(rf"Origin: {re.escape(str(path.resolve()))}:(\d+)", stderr)
    line = int(place.group(1)) if place else 0
    if found := re.search(r"Error parsing host definition '(.*)': (.*)", why):
        lines = [each.strip() for each in text.splitlines()]
        line, why = (lines.index(found[1]) + 1 if found[1] in lines else 0), found[2]
    why = re.sub(r"^(?:YAML parsing failed|Failed to parse inventory): ", "", why)
    where = f"{path}, line {line}" if line else str(path)
    shown = on_one_line(why)[:300].rstrip(". ")
    return CannotStart(
        f"{where}: this is no inventory that Ansible reads: {shown}.", f"Look at it: ansible-inventory -i {path} --list"
    )


def _last(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return re.sub(r"^\[?ERROR[]!]?:? *", "", lines[-1]) if lines else "ansible-inventory did not answer"


@dataclass(frozen=True)
class Given:
    """A variable of a host, where the text of an inventory gives it."""

    host: str
    key: str
    value: str
    """"" of a list and of a mapping."""
    line: int


class Places:
    """Where the text of an inventory gives the variables of its hosts."""

    def __init__(self, text: str, path: Path) -> None:
        self._path = path
        self._lines = {(each.host, each.key): each.line for each in _given(text, path)}

    def of(self, host: str, *keys: str) -> str:
        """The file and the line of the first of these variables; the file alone where a group gives them.

        >>> places = Places("[sparks]\\na link_port=p0", Path("room.ini"))
        >>> places.of("a", "link_address", "link_port"), places.of("b", "link_port")
        ('room.ini, line 2', 'room.ini')
        """
        line = next((self._lines[host, key] for key in keys if (host, key) in self._lines), 0)
        return f"{self._path}, line {line}" if line else str(self._path)


def require_once(text: str, path: Path) -> None:
    """Raise CannotStart, with lines, for a key that is given twice, and for a host with two addresses."""
    first: dict[str, Given] = {}
    for each in _given(text, path):
        if each.key != ADDRESS:
            continue
        known = first.setdefault(each.host, each)
        if known.value != each.value:
            raise CannotStart(
                f"{path}, line {each.line}: host {on_one_line(each.host)} has {ADDRESS} {on_one_line(each.value)}, and "
                f"in line {known.line} {on_one_line(known.value)}: Ansible would take one of them.",
                FIX,
            )


def _given(text: str, path: Path) -> Iterator[Given]:
    return _of_yaml(text, path) if path.suffix.lower() in YAML else _of_ini(text)


def _of_ini(text: str) -> Iterator[Given]:
    """Each variable that stands beside its host.

    >>> list(_of_ini("[sparks]\\na ansible_host=10.0.0.1\\nb\\n[sparks:vars]\\nansible_host=no"))
    [Given(host='a', key='ansible_host', value='10.0.0.1', line=2)]
    """
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].split()
        if found := re.match(r"\s*\[(.*)\]", line):
            section = found.group(1)
        elif words and not section.endswith((":vars", ":children")):
            for key, equals, value in (word.partition("=") for word in words[1:]):
                if equals:
                    yield Given(words[0], key, value.strip("'\""), number)


def _of_yaml(text: str, path: Path) -> Iterator[Given]:
    """Each variable that stands below its host. What is no YAML is left to Ansible, which says why."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            entries = _entries(node, path)
            waiting += entries.values()
            yield from _of_hosts(entries.get("hosts"), path)


def _of_hosts(node: Any, path: Path) -> Iterator[Given]:
    if isinstance(node, yaml.MappingNode):
        for name, variables in _entries(node, path).items():
            for key, value in (_entries(variables, path) if isinstance(variables, yaml.MappingNode) else {}).items():
                written = value.value if isinstance(value, yaml.ScalarNode) else ""
                yield Given(name, key, written, value.start_mark.line + 1)


def _entries(node: Any, path: Path) -> dict[str, Any]:
    """The entries of a mapping. Raises CannotStart for a key that is given twice."""
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in found and name != "<<":
            raise CannotStart(
                f"{path}, line {line}: {on_one_line(name)[:60]} is given twice, first in line {lines[name]}, and "
                "Ansible would take the last.",
                FIX,
            )
        found[name], lines[name] = value, line
    return found
