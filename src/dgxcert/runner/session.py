"""A pytest session seen from inside: what it must run, and where its outcomes go."""

import atexit
import ctypes
import fcntl
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Protocol

from dgxcert import command
from dgxcert.judgement.requirement import Tier
from dgxcert.judgement.trial import Trial
from dgxcert.judgement.verdict import count
from dgxcert.machine import memory_guard, software
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import WORKING, Options, Weights
from dgxcert.plan.selection import Planned, decide
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.record import journal, state
from dgxcert.record.benchmark_file import BenchmarkFile

CANNOT_RECORD = 90
"""Exit code of a child whose record could not be written."""

PR_SET_PDEATHSIG = 1


class Session(Protocol):
    """What the plugin needs from either kind of session."""

    profile: Profile
    machine: Machine
    image: Image | None
    planned: list[Planned]
    options: Options

    @property
    def gpus(self) -> int:
        """How many GPUs requirements are made for."""

    @property
    def keeps(self) -> Path:
        """Where a requirement may keep files, such as samples; of a run, so that it can go on from them."""

    def choose(self, entries: list[Entry]) -> None:
        """Decide what runs, now that it is known what is there."""

    def runs(self, key: str) -> bool:
        """Whether a requirement is run by this process."""

    def started(self, key: str) -> None:
        """A requirement is about to be measured."""

    def said(self, key: str, text: str) -> None:
        """A long requirement tells how far it has come."""

    def finished(self, trial: Trial, config: object) -> None:
        """A requirement has ended; `config` is pytest's, which knows the benchmarks."""

    def counts(self) -> dict[str, int]:
        """How many requirements ended in each outcome, as far as this process knows."""


