"""A trial: one requirement while its test runs, judged by what the test raised and recorded."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from dgxcert.judgement.evidence import Recorder, violation
from dgxcert.judgement.requirement import Requirement
from dgxcert.outcome import DISTURBED, AfterWork, DgxcertError, Disturbed, Inconclusive, Outcome, Wrong

STOP_OTHERS = ("See what else runs on this machine and stop it, or wait for its end: top; nvidia-smi",)
READ_THE_LOG = (
    "If that does not help, read the whole traceback in the log of this run, then run this requirement again."
)


class Judged(NamedTuple):
    """How a phase of a trial ended."""

    outcome: Outcome
    reason: str
    remedy: tuple[str, ...]
    repeats: int = 0
    after_work: bool = False


@dataclass
class Trial:
    """One requirement while it is being measured."""

    key: str
    requirement: Requirement
    check: Path
    recorder: Recorder = field(default_factory=Recorder)
    outcome: Outcome | None = None
    reason: str = ""
    remedy: tuple[str, ...] = ()
    repeats: int = 0
    """How many repeats this ending allows: see `outcome.Disturbed`."""
    after_work: bool = False
    """Whether it is measured once more after the work: see `outcome.AfterWork`."""
    poisoned: bool = False
    """A CUDA error was raised: every later CUDA call of this process fails too."""

    def end(
        self, outcome: Outcome, reason: str, remedy: tuple[str, ...], repeats: int = 0, after_work: bool = False
    ) -> None:
        """Keep how it ended. The first outcome other than a pass stays."""
        if self.outcome in (None, Outcome.PASSED):
            self.outcome, self.reason, self.remedy = outcome, reason, remedy
            self.repeats, self.after_work = repeats, after_work

    def take(self, phase: str, raised: pytest.ExceptionInfo[BaseException] | None, untimed: bool) -> None:
        """Judge one phase (setup, call or teardown) of the test."""
        if raised is not None:
            self.end(*self._judge(raised))
        elif phase == "call" or (phase == "teardown" and self.recorder.violated):
            self.end(*self._judge_completed(untimed))

    def _judge(self, raised: pytest.ExceptionInfo[BaseException]) -> Judged:
        error = raised.value
        self.poisoned = self.poisoned or type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)
        if isinstance(error, Inconclusive) and not self.recorder.violated:
            return Judged(
                Outcome.INCONCLUSIVE,
                error.problem,
                error.remedy or self._remedy,
                error.repeats if isinstance(error, Disturbed) else 0,
                isinstance(error, AfterWork),
            )
        skipped = isinstance(error, pytest.skip.Exception | pytest.xfail.Exception)
        if skipped and not self.recorder.violated:  # before `wrong`: xfail.Exception is a fail.Exception too
            reason = f"the test skipped itself ({error}); only the profile may exclude a requirement"
            return Judged(
                Outcome.INCONCLUSIVE, reason, ("Provide what the test misses, or exclude it in the profile.",)
            )
        asserted = self._asserted_here(raised)
        if asserted and self.recorder.disturbance:
            return self._disturbed()
        wrong = isinstance(error, Wrong | pytest.fail.Exception) or asserted
        if wrong or self.recorder.violated:  # a wrong measurement outranks a later error
            # What found the cause knows a better remedy than the requirement, which has one for every cause.
            own = error.remedy if isinstance(error, Wrong) and not self.recorder.violated else ()
            return Judged(Outcome.FAILED, self._failure(error), own or self._remedy)
        place = raised.traceback[-1]
        reason = f"could not be checked: {type(error).__name__}: {_first_line(error)} ({place.path}:{place.lineno + 1})"
        return Judged(Outcome.INCONCLUSIVE, reason, (*self._remedy, READ_THE_LOG))

    def _judge_completed(self, untimed: bool) -> Judged:
        """Nothing was raised: a pass, if something was measured and compared."""
        if self.recorder.disturbance:
            return self._disturbed()
        if self.recorder.violated:
            return Judged(Outcome.FAILED, self._failure(None), self._remedy)
        if untimed:
            return Judged(Outcome.INCONCLUSIVE, "the benchmark timed nothing", ("Run without --benchmark-disable.",))
        if not self.recorder.compared:
            reason = "nothing was compared with a limit, so that nothing was proved"
            return Judged(Outcome.INCONCLUSIVE, reason, ("Fix the check: record a quantity and compare it.",))
        return Judged(Outcome.PASSED, "", ())

    def _disturbed(self) -> Judged:
        """Too slow beside other work is no finding about the machine: it is measured again."""
        reason = f"{self._failure(None)}\n  but {self.recorder.disturbance}"
        return Judged(Outcome.INCONCLUSIVE, reason, STOP_OTHERS, DISTURBED)

    @property
    def _remedy(self) -> tuple[str, ...]:
        return self.recorder.advice or self.requirement.remedy

    def _asserted_here(self, raised: pytest.ExceptionInfo[BaseException]) -> bool:
        """Whether the check itself asserted: torch and others raise AssertionError where they could not compute."""
        return isinstance(raised.value, AssertionError) and Path(raised.traceback[-1].path) == self.check

    def _failure(self, error: BaseException | None) -> str:
        lines = [line for pair in self.recorder.violated for line in violation(*pair)]
        message = error.problem if isinstance(error, DgxcertError) else str(error or "")
        return "\n".join(lines) if lines else (message or "the assertion does not hold")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"


def text(trial: Trial) -> str:
    """What pytest prints about a requirement that did not pass: what was measured, then what to do."""
    lines = [*trial.reason.splitlines()]
    if trial.remedy:
        lines.append(f"--- {trial.key}: what to do ---")
        lines.extend(f"{number}. {step}" for number, step in enumerate(trial.remedy, start=1))
    return "\n".join(lines)
