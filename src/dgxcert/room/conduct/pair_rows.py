"""Which pairs of a room are tested in this call: those whose ends were both validated, and that no call has tested."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dgxcert.files import untrusted
from dgxcert.files.atomic import write_text
from dgxcert.files.untrusted import MIB
from dgxcert.record.room.document import PairResult
from dgxcert.record.room.word import Word
from dgxcert.room.live import standing
from dgxcert.room.state import HostState

FOLDER, NAME = "pairs", "pairs.json"
AT_MOST = 64 * MIB

Row = tuple[str, str]
_RESULTS = TypeAdapter(tuple[PairResult, ...])


def read(folder: Path) -> tuple[PairResult, ...]:
    """What earlier calls found out about the pairs of a room; nothing where there is no such file, or it is torn."""
    try:
        return _RESULTS.validate_json(untrusted.read_bytes(folder / FOLDER / NAME, AT_MOST))
    except (OSError, ValidationError):
        return ()


def write(folder: Path, pairs: Sequence[PairResult]) -> None:
    """Keep what is known of the pairs. Raises CannotWrite."""
    (folder / FOLDER).mkdir(0o750, exist_ok=True)
    content = [pair.model_dump(mode="json") for pair in pairs]
    write_text(folder / FOLDER / NAME, json.dumps(content, indent=1) + "\n")


def waiting(pairs: Sequence[Row], known: Sequence[PairResult]) -> tuple[Row, ...]:
    """The pairs that no call has tested.

    >>> waiting([("a", "b")], [PairResult(hosts=("a", "b"), says="b did not answer")])
    (('a', 'b'),)
    """
    tested = {frozenset(pair.hosts) for pair in known if pair.results and not pair.confirmation}
    return tuple(row for row in pairs if frozenset(row) not in tested)


def untested(pairs: Sequence[Row], hosts: Mapping[str, HostState]) -> tuple[PairResult, ...]:
    """The pairs that cannot be tested, each with the ends that keep it from that.

    >>> hosts = {"a": HostState("a", word=Word.VALIDATED), "b": HostState("b", word=Word.REFUSED)}
    >>> [pair.says for pair in untested([("a", "b")], hosts)]
    ['b was not validated: refused']
    """
    found = []
    for row in pairs:
        missing = [hosts[name] for name in row if hosts[name].word is not Word.VALIDATED]
        if missing:
            why = " and ".join(f"{host.name} was not validated: {standing(host)}" for host in missing)
            found.append(PairResult(hosts=row, says=why))
    return tuple(found)