class Direct:
    """`pytest checks` by hand: outcomes go to the terminal only, and no verdict comes of it."""

    def __init__(self, profile: str, tier: str, minutes: float, weights: str) -> None:
        self.machine = read_machine()
        self.image: Image | None = None
        self.profile = choose_profile(profile, self.machine)
        self.options = Options(profile=profile, tier=Tier(tier), minutes=minutes, weights=Weights(weights))
        self.planned: list[Planned] = []
        self._outcomes: dict[str, Outcome] = {}

    @property
    def gpus(self) -> int:
        """See Session."""
        return gpus_to_test(self.profile, self.machine)

    @functools.cached_property
    def keeps(self) -> Path:
        """See Session. Gone with this process."""
        folder = tempfile.mkdtemp(prefix="dgxcert-kept-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def choose(self, entries: list[Entry]) -> None:
        """See Session."""
        self.planned = [decide(entry, self.profile, self.options) for entry in entries]

    def runs(self, key: str) -> bool:
        """See Session."""
        return any(entry.key == key and entry.runs for entry in self.planned)

    def started(self, key: str) -> None:
        """See Session."""

    def said(self, key: str, text: str) -> None:
        """See Session."""
        sys.stderr.write(f"{key}: {text}\n")

    def finished(self, trial: Trial, config: object) -> None:  # noqa: ARG002 (only a supervised session keeps benchmarks)
        """See Session."""
        self._outcomes[trial.key] = trial.outcome or Outcome.INCONCLUSIVE

    def counts(self) -> dict[str, int]:
        """See Session."""
        return count(_outcome_of(entry, self._outcomes) for entry in self.planned)


class Supervised:
    """A child of the supervisor: runs what the plan still wants, and records every step."""

    def __init__(self, folder: Path, stage: str, attempt: int) -> None:
        events = journal.read(folder)
        opened = journal.opened(folder)
        self.profile = opened.profile
        self.machine = opened.machine
        self.options = opened.options
        self.folder = folder
        self.stage, self.attempt = stage, attempt
        self.planned = list(opened.plan)
        self.image = state.image(events)
        self._ended = state.finished_keys(events)
        self._outcomes: dict[str, Outcome] = {}
        self._writer = journal.Writer(folder)
        self._began = 0.0
        self._current: str | None = None
        if self.stage in WORKING:
            floor = self.profile.memory.floor
            short = functools.partial(memory_guard.shortage, floor.value, floor.source)
            memory_guard.start(short, lambda: self._current is not None, self._stop)
        self._benchmark_file = BenchmarkFile(folder / "logs" / f"benchmark-{attempt:03}.json")
        if not any(isinstance(event, journal.SoftwareRead) and event.stage == stage for event in events):
            self._writer.append(journal.SoftwareRead(stage=stage, software=software.read()))

    @property
    def gpus(self) -> int:
        """See Session."""
        return gpus_to_test(self.profile, self.machine)

    @property
    def keeps(self) -> Path:
        """See Session."""
        return self.folder / "kept"

    def choose(self, entries: list[Entry]) -> None:
        """The plan was made before this process began."""

    def runs(self, key: str) -> bool:
        """See Session."""
        mine = (entry for entry in self.planned if entry.runs and self.options.stage_name(entry.stage) == self.stage)
        return key not in self._ended and any(entry.key == key for entry in mine)

    def started(self, key: str) -> None:
        """See Session."""
        self._began, self._current = time.monotonic(), key
        self._writer.append(journal.Started(key=key, stage=self.stage, attempt=self.attempt))

    def _stop(self, reason: str) -> None:
        """End this process and all that it has started, at once: what they give back may save the machine."""
        try:
            self._writer.append(journal.Stopped(key=self._current, reason=reason))
        finally:  # also where the disk takes no line
            command.kill_below()
            os.kill(os.getpid(), signal.SIGKILL)

    def said(self, key: str, text: str) -> None:
        """See Session."""
        self._writer.append(journal.Said(key=key, text=text))

    def finished(self, trial: Trial, config: object) -> None:
        """See Session."""
        self._current = None
        outcome = trial.outcome or Outcome.INCONCLUSIVE
        self._outcomes[trial.key] = outcome
        self._writer.append(
            journal.Finished(
                key=trial.key,
                outcome=outcome,
                duration_s=round(time.monotonic() - self._began, 4),
                reason=trial.reason if trial.outcome else "the test ended without an outcome",
                remedy=trial.remedy,
                evidence=tuple(trial.recorder.kept),
                traces=tuple(trial.recorder.traces),
            )
        )
        self._benchmark_file.keep(config)

    def counts(self) -> dict[str, int]:
        """See Session."""
        return count(_outcome_of(entry, self._outcomes) for entry in self.planned)


def _outcome_of(entry: Planned, outcomes: dict[str, Outcome]) -> Outcome:
    if entry.not_applicable:
        return Outcome.NOT_APPLICABLE
    return outcomes.get(entry.key, Outcome.NOT_RUN)


def read_machine() -> Machine:
    """Read the machine from a process of its own: a driver call can hang, and must not take us along.

    Raises CannotStart when that process does not answer.
    """
    asked = command.run([sys.executable, "-P", "-m", "dgxcert.probes.host.identity"], timeout_s=90)
    if asked.timed_out:
        raise CannotStart(
            f"The machine could not be read: {asked.complaint}.",
            "If `nvidia-smi` hangs too, the driver is stuck: restart the machine.",
        )
    if asked.returncode is not None and asked.returncode < 0:
        raise CannotStart(
            f"The machine could not be read: whoever asks the NVIDIA driver is killed by signal {-asked.returncode}.",
            "Run `nvidia-smi`: if it dies too, restart the machine, then install the driver anew.",
        )
    if asked.returncode != 0:
        raise CannotStart(
            f"The machine could not be read: {asked.complaint}.", "Mend that; `make setup` installs anew."
        )
    return Machine.model_validate(json.loads(asked.stdout))


def choose_profile(name: str, machine: Machine) -> Profile:
    """The profile of that name, or with `auto` the one that fits the machine. Raises CannotStart."""
    if name != "auto":
        return profiles.load(name)
    return profiles.choose([(gpu.product, gpu.compute_capability) for gpu in machine.gpus])


def gpus_to_test(profile: Profile, machine: Machine) -> int:
    """Every GPU that the profile expects, and any that is there beyond that; none is left unlooked at."""
    return max(profile.gpu.expected, *(gpu.index + 1 for gpu in machine.gpus), 1) if profile.uses_gpu else 1


def die_with_supervisor(folder: Path) -> None:
    """In a container, where no kernel tie leads to the supervisor: wait for its lock on the record, and end with it.

    The lock is held as long as the supervisor lives; whoever gets it knows that there is none.
    """

    def wait() -> None:
        with (folder / journal.NAME).open("rb") as record:
            fcntl.flock(record, fcntl.LOCK_SH)
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="supervisor watch", daemon=True).start()


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the supervisor dies, so that none goes on unwatched."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)
