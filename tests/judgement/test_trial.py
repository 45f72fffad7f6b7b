"""A trial: what a test raised and recorded becomes one outcome; a wrong measurement outranks every later error."""

from pathlib import Path

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.requirement import Requirement
from dgxcert.judgement.trial import READ_THE_LOG, Trial, text
from dgxcert.outcome import DISTURBED, UNEXPLAINED, Disturbed, Inconclusive, Outcome, Wrong

HERE = Path(__file__)
FAST = Limit(name="decode.fp32", min=13, unit="token/s", source="85 % of 273 GB/s")
REQUIREMENT = Requirement(
    id="DECODE-SPEED", title="Decode is fast", why="chat is slow", remedy=("Close other programs.",)
)


@pytest.fixture
def trial() -> Trial:
    return Trial("DECODE-SPEED[fp32]", REQUIREMENT, HERE)


def raised(error: BaseException) -> pytest.ExceptionInfo[BaseException]:
    """The error as pytest reports it, raised in this file."""
    with pytest.raises(type(error)) as info:
        raise error
    return info


def record(recorder: Recorder, rate: float) -> bool:
    return recorder.record("decode", rate, unit="token/s", source="10 rounds") >= FAST


def test_a_measurement_that_reaches_its_limit_passes_without_a_remedy(trial: Trial) -> None:
    record(trial.recorder, 20.0)
    trial.take("call", None, untimed=False)
    assert (trial.outcome, trial.reason, trial.remedy) == (Outcome.PASSED, "", ())
    assert text(trial) == ""


def test_setup_and_teardown_alone_decide_nothing(trial: Trial) -> None:
    record(trial.recorder, 20.0)
    trial.take("setup", None, untimed=False)
    trial.take("teardown", None, untimed=False)
    assert trial.outcome is None


@pytest.mark.parametrize(
    ("untimed", "rate", "reason"),
    [(True, 20.0, "the benchmark timed nothing"), (False, None, "nothing was compared with a limit")],
)
def test_a_test_that_proves_nothing_is_inconclusive(
    trial: Trial, untimed: bool, rate: float | None, reason: str
) -> None:
    if rate is not None:
        record(trial.recorder, rate)
    trial.take("call", None, untimed=untimed)
    assert trial.outcome is Outcome.INCONCLUSIVE
    assert reason in trial.reason
    assert trial.remedy


def test_an_untimed_benchmark_that_violates_a_limit_has_failed(trial: Trial) -> None:
    record(trial.recorder, 9.8)
    trial.take("call", None, untimed=True)
    assert trial.outcome is Outcome.FAILED


@pytest.mark.parametrize("error", [Inconclusive("the meter broke"), OSError("gone"), pytest.skip.Exception("no GPU")])
def test_a_violated_limit_outranks_a_later_error(trial: Trial, error: BaseException) -> None:
    record(trial.recorder, 9.8)
    trial.take("call", raised(error), untimed=False)
    assert trial.outcome is Outcome.FAILED
    assert trial.reason.splitlines()[0] == "decode is 9.8 token/s, required >= 13 token/s"


@pytest.mark.parametrize("error", [AssertionError("slow"), None], ids=["asserted", "completed"])
def test_a_rate_below_its_limit_that_was_disturbed_is_inconclusive_and_repeated(
    trial: Trial, error: BaseException | None
) -> None:
    doubt(trial.recorder, 9.8)
    trial.take("call", raised(error) if error else None, untimed=False)
    assert (trial.outcome, trial.repeats) == (Outcome.INCONCLUSIVE, DISTURBED)
    assert "decode is 9.8 token/s, required >= 13 token/s" in trial.reason
    assert "but others used 61% of the CPU" in trial.reason
    assert trial.remedy


@pytest.mark.parametrize("error", [Wrong("logits differ"), pytest.fail.Exception("wrong")])
def test_what_is_wrong_beside_a_neighbour_has_failed(trial: Trial, error: BaseException) -> None:
    doubt(trial.recorder, 9.8)
    trial.take("call", raised(error), untimed=False)
    assert (trial.outcome, trial.repeats) == (Outcome.FAILED, 0)


def test_a_neighbour_excuses_no_other_quantity(trial: Trial) -> None:
    doubt(trial.recorder, 9.8)
    trial.recorder.record("tokens", 127, unit="token", source="generate()").__eq__(128)
    trial.take("call", raised(AssertionError()), untimed=False)
    assert trial.outcome is Outcome.FAILED


def test_a_disturbed_rate_that_reaches_its_limit_passes(trial: Trial) -> None:
    doubt(trial.recorder, 20.0)
    trial.take("call", None, untimed=False)
    assert (trial.outcome, trial.repeats) == (Outcome.PASSED, 0)


@pytest.mark.parametrize("repeats", [UNEXPLAINED, DISTURBED])
def test_a_disturbed_trial_has_its_repeats_and_one_that_failed_before_has_none(trial: Trial, repeats: int) -> None:
    trial.take("call", raised(Disturbed("noisy", "Stop.", repeats=repeats)), untimed=False)
    assert (trial.outcome, trial.repeats) == (Outcome.INCONCLUSIVE, repeats)
    failed = Trial("DECODE-SPEED[fp32]", REQUIREMENT, HERE)
    record(failed.recorder, 9.8)
    failed.take("call", raised(Disturbed("noisy", repeats=repeats)), untimed=False)
    assert (failed.outcome, failed.repeats) == (Outcome.FAILED, 0)


