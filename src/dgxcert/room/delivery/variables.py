"""What the plays of a room need to know of each host: its Python, and what its agent is told."""

from collections.abc import Mapping, Sequence
from typing import Any

from dgxcert.room import answers
from dgxcert.room.answers import Answers
from dgxcert.room.check import PLACE
from dgxcert.room.delivery import commands
from dgxcert.room.delivery.package import BUNDLE, Package
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage


class Delivery:
    """What is delivered to the hosts of a room, and begun there."""

    def __init__(self, room: str, options: RoomOptions, package: Package) -> None:
        self._room, self._options, self._package = room, options, package

    def variables(self, stage: Stage, hosts: Sequence[Host], said: Mapping[str, Answers]) -> Mapping[str, Any]:
        """`files` to copy, and by host `python` and `spec`, which is what its agent is told."""
        files = self._package.files if stage is Stage.DELIVERS else []
        pythons = {host.name: _python(host, said.get(host.name, Answers())) for host in hosts}
        specs = {host.name: self.spec(host, pythons[host.name]) for host in hosts}
        return {"files": files, "python": pythons, "spec": specs}

    def spec(self, host: Host, python: str) -> dict[str, Any]:
        """What the agent of a host is told."""
        version = self._package.commit[:16]
        suite, results = f"{PLACE}/suite/{version}", f"{PLACE}/results/{self._room}"
        return {
            "place": PLACE,
            "room": self._room,
            "version": version,
            "commit": self._package.commit,
            "bundle": f"{PLACE}/{BUNDLE}",
            "environment": host.environment,
            "python": python,
            "profile": self._options.profile_of(host),
            "runtime": self._options.runtime.value,
            "stack": self._options.stack,
            "cwd": suite,
            "begin": commands.validation(host, self._options, suite, results),
            "resume": commands.resumption(host, suite, results),
            "variables": commands.variables(suite),
            "limit_s": self._options.limit_s,
        }

    def may_begin(self, stage: Stage, host: str, hosts: Mapping[str, HostState]) -> bool:  # noqa: ARG002 (its protocol)
        """Whether a host need not wait for another."""
        return True


def _python(host: Host, said: Answers) -> str:
    known = [program for version, program in said.pythons if answers.OLDEST <= version <= answers.NEWEST]
    return (known or answers.programs(host)[-1:])[0]
