"""A child of the examination: measures some requirements as a child of a run does, and is ended when time is over."""

from pathlib import Path
from typing import IO

from dgxcert.machine.identity import Machine
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles.profile import Profile
from dgxcert.record.journal import Finished, Started
from dgxcert.runner.channel.admission import Admission, Refused
from dgxcert.runner.channel.brief import Brief
from dgxcert.runner.channel.listener import Listener, Unfit
from dgxcert.runner.launcher import Here

STAGE = "host"
END_S = 0.3
"""For a process to die: one that hangs in the driver survives, and must not make this wait."""


class Child:
    """One process, and how its requirements have ended so far."""

    def __init__(
        self, number: int, planned: list[Planned], options: Options, profile: Profile, machine: Machine, inside: Path
    ) -> None:
        self.planned = planned
        self.endings: dict[str, Finished] = {}
        self.current = ""
        """The requirement that it measures now."""
        self.problem = ""
        """Why what it says no longer counts."""
        inside.mkdir()
        keys = tuple(entry.key for entry in planned)
        brief = Brief(
            stage=STAGE,
            number=number,
            keys=keys,
            reads_software=False,
            package_sha256="",
            options=options,
            profile=profile,
            machine=machine,
            plan=tuple(planned),
            image=None,
            passed=(),
            read=(),
        )
        self._launcher = Here()
        self._log: IO[bytes] = (inside / "log").open("wb")
        self._process = self._launcher.start(number, inside, self._log)
        self._listener = Listener(self._process.stdin, self._process.stdout, self._log)
        self._admission = Admission(STAGE, number, keys, profile, software=False)
        self._listener.hand({"brief": brief.model_dump(mode="json")})

    @property
    def done(self) -> bool:
        """Whether nothing more will come from it."""
        return bool(self.problem) or len(self.endings) == len(self.planned) or self._process.poll() is not None

    def hear(self, wait_s: float) -> None:
        """Take what it has said."""
        try:
            for message in self._listener.hear(wait_s):
                event = self._admission.admit(message)
                if isinstance(event, Started):
                    self.current = event.key
                elif isinstance(event, Finished):
                    self.current = ""
                    self.endings[event.key] = event
                self._listener.acknowledge()
        except (Unfit, Refused) as error:
            self.problem = f"its process said what it may not: {error}"

    def end(self) -> None:
        """End it, and whatever it has started."""
        self._launcher.end(self._process, END_S)
        self._listener.close()
        self._log.close()
