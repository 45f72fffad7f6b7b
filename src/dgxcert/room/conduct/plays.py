"""What is played in each stage: our plays, and their variables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dgxcert.room import answers
from dgxcert.room.ansible.playbook import play_of
from dgxcert.room.answers import Answers
from dgxcert.room.check import LIMIT_S, PLACE
from dgxcert.room.conduct.conductor import Answered
from dgxcert.room.folder import RoomFolder
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage

PLAYS = {
    Stage.ANSWERS: "answers",
    Stage.DELIVERS: "deliver",
    Stage.BEGINS: "begin",
    Stage.WORKS: "look",
    Stage.PACKS: "pack",
    Stage.FETCHES: "fetch",
    Stage.STOPS: "stop",
    Stage.CLEANS: "clean",
}
ARCHIVE = ".fetched.tgz"


class Delivery(Protocol):
    """What is delivered to the hosts, and begun there."""

    def variables(self, stage: Stage, hosts: Sequence[Host], said: Mapping[str, Answers]) -> Mapping[str, Any]:
        """What the plays need to know beside what all of them get; `said` is what the hosts have answered."""

    def may_begin(self, stage: Stage, host: str, hosts: Mapping[str, HostState]) -> bool:
        """Whether a host need not wait for another, such as the first that builds the image for all."""


class Plays:
    """The script of a room.

    Every play gets `place` (the one folder on the host), `room` (its name), `limit_s` (of one short task),
    `validation_limit_s`, and `archives`: where the archive of each host is fetched to.
    """

    def __init__(self, folder: RoomFolder, inventory: Inventory, options: RoomOptions, delivery: Delivery) -> None:
        self._folder, self._options, self._delivery = folder, options, delivery
        self._hosts = {host.name: host for host in inventory.hosts}

    def play(self, stage: Stage) -> Path:
        """The play of a stage."""
        return play_of(PLAYS[stage])

    def variables(self, stage: Stage, names: Sequence[str], states: Mapping[str, HostState]) -> Mapping[str, Any]:
        """The variables of the play for these hosts."""
        hosts = [self._hosts[name] for name in names]
        if stage is Stage.ANSWERS:
            return answers.variables(hosts, PLACE, LIMIT_S)
        for name in names if stage is Stage.FETCHES else ():
            self._folder.of_host(name).mkdir(0o750, exist_ok=True)
        shared = {
            "place": PLACE,
            "room": self._folder.name,
            "limit_s": LIMIT_S,
            "validation_limit_s": self._options.limit_s,
            "archives": {name: str(self.archive(name).absolute()) for name in names},
        }
        said = {name: answers.parse(states[name].answers) for name in names}
        return {**shared, **self._delivery.variables(stage, hosts, said)}

    def may_begin(self, stage: Stage, host: str, hosts: Mapping[str, HostState]) -> bool:
        """Whether a host need not wait for others with this stage."""
        return self._delivery.may_begin(stage, host, hosts)

    def archive(self, host: str) -> Path:
        """Where the fetched archive of a host lies."""
        return self._folder.of_host(host) / ARCHIVE

    def answered(self, host: str, output: str) -> Answered:
        """What a host said in the stage `answers`."""
        said, known = answers.parse(output), self._hosts[host]
        return Answered(said.identity, answers.wrong(said, known, self._options.profile_of(known)))
