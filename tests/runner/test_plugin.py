"""The plugin gives each test exactly one outcome; a test that measured or compared nothing has not passed."""

import re
from pathlib import Path

import pytest
from suites import driver, example
from suites.inline import Inline, counts, ended

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record import run as runs


@pytest.fixture
def inline(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inline:
    return Inline(pytester, monkeypatch)


def test_a_measurement_that_reaches_its_limit_passes(inline: Inline) -> None:
    assert ended(inline.judge("assert speed(evidence) >= FAST"), "passed")


def test_a_measurement_below_its_limit_fails_with_both_numbers_their_sources_and_the_remedy(inline: Inline) -> None:
    result = inline.judge("assert speed(evidence, 9.8) >= FAST")
    assert ended(result, "failed")
    result.stdout.fnmatch_lines(
        [
            "decode is 9.8 token/s, required >= 13 token/s",
            "  measured: 10 rounds of 128 tokens",
            "  required: limit decode.fp32: 85 % of 273 GB/s",
            "--- X: what to do ---",
            "1. Look at it.",
            "2. Fix it.",
        ],
        consecutive=True,
    )


FAILED = {
    "violated, not asserted": "speed(evidence, 9.8) >= FAST",
    "violated, then fine": "speed(evidence, 9.8) >= FAST\nassert speed(evidence) >= FAST",
    "violated, then in doubt": "speed(evidence, 9.8) >= FAST\nraise Inconclusive('and then the meter broke')",
    "violated, then skipped": "speed(evidence, 9.8) >= FAST\npytest.skip('never mind')",
    "violated, then an error": "speed(evidence, 9.8) >= FAST\nraise OSError('no such instrument')",
    "bare assertion": "assert 1 + 1 == 3",
    "called wrong": "raise Wrong('the answer differs')",
    "pytest.fail": "pytest.fail('it is wrong')",
    "required by the library": "evidence.require(False)",
}


@pytest.mark.parametrize("body", FAILED.values(), ids=FAILED)
def test_a_wrong_result_fails(inline: Inline, body: str) -> None:
    result = inline.judge(body)
    assert ended(result, "failed")
    result.stdout.fnmatch_lines(["1. Look at it."])


INCONCLUSIVE = {
    "raises Inconclusive": ("raise Inconclusive('the meter is broken')", "the meter is broken"),
    "any error": (
        "raise OSError('no such instrument')",
        "could not be checked: OSError: no such instrument (*test_suite.py:*",
    ),
    "no message": ("raise ValueError", "could not be checked: ValueError: no message (*"),
    "leaves": ("raise SystemExit(0)", "could not be checked: SystemExit: 0 (*"),
    "nothing at all": ("pass", "nothing was compared with a limit, so that nothing was proved"),
    "recorded only": ("speed(evidence)", "nothing was compared with a limit, so that nothing was proved"),
    "truth of a number": (
        "assert speed(evidence)",
        "could not be checked: TypeError: compare decode with what*",
    ),
    "not a number": ("assert speed(evidence, float('nan')) >= FAST", "decode is nan: *"),
    "no such limit": ("evidence.record('x', 1, unit='GB/s', source='s').within(FAST)", "limit decode.fp32 is in *"),
    "skips": ("assert speed(evidence) >= FAST\npytest.skip('not today')", "the test skipped itself (not today); *"),
    "import": ("pytest.importorskip('no_such_library')", "the test skipped itself (could not import *"),
    "xfails": ("assert speed(evidence) >= FAST\npytest.xfail('known')", "the test skipped itself (known); *"),
}


@pytest.mark.parametrize(("body", "reason"), INCONCLUSIVE.values(), ids=INCONCLUSIVE)
def test_what_could_not_be_measured_is_inconclusive_with_a_reason(inline: Inline, body: str, reason: str) -> None:
    result = inline.judge(body)
    assert ended(result, "inconclusive")
    reason = reason.replace("[", "[[]")
    result.stdout.fnmatch_lines(["*_ INCONCLUSIVE X _*", reason])


def test_an_inconclusive_requirement_prints_its_remedy_and_no_traceback(inline: Inline) -> None:
    result = inline.judge("raise Inconclusive('the meter is broken', 'Plug it in.', 'Run again.')")
    result.stdout.fnmatch_lines(
        ["the meter is broken", "--- X: what to do ---", "1. Plug it in.", "2. Run again."], consecutive=True
    )
    assert "Look at it." not in result.stdout.str(), "that is the remedy of a failure, and nothing has failed"
    assert not re.search(r"Traceback|^E  |test_suite\.py:\d+", result.stdout.str(), re.MULTILINE)


def test_an_assertion_counts_only_where_the_check_itself_makes_it(pytester: pytest.Pytester, inline: Inline) -> None:
    """torch asserts that it was "compiled with CUDA enabled": that is no measurement."""
    pytester.makepyfile(library="def query():\n    raise AssertionError('Torch not compiled with CUDA enabled')")
    result = inline.judge("import library\nassert speed(evidence) >= FAST\nlibrary.query()")
    assert ended(result, "inconclusive")
    result.stdout.fnmatch_lines(
        ["could not be checked: AssertionError: Torch not compiled with CUDA enabled (*library.py:2)"]
    )
    assert ended(inline.judge("assert speed(evidence, 9.8) >= FAST\nimport library\nlibrary.query()"), "failed")


SKIPS = ["@pytest.mark.skip(reason='no')", "@pytest.mark.skipif(True, reason='no')"]
XFAILS = ["@pytest.mark.xfail", "@pytest.mark.xfail(strict=True)", "@pytest.mark.xfail(raises=AssertionError)"]


@pytest.mark.parametrize("mark", [*SKIPS, "@pytest.mark.xfail(run=False)"])
def test_a_skip_mark_does_not_exclude_a_requirement(inline: Inline, mark: str) -> None:
    assert ended(inline.judge("assert speed(evidence) >= FAST", marks=mark), "inconclusive")


@pytest.mark.parametrize("mark", XFAILS)
def test_an_expected_failure_is_a_failure_and_an_unexpected_pass_a_pass(inline: Inline, mark: str) -> None:
    assert ended(inline.judge("assert speed(evidence, 9.8) >= FAST", marks=mark), "failed")
    assert ended(inline.judge("assert speed(evidence) >= FAST", marks=mark), "passed")
    assert ended(inline.judge("raise OSError", marks=mark), "inconclusive")


FIXTURE = """
@pytest.fixture
def bench(evidence):
    {before}
    yield
    {after}

@requirement("X", **ABOUT)
def test_x(evidence, bench):
    assert speed(evidence, {value}) >= FAST
"""


@pytest.mark.parametrize(
    ("before", "value", "after", "outcome"),
    [
        ("pass", 20.0, "pass", "passed"),
        ("raise OSError('in setup')", 20.0, "pass", "inconclusive"),
        ("raise Inconclusive('in setup')", 20.0, "pass", "inconclusive"),
        ("pytest.skip('in setup')", 20.0, "pass", "inconclusive"),
        ("speed(evidence, 9.8) >= FAST", 20.0, "pass", "failed"),
        ("pass", 20.0, "raise OSError('in teardown')", "inconclusive"),
        ("pass", 20.0, "raise Inconclusive('in teardown')", "inconclusive"),
        ("pass", 20.0, "pytest.skip('in teardown')", "inconclusive"),
        ("pass", 20.0, "speed(evidence, 9.8) >= FAST", "failed"),
        ("pass", 20.0, "raise Wrong('in teardown')", "failed"),
        ("pass", 9.8, "raise OSError('in teardown')", "failed"),
    ],
)
def test_an_error_in_setup_or_teardown_belongs_to_the_requirement(
    inline: Inline, before: str, value: float, after: str, outcome: str
) -> None:
    assert ended(inline.run(FIXTURE.format(before=before, value=value, after=after)), outcome)


@pytest.mark.parametrize(
    ("inside", "outcome"),
    [
        ("assert speed(evidence, 9.8) >= FAST", "failed"),
        ("raise OSError", "inconclusive"),
        ("pytest.skip()", "inconclusive"),
    ],
)
def test_a_failed_subtest_counts(inline: Inline, inside: str, outcome: str) -> None:
    body = f"assert speed(evidence) >= FAST\nwith subtests.test('part'):\n    {inside}"
    result = inline.judge(body, arguments="evidence, subtests")
    assert counts(result) == {outcome: 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_requirements_after_a_cuda_error_run_in_a_fresh_process(tmp_path: Path) -> None:
    profile = example.profile_file(tmp_path)
    ended = driver.run("poisoned", "validate", "--profile", profile, "--results", tmp_path / "results")
    run = runs.load(driver.only_run(tmp_path / "results"))
    outcomes = {result.key: result.outcome for result in run.results}
    assert outcomes == {"POISONS": Outcome.INCONCLUSIVE, "AFTER": Outcome.PASSED, "LAST": Outcome.PASSED}
    assert run.judgement.verdict is Verdict.INCONCLUSIVE
    assert ended.returncode == 2
    logs = {result.key: result.log for result in run.results}
    assert logs["POISONS"] != logs["AFTER"] == logs["LAST"]