def test_an_inconclusive_trial_is_not_repeated(trial: Trial) -> None:
    trial.take("call", raised(Inconclusive("the meter broke")), untimed=False)
    trial.take("teardown", raised(Disturbed("noisy", repeats=2)), untimed=False)
    assert (trial.reason, trial.repeats) == ("the meter broke", 0)


def doubt(recorder: Recorder, rate: float) -> None:
    """A rate that was measured beside others and compared with its limit."""
    measured = recorder.record("decode", rate, unit="token/s", source="10 rounds")
    recorder.disturbed(measured, "others used 61% of the CPU")
    measured.__ge__(FAST)


def test_the_first_problem_is_kept_and_a_pass_is_replaced_by_a_problem_in_teardown(trial: Trial) -> None:
    record(trial.recorder, 20.0)
    trial.take("call", None, untimed=False)
    trial.take("teardown", raised(Wrong("wrong token ids")), untimed=False)
    assert (trial.outcome, trial.reason) == (Outcome.FAILED, "wrong token ids")
    trial.end(Outcome.INCONCLUSIVE, "the process was killed", ())
    assert (trial.outcome, trial.reason) == (Outcome.FAILED, "wrong token ids")


def test_only_an_assertion_of_the_check_itself_is_a_failure() -> None:
    error = raised(AssertionError("Torch not compiled with CUDA enabled"))
    own = Trial("X", REQUIREMENT, HERE)
    own.take("call", error, untimed=False)
    assert (own.outcome, own.remedy) == (Outcome.FAILED, REQUIREMENT.remedy)
    library = Trial("X", REQUIREMENT, HERE.with_name("test_other.py"))
    library.take("call", error, untimed=False)
    assert (library.outcome, library.remedy) == (Outcome.INCONCLUSIVE, (*REQUIREMENT.remedy, READ_THE_LOG))


def test_advice_for_this_finding_comes_before_the_log(trial: Trial) -> None:
    trial.recorder.advise("Remove torchao.")
    trial.take("call", raised(ImportError("an incompatible version of torchao")), untimed=False)
    assert trial.remedy == ("Remove torchao.", READ_THE_LOG)


def test_inconclusive_without_a_remedy_shows_the_requirements_own(trial: Trial) -> None:
    trial.take("call", raised(Inconclusive("nothing answers")), untimed=False)
    assert trial.remedy == REQUIREMENT.remedy


def test_an_unexpected_error_is_reported_with_its_first_line_and_place(trial: Trial) -> None:
    trial.take("call", raised(RuntimeError(f"\n{'x' * 400}\nmore")), untimed=False)
    assert trial.outcome is Outcome.INCONCLUSIVE
    assert trial.reason.startswith(f"could not be checked: RuntimeError: {'x' * 300} ({HERE}:")
    assert "more" not in trial.reason


AcceleratorError = type("AcceleratorError", (RuntimeError,), {})


def test_what_found_the_cause_of_a_failure_knows_its_remedy(trial: Trial) -> None:
    trial.recorder.advise("Update the driver.")
    trial.take("call", raised(Wrong("torchao breaks peft", "Remove torchao.")), untimed=False)
    assert (trial.outcome, trial.reason) == (Outcome.FAILED, "torchao breaks peft")
    assert trial.remedy == ("Remove torchao.",)


def test_a_measured_violation_keeps_the_advice_of_its_check(trial: Trial) -> None:
    trial.recorder.advise("Update the driver.")
    record(trial.recorder, 9.8)
    trial.take("call", raised(Wrong("torchao breaks peft", "Remove torchao.")), untimed=False)
    assert trial.remedy == ("Update the driver.",)


@pytest.mark.parametrize(
    ("error", "poisoned"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (AcceleratorError("device-side assert triggered"), True),
        (Inconclusive("the training failed: CUDA error: out of memory"), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_a_cuda_error_poisons_the_process(trial: Trial, error: Exception, poisoned: bool) -> None:
    trial.take("call", raised(error), untimed=False)
    assert trial.poisoned is poisoned


def test_a_process_stays_poisoned_after_a_later_error(trial: Trial) -> None:
    trial.take("call", raised(RuntimeError("CUDA error: unknown error")), untimed=False)
    trial.take("teardown", raised(OSError("gone")), untimed=False)
    assert trial.poisoned


def test_the_advice_of_a_check_replaces_the_requirements_remedy_and_its_steps_are_numbered(trial: Trial) -> None:
    trial.recorder.advise("Stop the other process: kill 4711.", "Run again.")
    trial.take("call", raised(Wrong("another process uses the GPU")), untimed=False)
    assert text(trial).splitlines() == [
        "another process uses the GPU",
        "--- DECODE-SPEED[fp32]: what to do ---",
        "1. Stop the other process: kill 4711.",
        "2. Run again.",
    ]
