"""What the plays of a room need to know of each host: what is sent there, made there, and begun there."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.room import answers, on_host
from dgxcert.room.answers import Answers
from dgxcert.room.check import PLACE
from dgxcert.room.delivery import commands, wheels
from dgxcert.room.delivery.archive import Archive
from dgxcert.room.delivery.package import Package
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage

PREPARE_S, SEND_S, MAKE_S, ASK_S, GRACE_S = 30, 1800, 960, 60, 90
PROGRAMS = ("agent.py", "maker.py")
WHOLE = "dgxcert-whole"
"""What the maker leaves in what it has made whole."""
ALWAYS = f"{PLACE}/.always"
"""Nothing has this name: what is sent `unless` it exists is always sent."""


class Waits(Protocol):
    """What a host may have to wait for: `images.Images`."""

    def ready(self, name: str, hosts: Mapping[str, HostState]) -> bool:
        """Whether it need not wait, or no more."""


class Delivery:
    """What is delivered to the hosts of a room, and begun there."""

    def __init__(self, room: str, options: RoomOptions, package: Package, images: Waits | None = None) -> None:
        self._room, self._options, self._package, self.images = room, options, package, images
        self._wheels: dict[str, Archive] = {}

    def variables(self, stage: Stage, hosts: Sequence[Host], said: Mapping[str, Answers]) -> Mapping[str, Any]:
        """What the plays need beside what all of them get. Raises CannotStart where wheels cannot be fetched."""
        common = shared(self._room)
        match stage:
            case Stage.DELIVERS:
                requests = {host.name: self._request(host, said[host.name]) for host in hosts}
                return common | {
                    "prepare_s": PREPARE_S,
                    "make_s": MAKE_S,
                    "pythons": {host.name: answers.programs(host) for host in hosts},
                    "files": {host.name: self._files(host, said[host.name], requests[host.name]) for host in hosts},
                    "requests": {name: json.dumps(request) for name, request in requests.items()},
                }
            case Stage.BEGINS:
                return common | {"programs": {host.name: self.program(host, said[host.name]) for host in hosts}}
            case Stage.STOPS:
                return common | {"limit_s": GRACE_S + ASK_S}
            case Stage.PACKS | Stage.CLEANS:
                return common | {"limit_s": 5 * ASK_S}
            case _:
                return common

    def may_begin(self, stage: Stage, host: str, hosts: Mapping[str, HostState]) -> bool:
        """Whether a host need not wait for another: only to begin, while its image is on its way."""
        return stage is not Stage.BEGINS or self.images is None or self.images.ready(host, hosts)

    def program(self, host: Host, said: Answers) -> list[str]:
        """The command that the agent of a host begins."""
        arguments = commands.validation(host, self._options, self._room)
        return [*commands.program(self.environment(host, said)), *arguments]

    def environment(self, host: Host, said: Answers) -> str:
        """The name of a host's environment: of its packages, its Python and the suite in it."""
        python, architecture = _python(host, said)
        lines = [host.environment] if host.environment else self._lines(python, architecture)
        return wheels.key([*lines, self._package.archive.name], python, architecture)

    def _lines(self, python: tuple[int, int], architecture: str) -> list[str]:
        if self._package.suite.installed:
            return wheels.installed()
        lock = (self._package.root / wheels.LOCK).read_text(encoding="utf-8")
        return wheels.pinned(lock, python, architecture)

    def _packages(self, host: Host, said: Answers) -> Archive | None:
        """The wheels for a host, fetched once for all that are like it; None where the lab has prepared them."""
        if host.environment:
            return None
        python, architecture = _python(host, said)
        lines = self._lines(python, architecture)
        name = wheels.key(lines, python, architecture)
        if name not in self._wheels:
            self._wheels[name] = wheels.fetch(lines, python, architecture, cache())
        return self._wheels[name]

    def _request(self, host: Host, said: Answers) -> dict[str, str]:
        """What the maker on a host is to make: see `on_host/maker.py`."""
        if not host.environment and commands.runs_in(host, self._options) is Runtime.NATIVE:
            # Torch and its stack are gigabytes, and another build on each kind of machine.
            return {"cannot": NO_ENVIRONMENT}
        packages = self._packages(host, said)
        return {
            "suite": self._package.archive.name,
            "suite_sha256": self._package.archive.sha256,
            "commit": self._package.commit,
            "package_sha256": self._package.suite.package_sha256,
            "environment": self.environment(host, said),
            "prepared": host.environment,
            "wheels_sha256": packages.sha256 if packages else "",
        }

    def _files(self, host: Host, said: Answers, request: Mapping[str, str]) -> list[dict[str, str]]:
        """The files to send to a host; what is there already is not sent again."""
        own = Path(on_host.__file__).parent
        files = [_file(own / name, f"{PLACE}/{name}", ALWAYS) for name in PROGRAMS]
        if "cannot" in request:
            return files
        suite, environment = f"{PLACE}/suite/{request['suite']}", f"{PLACE}/environment/{request['environment']}"
        files.append(_file(self._package.archive.path, f"{suite}.tgz", f"{suite}/{WHOLE}"))
        if packages := self._packages(host, said):
            files.append(_file(packages.path, f"{environment}.tar", f"{environment}/{WHOLE}"))
        return [*files, *self._given()]

    def _given(self) -> list[dict[str, str]]:
        """Files of the controller that every validation reads."""
        given = commands.given(self._room).replace(commands.HERE, PLACE)
        files = []
        if self._options.waivers:
            files.append(_file(Path(self._options.waivers), f"{given}/waivers.yaml", ALWAYS))
        site = Path(self._options.site)
        if self._options.site and site.is_dir():
            files += [_file(path, f"{given}/site/{path.name}", ALWAYS) for path in sorted(site.glob("*.yaml"))]
        elif self._options.site:
            files.append(_file(site, f"{given}/site", ALWAYS))
        return files


def shared(work: str) -> dict[str, Any]:
    """What the plays that ask an agent need, for work of that name: a room's, or a pair's."""
    asked = {"place": PLACE, "python": f"{PLACE}/python", "room": work}
    return asked | {"limit_s": ASK_S, "send_s": SEND_S, "grace_s": GRACE_S}


NO_ENVIRONMENT = (
    "it is to be validated outside a container, and no environment with torch and the stack is prepared there: "
    "name one in the inventory, dgxcert_environment"
)


def _python(host: Host, said: Answers) -> tuple[tuple[int, int], str]:
    if said.python is None:
        raise CannotStart(f"Host {host.name} was not asked for its Python.", "Call it again.")
    return said.python, said.architecture


def _file(source: Path, target: str, unless: str) -> dict[str, str]:
    return {"source": str(source.resolve()), "target": target, "unless": unless}


def cache() -> Path:
    """Where fetched wheels are kept for the next call: `dgxcert/room` in the user's cache folder."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given else Path.home() / ".cache") / "dgxcert" / "room"
