"""The folder of a room: results/rooms/<date>-<name of the inventory>/, which one controller at a time works on.

A call goes on with the newest room of its inventory while that has something left to do, or begins another.
"""

import contextlib
import fcntl
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dgxcert.console import counted, on_one_line
from dgxcert.files import untrusted
from dgxcert.files.atomic import write_text
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.files.untrusted import MIB
from dgxcert.outcome import CannotStart
from dgxcert.plan.suite import Suite
from dgxcert.room import journal, state
from dgxcert.room.inventory import Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState

ROOMS, LATEST, KNOWN_HOSTS = "rooms", "latest", "known_hosts"
ABOUT, INVENTORY, LOCK = "about.json", "inventory.json", ".lock"
PRIVATE = 0o750
STAMP = "%Y-%m-%dT%H-%M-%SZ"
STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-.+")
HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TAKEN = {"pairs", LATEST}
"""What no host can be called, since something else lies in the room's folder under that name."""
FRESH = timedelta(hours=24)
"""For so long a call tries again what an earlier one could not validate; later it begins another room, since what was
measured may be true no more. Validations that were begun and not fetched have no such limit."""
ABOUT_AT_MOST = 16 * MIB


class About(BaseModel):
    """What a room was begun with: a call with anything else does not go on with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    inventory: str
    """The path of the inventory, absolute."""
    addresses: dict[str, str]
    """Of the hosts that the room has had, by name."""
    options: RoomOptions
    suite: Suite
    started: str
    """ISO 8601."""


@dataclass(frozen=True)
class RoomFolder:
    """The folder of a room.

    >>> RoomFolder(Path("results/rooms/2026-12-01T02-00-00Z-room")).of_host("spark-01")
    PosixPath('results/rooms/2026-12-01T02-00-00Z-room/spark-01')
    """

    path: Path

    @property
    def name(self) -> str:
        """Its name, which it has on the hosts too."""
        return self.path.name

    @property
    def events(self) -> Path:
        """What happened, one line each: see `room.journal`."""
        return self.path / journal.NAME

    def of_host(self, name: str) -> Path:
        """Where everything of one host lies."""
        return self.path / name

    def about(self) -> About:
        """What it was begun with. Raises CannotStart where that cannot be read."""
        path = self.path / ABOUT
        try:
            return About.model_validate_json(untrusted.read_bytes(path, ABOUT_AT_MOST))
        except (OSError, ValidationError) as error:
            raise CannotStart(
                f"{path} cannot be read: it is missing, or was changed.", "Begin another room: dgxcert room run --new"
            ) from error

    def hosts(self, names: Iterator[str] | tuple[str, ...]) -> dict[str, HostState]:
        """What is known of the hosts of that name."""
        return state.fold(journal.read(self.events), names)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Work on it alone. Raises CannotStart where another controller does; a file system without locks is none."""
        path = self.path / LOCK
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise CannotWrite(path, error) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CannotStart(
                    f"Another dgxcert works on {self.path}.", "Look there, or wait until it has ended."
                ) from None
            except OSError:
                pass
            yield
        finally:
            os.close(lock)


def known_hosts(results: Path, inventory: Path) -> Path:
    """The host keys of all rooms of one inventory."""
    return results / ROOMS / KNOWN_HOSTS / _stem(inventory)


@dataclass(frozen=True)
class Chosen:
    """The room that a call works on, and what the user is told about the choice."""

    folder: RoomFolder
    is_new: bool
    said: str


def choose(
    results: Path,
    inventory: Inventory,
    options: RoomOptions,
    suite: Suite,
    now: datetime,
    *,
    new: bool = False,
    left: Callable[[RoomFolder], bool] | None = None,
) -> Chosen:
    """The newest room of this inventory where it has something left to do, or a new one; with `new` always a new one.

    Hosts that were not validated are left to do, and whatever `left` says.

    Raises CannotStart where validations that were begun otherwise may still be at work: beside them nothing can be
    measured.
    """
    _require_names(inventory)
    before = None if new else newest(results, inventory.path)
    if before is None:
        return Chosen(_make(results, inventory, options, suite, now), True, "")
    about = before.about()
    hosts = before.hosts(tuple(about.addresses))
    working = [host.name for host in hosts.values() if host.under_way]
    unlike = _unlike(about, inventory, options, suite)
    if unlike and working:
        raise CannotStart(
            f"{before.path} is under way on {_some(working)}, and was begun otherwise: {'; '.join(unlike)}.",
            f"Go on with it as it was begun{_by_checkout(about.suite, suite)}; or stop it: dgxcert room stop "
            f"{inventory.path}; or measure beside it, on other hosts: dgxcert room run --new",
        )
    waiting = [each.name for each in inventory.hosts if each.name not in hosts or not hosts[each.name].validated]
    is_left = bool(waiting) or (left is not None and left(before))
    if not unlike and is_left and (working or _is_fresh(about, hosts, now)):
        _join(before, about, inventory)
        known = len(inventory.hosts) - len(waiting)
        return Chosen(before, False, f"{before.path} goes on: {known} of {len(inventory.hosts)} are validated there.")
    why = f" {before.path} was begun otherwise: {'; '.join(unlike)}." if unlike else ""
    return Chosen(_make(results, inventory, options, suite, now), True, f"A new room.{why}" if why else "")


