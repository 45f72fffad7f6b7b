"""Declared names: what `--only` takes, by the source of the suite alone. A completion cannot wait for a collection."""

import re
from pathlib import Path

from dgxcert.plan import suite

REQUIREMENT = re.compile(r'^@requirement\(\s*"([A-Z0-9-]+)"', re.MULTILINE)


def find(root: Path) -> list[str]:
    """The groups and the ids of the requirements that a suite's tests declare.

    >>> find(suite.root())[:3]
    ['benchmarks', 'course', 'gpu']
    """
    sources = [path for folder in suite.FOLDERS for path in sorted((root / folder).rglob("test_*.py"))]
    declared = {path: parse(path.read_text(encoding="utf-8")) for path in sources}
    groups = {path.parent.name for path, ids in declared.items() if ids}
    return [*sorted(groups), *sorted(id for ids in declared.values() for id in ids)]  # noqa: A001 (the design's word)


def parse(text: str) -> list[str]:
    """The ids of the requirements that a test file declares.

    >>> parse('@requirement(\\n    "GPU-PRESENT",')
    ['GPU-PRESENT']
    """
    return REQUIREMENT.findall(text)
