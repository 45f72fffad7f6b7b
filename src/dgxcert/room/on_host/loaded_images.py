"""The images on a host whose room is cleaned: what the room loaded is removed, of the others it is said that they stay.

    python -m dgxcert.room.on_host.loaded_images PLACE

Prints a line `dgxcert image=SENTENCE` for each that stays. An image is removed by its id and never by force: one that a
container uses, or that has a name of somebody else's, stays.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dgxcert.container import engine
from dgxcert.files import untrusted
from dgxcert.machine.image import LABEL_STACK
from dgxcert.outcome import CannotStart
from dgxcert.room.on_host.agent import Work
from dgxcert.room.on_host.image import ANSWER, Received

AT_MOST = 1 << 20
REMOVE_S = 240.0
OTHERS = "it was there before this room, or was built there"


@dataclass(frozen=True)
class Stored:
    """An image in the engine."""

    id: str
    names: tuple[str, ...]
    size_bytes: int


def main(place: Path) -> None:
    """Remove and say; nothing where something works in the room's folder, or where no engine answers."""
    if any(Work(place, work.name).is_held() for work in (place / "work").glob("*")):
        return
    try:
        for sentence in left(loaded(place)):
            print(f"dgxcert image={sentence}")  # noqa: T201 (the answer to the play)
    except CannotStart:
        return


def loaded(place: Path) -> dict[str, tuple[str, ...]]:
    """The images that rooms have loaded here, by id, with the names that these gave them."""
    found: dict[str, tuple[str, ...]] = {}
    for answer in sorted((place / "work").glob(f"*/{ANSWER}")):
        try:
            received = Received.model_validate_json(untrusted.read_bytes(answer, AT_MOST))
        except (OSError, ValueError):  # of other work
            continue
        found |= received.loaded
    return found


def left(ours: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Remove our images; a sentence for each image of dgxcert's that stays. Raises CannotStart without an engine."""
    labelled = engine.run("image", "ls", "-q", "--no-trunc", "--filter", f"label={LABEL_STACK}")
    for image in filter(None, map(_stored, dict.fromkeys([*ours, *labelled.stdout.split()]))):
        why = _removed(image, ours[image.id]) if image.id in ours else OTHERS
        if why:
            name = image.names[0] if len(image.names) == 1 else image.id
            size = f"{image.size_bytes / 1e9:.1f} GB"
            yield f"image {name} ({size}) stays: {why}. To remove it: docker image rm {name}"


def _stored(image: str) -> Stored | None:
    shown = engine.run("image", "inspect", "--format", "{{json .RepoTags}} {{.Size}}", image)
    if shown.returncode != 0:
        return None
    names, _, size = shown.stdout.strip().rpartition(" ")
    return Stored(image, tuple(json.loads(names) or ()), int(size))


def _removed(image: Stored, ours: tuple[str, ...]) -> str:
    """Remove an image that this room has loaded; why it stays, or ""."""
    users = engine.run("ps", "-aq", "--filter", f"ancestor={image.id}").stdout.split()
    if users:
        return f"container {', '.join(users)} uses it"
    if others := [name for name in image.names if name not in ours]:
        return f"it has another name, {', '.join(others)}"
    for word in (*image.names[1:], image.id):  # the engine removes no image by its id that has two names
        done = engine.run("image", "rm", word, timeout_s=REMOVE_S)
        if done.returncode != 0:
            return f"the engine does not remove it, {done.complaint}"
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]).expanduser().absolute())