def newest(results: Path, inventory: Path) -> RoomFolder | None:
    """The room of this inventory that was begun last; None where there is none."""
    rooms = results / ROOMS
    try:
        names = sorted((name for name in os.listdir(rooms) if STAMPED.fullmatch(name)), reverse=True)
    except OSError:
        return None
    path = str(inventory.resolve())
    for folder in (RoomFolder(rooms / name) for name in names):
        with contextlib.suppress(CannotStart):  # it was killed before it began, or is not ours
            if not folder.path.is_symlink() and folder.about().inventory == path:
                return folder
    return None


def _unlike(about: About, inventory: Inventory, options: RoomOptions, suite: Suite) -> list[str]:
    """How a room differs from what is asked for now, in phrases."""
    found = list(options.differences(about.options))
    if _delivered(about.suite) != _delivered(suite):
        found.append(f"suite {_version(suite)} instead of {_version(about.suite)}")
    now = {host.name: host.address for host in inventory.hosts}
    if gone := [name for name in about.addresses if name not in now]:
        found.append(f"{_some(gone)} no longer in the inventory")
    if moved := [name for name, address in about.addresses.items() if now.get(name, address) != address]:
        found.append(f"another address for {_some(moved)}")
    return found


def _delivered(suite: Suite) -> str:
    """What the hosts get of it: the commit, whatever was changed here since."""
    return suite.commit or suite.sha256


def _by_checkout(then: Suite, now: Suite) -> str:
    """How to have the suite again that a room was begun with."""
    return f", with git checkout {then.commit}" if then.commit and then.commit != now.commit else ""


def _version(suite: Suite) -> str:
    commit = f" {suite.commit[:12]}" if suite.commit else ""
    return f"{suite.version}{commit or f' {suite.sha256[:12]}'}"


def _some(names: list[str]) -> str:
    """Names for a sentence.

    >>> _some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 hosts more'
    """
    rest = f" and {counted(len(names) - 3, 'host')} more" if len(names) > 3 else ""
    return on_one_line(f"{', '.join(names[:3])}{rest}")


def _is_fresh(about: About, hosts: Mapping[str, HostState], now: datetime) -> bool:
    last = max([about.started, *(host.at for host in hosts.values())])
    return now - datetime.fromisoformat(last) < FRESH


def _require_names(inventory: Inventory) -> None:
    """Raise CannotStart for a host that cannot have a folder of its name."""
    for host in inventory.hosts:
        if not HOST_NAME.fullmatch(host.name) or host.name in TAKEN or _is_file(host.name):
            raise CannotStart(
                f"wanted host names of letters, digits, `.`, `_` and `-`, found {on_one_line(host.name)[:60]!r} in "
                f"{inventory.path}.",
                "Give it another name, and its address by ansible_host.",
            )


def _is_file(name: str) -> bool:
    """Whether a file of the room is called so."""
    return name.endswith((".json", ".jsonl", ".html", ".md", ".prom"))


def _make(results: Path, inventory: Inventory, options: RoomOptions, suite: Suite, now: datetime) -> RoomFolder:
    """Make the folder of a new room. Raises CannotWrite."""
    name = _stem(inventory.path)
    stamp = now.astimezone(UTC).strftime(STAMP)
    rooms = results / ROOMS
    try:
        rooms.mkdir(PRIVATE, parents=True, exist_ok=True)
        folder = RoomFolder(_made(rooms, f"{stamp}-{name}"))
    except OSError as error:
        raise CannotWrite(rooms / f"{stamp}-{name}", error) from error
    about = About(
        inventory=str(inventory.path.resolve()), addresses={}, options=options, suite=suite, started=now.isoformat()
    )
    _join(folder, about, inventory)
    _point(rooms / LATEST, folder.name)
    return folder


def _stem(inventory: Path) -> str:
    """What an inventory is called, in characters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", inventory.stem).strip("-.")[:40] or "room"


def _made(rooms: Path, name: str) -> Path:
    """A folder of that name, or with a number after it where another call has just made that one."""
    for path in (rooms / (name if number == 1 else f"{name}-{number}") for number in range(1, 100)):
        try:
            path.mkdir(PRIVATE)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(17, "there are 99 of this second", name)


def _join(folder: RoomFolder, about: About, inventory: Inventory) -> None:
    """Write what the room is begun with, or that hosts have joined it. `about.json` last: without it there is none."""
    content = json.dumps(asdict(inventory), indent=1, default=str)
    write_text(folder.path / INVENTORY, content + "\n")
    addresses = about.addresses | {host.name: host.address for host in inventory.hosts}
    if addresses != about.addresses:
        about = about.model_copy(update={"addresses": addresses})
        write_text(folder.path / ABOUT, about.model_dump_json(indent=1) + "\n")


def _point(link: Path, name: str) -> None:
    """Have `latest` lead to a room; where something else is called so, or links cannot be made, it is left."""
    with contextlib.suppress(OSError):
        if os.path.lexists(link) and not stat.S_ISLNK(os.lstat(link).st_mode):
            return
        temporary = link.with_name(f".{LATEST}.{os.getpid()}")
        os.symlink(name, temporary)
        os.replace(temporary, link)
