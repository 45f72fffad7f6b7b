"""The trial of every folder and lock that a client would touch, in a process of its own that can be killed.

Run as `python -m dgxcert.probes.hub.cache.trial` it prints one JSON line as it begins with a place, and one for each
trouble and note: a folder on a server that does not answer blocks the process that asks, and only that one.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dgxcert import command
from dgxcert.probes.hub.cache import folder, places, repositories
from dgxcert.probes.hub.cache.folder import Failed
from dgxcert.probes.hub.cache.places import Place
from dgxcert.probes.hub.cache.trouble import Trouble
from dgxcert.profiles.checkpoints import PROBED

LIMIT_S = 6.0
"""For all places: on local disks they take 0.1 s."""
ADMINISTERED = ("cache-locked", "cache-read-only")
"""How a cache looks that an administrator has filled for everybody."""
ROOM_BYTES = 2 * 1024**3
"""What a folder that is offered instead must have free: a small model."""


@dataclass(frozen=True)
class Trial:
    """What was tried, and what is wrong, in the order in which it was found."""

    places: tuple[str, ...]
    troubles: tuple[Trouble, ...]
    notes: tuple[str, ...]

    @property
    def first(self) -> Trouble | None:
        """The first trouble that ends a download, one that is certain before one that is not."""
        needed = [each for each in self.troubles if each.needed]
        certain = [each for each in needed if each.kind not in ("lock-held", "late")]
        return next(iter((*certain, *needed)), None)

    @property
    def alike(self) -> tuple[Trouble, ...]:
        """The troubles with the cause of the first."""
        first = self.first
        alike = (each for each in self.troubles if first and each.needed and each.cause == first.cause)
        return tuple({each.path: each for each in reversed(list(alike))}.values())[::-1]

    def for_a_full_cache(self) -> "Trial":
        """The same, where the Hub cache holds all that is needed: that nothing can be added to it is only noted.

        >>> locked = Trouble("permission", "/lab/hub", "the Hub cache", "HF_HUB_CACHE", "/lab/hub belongs to root")
        >>> Trial((), (locked,), ()).for_a_full_cache().notes
        ('the Hub cache: /lab/hub belongs to root: it holds what is needed, and no other model can be added',)
        """
        spared = [each for each in self.troubles if each.variable == "HF_HUB_CACHE" and each.cause in ADMINISTERED]
        kept = tuple(each for each in self.troubles if each not in spared)
        said = (f"{each.place}: {each.detail}: it holds what is needed, and no other model can be added"
                for each in spared[:1])  # fmt: skip
        return replace(self, troubles=kept, notes=(*self.notes, *said))

    @property
    def summary(self) -> str:
        """One line for a record."""
        shown = [f"{each.place}: {each.detail}" for each in self.alike[:3]]
        if len(self.alike) > len(shown):
            shown.append(f"and {len(self.alike) - len(shown)} more")
        beside = [f"{each.place}: {each.detail}" for each in self.troubles if not each.needed]
        tried = "" if shown else f"tried: {', '.join(self.places)}"
        return "; ".join((*shown, *([tried] if tried else []), *beside[:3], *self.notes[:3]))


def read(limit_s: float = LIMIT_S) -> Trial:
    """Try every place, for at most `limit_s`."""
    args = [sys.executable, "-P", "-m", "dgxcert.probes.hub.cache.trial"]
    done = command.run(args, timeout_s=limit_s)
    trial = parse(done.stdout)
    if done.timed_out:
        late = trial.places[-1] if trial.places else "the first place"
        detail = f"not done within {limit_s:.0f} s"
        return replace(trial, troubles=(*trial.troubles, Trouble("late", "", late, "", detail)))
    if done.returncode:
        return replace(trial, notes=(*trial.notes, f"the trial ended early: {done.complaint}"))
    return trial


def parse(text: str) -> Trial:
    """The trial from the lines that the process prints; a line that was cut off is left out.

    >>> parse('{"begun": "the Hub cache (/lab/hub)"}').summary
    'tried: the Hub cache (/lab/hub)'
    """
    begun: list[str] = []
    troubles: list[Trouble] = []
    notes: list[str] = []
    for line in text.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if "begun" in message:
            begun.append(message["begun"])
        elif "note" in message:
            notes.append(message["note"])
        else:
            troubles.append(Trouble(**message))
    return Trial(tuple(begun), tuple(troubles), tuple(notes))


def attempt(place: Place, mark: str, written: int) -> Iterator[Trouble | str]:
    """What is wrong, and what is noteworthy, about a place."""
    try:
        notes = folder.attempt(place.path, mark, written=written if place.keeps_files else 0)
    except Failed as failed:
        yield _trouble(place, failed)
        return
    if place.needed:
        yield from (f"{place}: {note}" for note in notes)
    if place.executes and os.statvfs(folder.standing(place.path)).f_flag & os.ST_NOEXEC:
        yield _trouble(place, Failed("noexec", place.path, f"{place.path} is on a file system mounted noexec"))
    yield from (_trouble(place, failed) for failed in _inside(place, mark))


def _inside(place: Place, mark: str) -> Iterator[Failed]:
    """What is wrong in what the clients have made in a place."""
    if place.variable == "HF_XET_CACHE":
        yield from repositories.of_xet(place.path, mark)
    elif place.variable == "HF_DATASETS_CACHE":
        yield from repositories.of_data_sets(place.path)
    elif place.needed and place.path.name != ".locks":
        for repository in repositories.newest(place.path, (f"models--{PROBED.repo.replace('/', '--')}",)):
            yield from repositories.attempt(repository, mark)


def _trouble(place: Place, failed: Failed) -> Trouble:
    return Trouble(failed.kind, str(failed.path), place.name, place.variable, failed.detail, place.needed)


def elsewhere(troubled: Trouble, mark: str) -> str:
    """A folder in which this user can work instead; empty where none was found.

    Where the file system is the trouble, on another one.
    """
    for candidate in _candidates():
        try:
            stood = folder.standing(candidate)
            folder.attempt(candidate, mark, written=0)
            status = os.statvfs(stood)
            same = os.stat(folder.standing(Path(troubled.path))).st_dev == stood.stat().st_dev
        except (Failed, OSError):
            continue
        if status.f_bavail * status.f_frsize >= ROOM_BYTES and not (
            same and troubled.cause in ("cache-full", "cache-read-only", "cache-no-locks")
        ):
            return str(candidate)
    return ""


def _candidates() -> Iterable[Path]:
    """Folders that are usually a user's own: in the home, beside the models, and where large files may lie."""
    home = Path(os.path.expanduser("~"))
    if home.is_absolute():
        yield home / "huggingface"
    yield places.hub_cache().parent / f"huggingface-{os.getuid()}"
    yield from (Path(root) / f"huggingface-{os.getuid()}" for root in ("/scratch", "/raid", "/data", "/var/tmp"))  # noqa: S108 (a user's own folder in it)


def main() -> None:
    """Try every place and print what is found."""
    mark = uuid.uuid4().hex[:12]
    devices: set[int] = set()
    for place in places.all_of_them():
        _say({"begun": str(place)})
        device = _device(place.path)
        written = 4096 if device in devices else folder.WRITTEN_BYTES  # once for each file system
        devices.add(device)
        for found in attempt(place, mark, written):
            if isinstance(found, str):
                _say({"note": found})
            else:
                _say(asdict(replace(found, elsewhere=elsewhere(found, mark) if found.needed else "")))


def _device(path: Path) -> int:
    try:
        return folder.standing(path).stat().st_dev
    except (Failed, OSError):
        return -1


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(message)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
