"""A lock: one entry for each package and version, with its marker and the hashes of its files."""

import re
from dataclasses import dataclass
from pathlib import Path

ENTRY = re.compile(r"^[A-Za-z0-9][^\n]*(?:\n[ \t]+--hash=[^\n]*)*", re.MULTILINE)
FOR_CUDA = re.compile(r"^(cuda|nvidia|triton)-?")
"""What torch needs for CUDA alone: its build for the CPU needs none of them."""


@dataclass(frozen=True)
class Entry:
    """One pin of a lock; a package has several where its version depends on Python's."""

    name: str
    version: str
    text: str
    """As pip reads it: the requirement, and `--hash` for every file that may be installed."""


def entries(text: str) -> list[Entry]:
    r"""The pins of a lock, in its order.

    >>> [(entry.name, entry.version) for entry in entries("# by hand\nscikit_learn==1.9.1 ; python_version < '4' \\\n    --hash=sha256:0a\n    # via peft\n")]
    [('scikit-learn', '1.9.1')]
    """  # noqa: E501 -- a lock's lines are what they are
    found = (entry.group().rstrip("\\ \t\n") + "\n" for entry in ENTRY.finditer(text))
    return [
        Entry(canonical(line.partition("==")[0]), re.split(r"[ \\;\n]", line.partition("==")[2])[0], line)
        for line in found
    ]


def read(path: Path) -> list[Entry]:
    """The pins of a lock on disk."""
    return entries(path.read_text(encoding="utf-8"))


def canonical(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
