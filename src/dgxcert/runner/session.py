"""The session of one pytest process: what it must run, where its outcomes go, and when it must end."""

import atexit
import functools
import json
import os
import shutil
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

from dgxcert import command
from dgxcert.judgement.computation import Computation
from dgxcert.judgement.requirement import Tier
from dgxcert.judgement.spending import LEDGER
from dgxcert.judgement.trial import Trial
from dgxcert.judgement.verdict import count
from dgxcert.machine import memory_guard, software
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import WORKING, Options, Weights
from dgxcert.plan.selection import Planned, decide
from dgxcert.profiles import matching
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.record import journal
from dgxcert.record.benchmark_file import BenchmarkFile
from dgxcert.runner.channel.brief import Brief
from dgxcert.runner.channel.speaker import Speaker, end
from dgxcert.runner.lanes.host_share import WHOLE, Share

LANE = "DGXCERT_LANE"
"""Tells the questions to the driver which processes are of other lanes (`probes.gpu.sharing.siblings`)."""
PATIENCE_S = 0.25
"""Between two lanes that stop themselves since the machine is short of memory: what the first frees may be enough."""
LONGEST_REASON = 20_000
"""Characters: the channel takes a line of 4 MiB, and refuses who says more."""


class Session(ABC):
    """What one pytest process must run, and where its outcomes go."""

    def __init__(self, machine: Machine, profile: Profile, options: Options) -> None:
        self.machine = machine
        self.profile = profile
        self.options = options
        self.image: Image | None = None
        self.planned: list[Planned] = []
        self._outcomes: dict[str, Outcome] = {}

    @property
    def gpus(self) -> list[int]:
        """The indexes of the GPUs that requirements are made for."""
        displays = display_adapters(self.profile, self.machine)
        return [index for index in range(gpus_to_test(self.profile, self.machine)) if index not in displays]

    @property
    def share(self) -> Share:
        """What this process may use of the host."""
        return WHOLE

    @property
    @abstractmethod
    def keeps(self) -> Path:
        """The folder where requirements may keep files, such as samples."""

    @abstractmethod
    def select(self, entries: list[Entry]) -> None:
        """Decide which of the collected requirements run."""

    @abstractmethod
    def runs(self, key: str) -> bool:
        """Whether this process runs a requirement."""

    @property
    def computation(self) -> Computation:
        """What this run has computed when this process starts: nothing, outside a run."""
        return Computation()

    @abstractmethod
    def started(self, key: str) -> None:
        """A requirement is about to be measured."""

    @abstractmethod
    def said(self, key: str, text: str) -> None:
        """A long requirement reports how far it has come."""

    @abstractmethod
    def finished(self, trial: Trial, config: object) -> None:
        """A requirement has ended; `config` is pytest's, which knows the benchmarks."""

    def counts(self) -> dict[str, int]:
        """How many requirements ended in each outcome, as far as this process knows."""
        return count(_outcome_of(entry, self._outcomes) for entry in self.planned)


