"""Check: what each host of a room answers, before anything is delivered; in seconds, and nothing is left behind."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dgxcert.machine.runtime import Runtime
from dgxcert.record.room.word import Word
from dgxcert.room import answers, words
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.ansible.playbook import play_of
from dgxcert.room.answers import Answers
from dgxcert.room.delivery import commands
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions

PLACE = "~/dgxcert-room"
"""The one folder on a host."""
LIMIT_S = 20
"""How long a host may take to log in and to answer."""
MOST_APART_S = 300.0
"""Clocks further apart than a certificate allows: `record.clock.TOLERANCE`."""

ENGINE = (
    ("permission denied", ("Let its user use the engine, there: sudo usermod -aG docker $USER; then log in again.",)),
    ("cannot connect|is the docker daemon running", ("Start the engine there: sudo systemctl start docker",)),
    (
        "not found|no such file",
        ("Install Docker and the NVIDIA Container Toolkit there, as docs/container.md says, and look: dgxcert doctor",),
    ),
)
"""What docker, or the shell, says where there is no engine for this user, and what to do."""

Explain = tuple[Word, str, tuple[str, ...]]


class Plays(Protocol):
    """What plays on hosts: `room.ansible.playbook.Controller`."""

    def play(
        self, play: Path, *, limit: Sequence[str], variables: dict[str, object], on_event: Callable[[HostEvent], None]
    ) -> int:
        """Run a play."""


@dataclass(frozen=True)
class Checked:
    """One host, and whether it could be validated."""

    host: Host
    answers: Answers
    apart_s: float | None
    """How far its clock is ahead of the controller's, in seconds, within the time that the answer took."""
    wrong: Explain | None
    """None where it could be validated."""


def check(controller: Plays, hosts: Sequence[Host], options: RoomOptions, heard: Callable[[Checked], None]) -> None:
    """Ask all hosts at once; `heard` is called for each as it answers, or as it turns out that it does not."""
    named = {host.name: host for host in hosts}
    began_s = time.time()

    def take(event: HostEvent) -> None:
        host = named.get(event.host)
        if host is None or event.kind in ("started", "retry", "skipped"):
            return
        del named[event.host]
        heard(checked(host, event, options, began_s, time.time()))

    variables = answers.variables(hosts, PLACE, LIMIT_S)
    controller.play(play_of("answers"), limit=[host.name for host in hosts], variables=variables, on_event=take)
    for host in named.values():
        silent = (Word.TIME_OUT, "Ansible said nothing of it", ("Log in there by hand: ssh -v USER@HOST",))
        heard(Checked(host, Answers(), None, silent))


def checked(host: Host, event: HostEvent, options: RoomOptions, began_s: float, now_s: float) -> Checked:
    """What a host's answer means. Pure."""
    said = answers.parse(event.stdout)
    if event.kind != "ok":
        return Checked(host, said, None, words.explain(event))
    wrong = answers.wrong(said, host, options.profile_of(host)) or _without_engine(host, said, options)
    return Checked(host, said, _apart(said.time_s, began_s, now_s), wrong)


def _apart(time_s: float | None, began_s: float, now_s: float) -> float | None:
    """How far a clock is ahead, 0 where it stands between begin and end of the question.

    >>> _apart(1000.0, 990.0, 1001.0), _apart(1400.0, 990.0, 1001.0), _apart(900.0, 990.0, 1001.0)
    (0.0, 399.0, -90.0)
    """
    if time_s is None:
        return None
    return time_s - now_s if time_s > now_s else time_s - began_s if time_s < began_s else 0.0


def _without_engine(host: Host, said: Answers, options: RoomOptions) -> Explain | None:
    """Why a host whose validation works in a container has no engine for it; None where it has, or needs none."""
    if commands.runs_in(host, options) is not Runtime.DOCKER or said.has_engine:
        return None
    user = said.user or "its user"
    known = (remedy for says, remedy in ENGINE if re.search(says, said.engine, re.IGNORECASE))
    found = said.engine or "docker says nothing"
    return Word.NOT_STARTED, f"no container engine for {user}: {found}", next(known, ("Look there: docker version",))


def clock_is_wrong(checked: Checked) -> bool:
    """Whether the clock of a host is so wrong that its run could not be signed."""
    return checked.apart_s is not None and abs(checked.apart_s) > MOST_APART_S
