"""`hosts.json`: every host of the inventory with its word, written as things happen."""

import json
from collections.abc import Mapping
from pathlib import Path

from dgxcert.files.atomic import write_text
from dgxcert.record.room.word import Word
from dgxcert.room import answers
from dgxcert.room.inventory import Inventory
from dgxcert.room.state import HostState

NAME = "hosts.json"
NOT_BEGUN = "Nothing was begun on it."


def write(folder: Path, inventory: Inventory, hosts: Mapping[str, HostState]) -> None:
    """Write it. Raises CannotWrite."""
    rows = []
    for host in inventory.hosts:
        word, said, remedy = word_of(known := hosts[host.name])
        identity = dict(known.identity)
        rows.append(
            {
                "name": host.name,
                "address": host.address,
                "word": word,
                "said": said,
                "remedy": remedy,
                "identity": identity,
                "configuration": answers.parse(known.answers).configuration,
            }
        )
    write_text(folder / NAME, json.dumps(rows, indent=1) + "\n")


def word_of(host: HostState) -> tuple[Word, str, tuple[str, ...]]:
    """The word of a host, also while it has none yet: a controller that is killed leaves the truth.

    >>> word_of(HostState("a", begun=True))[0]
    <Word.UNDER_WAY: 'under way'>
    """
    if host.word is not None:
        return host.word, host.said, host.remedy
    if host.under_way:
        return Word.UNDER_WAY, "Its validation was begun, and has not been fetched.", ()
    return Word.STOPPED, NOT_BEGUN, ()