class Direct(Session):
    """`pytest checks` by hand: outcomes go to the terminal only, and there is no verdict."""

    def __init__(self, profile: str, tier: str, minutes: float, weights: str) -> None:
        machine = read_machine()
        options = Options(profile=profile, tier=Tier(tier), minutes=minutes, weights=Weights(weights))
        super().__init__(machine, choose_profile(profile, machine), options)

    @functools.cached_property
    def keeps(self) -> Path:
        """A folder that is removed when this process ends."""
        folder = tempfile.mkdtemp(prefix="dgxcert-kept-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def select(self, entries: list[Entry]) -> None:
        self.planned = [
            decide(entry, self.profile, self.options, self.profile.gpus_in(self.machine)) for entry in entries
        ]

    def runs(self, key: str) -> bool:
        return any(entry.key == key and entry.runs for entry in self.planned)

    def started(self, key: str) -> None:
        pass

    def said(self, key: str, text: str) -> None:
        sys.stderr.write(f"{key}: {text}\n")

    def finished(self, trial: Trial, config: object) -> None:  # noqa: ARG002 (only a run keeps benchmarks)
        self._outcomes[trial.key] = trial.outcome or Outcome.INCONCLUSIVE


class Supervised(Session):
    """A child of the supervisor: measures what its brief names, and says every event of it over the channel."""

    def __init__(self, brief: Brief, inside: Path, speaker: Speaker) -> None:
        """`inside` is the only folder of the run that this process may write."""
        super().__init__(brief.machine, brief.profile, brief.options)
        self.planned = list(brief.plan)
        self.image = brief.image
        self._brief = brief
        self._keys = set(brief.keys)
        self._inside = inside
        self._speaker = speaker
        self._started_at = 0.0
        self._current: str | None = None
        os.environ.pop(LANE, None)
        if self.share.lanes > 1:
            os.environ[LANE] = f"{os.getppid()} {os.getpid()}"
        if unbound := self.share.take():
            sys.stderr.write(f"{unbound}\n")
        if brief.stage in WORKING:
            floor = self.profile.memory.floor
            shortage = functools.partial(memory_guard.shortage, floor.value, floor.source)
            patience_s = PATIENCE_S * (1 + self.share.place) if self.share.lanes > 1 else 0.0
            memory_guard.start(shortage, lambda: self._current is not None, self._stop, patience_s)
        self._benchmark_file = BenchmarkFile(inside / f"benchmark-{brief.number:03}.json")
        if brief.reads_software:
            speaker.say(journal.SoftwareRead(stage=brief.stage, software=software.read()))

    @property
    def share(self) -> Share:
        return self._brief.share

    @property
    def keeps(self) -> Path:
        """A folder of the run: a resumed run finds in it what it kept before."""
        return self._inside / "kept"

    def select(self, entries: list[Entry]) -> None:
        """The plan was made before this process started."""

    def runs(self, key: str) -> bool:
        return key in self._keys

    @property
    def computation(self) -> Computation:
        """What the run has computed: which requirements were to compute, which passed, and what was read before."""
        return self._brief.computation

    def started(self, key: str) -> None:
        self._current = key
        self._speaker.say(journal.Started(key=key, stage=self._brief.stage, child=self._brief.number))
        self._started_at = time.monotonic()
        LEDGER.begin()

    def said(self, key: str, text: str) -> None:
        self._speaker.say(journal.Said(key=key, text=text))

    def finished(self, trial: Trial, config: object) -> None:
        self._current = None
        outcome = trial.outcome or Outcome.INCONCLUSIVE
        self._outcomes[trial.key] = outcome
        self._speaker.say(
            journal.Finished(
                key=trial.key,
                outcome=outcome,
                duration_s=round(time.monotonic() - self._started_at, 4),
                reason=shortened(trial.reason) if trial.outcome else "the test ended without an outcome",
                remedy=trial.remedy,
                evidence=tuple(trial.recorder.kept),
                traces=tuple(trial.recorder.traces),
                repeats=trial.repeats if outcome is Outcome.INCONCLUSIVE else 0,
                after_work=trial.after_work and outcome is Outcome.INCONCLUSIVE,
                child=self._brief.number,
                spent=LEDGER.seconds,
            )
        )
        try:
            self._benchmark_file.keep(config)
        except CannotStart as error:  # what was measured is recorded; only pytest-benchmark's own file lacks it
            sys.stderr.write(f"{error}\n")

    def _stop(self, reason: str) -> None:
        """Kill this process and everything that it started, at once: the memory they free may save the machine."""
        try:
            self._speaker.say_last(journal.Stopped(key=self._current, reason=reason))
        finally:
            end()


def shortened(reason: str) -> str:
    """A reason of a length that a report can show: an assertion about a long text repeats it.

    >>> len(shortened("x" * 10_000_000)) < 21_000
    True
    """
    if len(reason) <= LONGEST_REASON:
        return reason
    return f"{reason[:LONGEST_REASON]}… (and {len(reason) - LONGEST_REASON} more characters)"


def _outcome_of(entry: Planned, outcomes: dict[str, Outcome]) -> Outcome:
    if entry.not_applicable:
        return Outcome.NOT_APPLICABLE
    return outcomes.get(entry.key, Outcome.NOT_RUN)


def read_machine(limit_s: float = 90.0) -> Machine:
    """The machine, read by a process of its own: a driver call can hang, and must not hang this process.

    Raises CannotStart where that process does not answer.
    """
    answer = command.run([sys.executable, "-P", "-m", "dgxcert.probes.host.identity"], timeout_s=limit_s)
    if answer.timed_out:
        raise CannotStart(
            f"The machine could not be read: {answer.complaint}.",
            "If `nvidia-smi` hangs too, the driver is stuck: restart the machine.",
        )
    if answer.returncode is not None and answer.returncode < 0:
        raise CannotStart(
            f"The machine could not be read: signal {-answer.returncode} kills the process that calls the driver.",
            "Run `nvidia-smi`: if it dies too, restart the machine, then reinstall the driver.",
        )
    if answer.returncode != 0:
        raise CannotStart(f"The machine could not be read: {answer.complaint}.", "Fix that, or reinstall: make setup")
    return Machine.model_validate(json.loads(answer.stdout))


def choose_profile(name: str, machine: Machine) -> Profile:
    """The profile of that name, or for `auto` the one that fits the machine. Raises CannotStart."""
    if name != "auto":
        return profiles.load(name)
    return matching.choose(machine)


def gpus_to_test(profile: Profile, machine: Machine) -> int:
    """One above the highest index of what the profile expects or the machine has, so that no GPU goes untested.

    The indexes of display adapters are among those below it; `display_adapters` has them.
    """
    if not profile.uses_gpu:
        return 1
    expected = profile.gpu.expected + len(machine.display_adapters)
    return max([expected, *(gpu.index + 1 for gpu in machine.gpus + machine.display_adapters)])


def display_adapters(profile: Profile, machine: Machine) -> tuple[int, ...]:
    """The indexes below `gpus_to_test` that no requirement is made for."""
    return tuple(gpu.index for gpu in machine.display_adapters) if profile.uses_gpu else ()
