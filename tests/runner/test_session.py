"""A session never succeeds without a measurement, whatever plugins and options are in use."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from paths import ROOT
from suites import example
from suites.inline import MACHINE, Inline, counts, ended

from dgxcert import command
from dgxcert.judgement import benchmark_cases
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Outcome
from dgxcert.plan import catalogue
from dgxcert.plan.options import Options
from dgxcert.plan.selection import ALL, any_gpu, make
from dgxcert.profiles import profile as profiles
from dgxcert.record import journal
from dgxcert.record.state import RunState
from dgxcert.runner import session
from dgxcert.runner.channel import brief as channel_brief
from dgxcert.runner.channel import seal

TIMED = "benchmark.pedantic(lambda: sum(range(999)), rounds=3)\nassert speed(evidence) >= FAST"
PASSES = "assert speed(evidence) >= FAST"

PLAIN = """
import pytest

def test_passes(): pass
def test_fails(): raise AssertionError
def test_skips(): pytest.skip()
@pytest.mark.xfail
def test_expected(): raise ValueError
@pytest.fixture
def broken(): raise OSError
def test_error(broken): pass
"""


@pytest.fixture
def inline(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inline:
    return Inline(pytester, monkeypatch)


def test_a_benchmark_that_timed_its_rounds_passes(inline: Inline) -> None:
    assert ended(inline.judge(TIMED, arguments="benchmark, evidence"), "passed")


@pytest.mark.parametrize("option", ["--benchmark-disable", "--benchmark-skip"])
def test_a_benchmark_that_is_switched_off_never_passes(inline: Inline, option: str) -> None:
    assert ended(inline.judge(TIMED, option, arguments="benchmark, evidence"), "inconclusive")


def test_a_benchmark_that_is_selected_and_not_run_never_passes(inline: Inline) -> None:
    assert ended(inline.judge(PASSES, arguments="benchmark, evidence"), "inconclusive")


def test_a_check_never_passes_under_benchmark_only(inline: Inline) -> None:
    assert ended(inline.judge(PASSES, "--benchmark-only"), "inconclusive")
    assert ended(inline.judge(PASSES, "--benchmark-disable"), "passed"), "it times nothing in any case"


FIVE = """
@requirement("A", **ABOUT)
def test_a(evidence): assert speed(evidence) >= FAST

@requirement("B", **ABOUT)
def test_b(evidence): assert speed(evidence, 1.0) >= FAST

@requirement("C", **ABOUT)
def test_c(evidence): raise Inconclusive("no meter")

@requirement("GPU-PRESENT", **ABOUT)
def test_d(evidence): assert speed(evidence) >= FAST

@requirement("E", tier="standard", **ABOUT)
def test_e(evidence): assert speed(evidence) >= FAST
"""


def test_the_last_line_counts_all_five_outcomes(inline: Inline) -> None:
    result = inline.run(FIVE, "--tier", "quick")
    line = "dgxcert, profile cpu: 1 passed, 1 failed, 1 inconclusive, 1 not applicable, 1 not run"
    result.stdout.fnmatch_lines([line])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("options", [("-k", "test_d"), ("-k", "test_d or test_e", "--tier", "quick")])
def test_a_session_without_selected_requirements_does_not_succeed(inline: Inline, options: tuple[str, ...]) -> None:
    assert inline.run(FIVE, *options).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_other_passing_tests_do_not_make_up_for_requirements(pytester: pytest.Pytester, inline: Inline) -> None:
    pytester.makepyfile(test_other="def test_passes(): pass")
    result = inline.run("@requirement('GPU-PRESENT', **ABOUT)\ndef test_d(evidence): pass")
    result.assert_outcomes(passed=1, deselected=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert inline.judge("pytest.skip('all of them')").ret == pytest.ExitCode.TESTS_FAILED


def test_other_suites_are_left_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not even read the machine."""
    monkeypatch.setattr(session, "read_machine", lambda: pytest.fail("the machine was read"))
    pytester.makepyfile(PLAIN)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1, skipped=1, xfailed=1, errors=1)
    assert "dgxcert, profile" not in result.stdout.str()
    pytester.makepyfile("def test_passes(): pass")
    assert pytester.runpytest_inprocess("-p", "no:cacheprovider").ret == pytest.ExitCode.OK


def refused(result: pytest.RunResult, why: str) -> bool:
    """Whether pytest stopped before any test, for this reason."""
    result.stderr.fnmatch_lines([f"ERROR: {why}"])
    return result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        ("def pytest_addoption(parser): parser.addoption('--numprocesses', type=int)", ("--numprocesses", "2")),
        ("def pytest_configure(config): config.workerinput = {}", ()),
    ],
    ids=["controller", "worker"],
)
def test_xdist_is_refused(pytester: pytest.Pytester, inline: Inline, plugin: str, options: tuple[str, ...]) -> None:
    """It would share the device between tests, and it disables benchmarks silently."""
    pytester.makeconftest(plugin)
    assert refused(inline.judge(PASSES, *options), "pytest-xdist shares the device*")


def test_python_without_assertions_is_refused(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(
        "from dgxcert import requirement\n"
        "@requirement('X', title='It holds', why='w', remedy=('look',))\n"
        "def test_x(evidence): assert evidence.record('x', False, source='s').holds()"
    )
    result = pytester.run(sys.executable, "-O", "-m", "pytest", "-p", "no:cacheprovider", "--profile", "cpu")
    assert refused(result, "python -O removes assertions*")


TWICE = """
@requirement("X", **ABOUT)
def test_one(evidence): assert speed(evidence) >= FAST

@requirement("X", **ABOUT)
def test_two(evidence): assert speed(evidence) >= FAST
"""


def test_an_id_belongs_to_one_test(inline: Inline) -> None:
    why = "requirement id X is used by test_suite.py::test_one and by test_suite.py::test_two: give one its own"
    assert refused(inline.run(TWICE), why)


def test_one_test_may_have_many_parameters(inline: Inline) -> None:
    marks = "@pytest.mark.parametrize('value', [13.0, 14.0])"
    result = inline.judge("assert speed(evidence, value) >= FAST", marks=marks, arguments="evidence, value")
    assert counts(result) == {"passed": 2}


def test_an_unknown_profile_is_refused_with_a_suggestion(inline: Inline) -> None:
    result = inline.judge(PASSES, "--profile", "dgx-sparc")
    assert refused(result, "There is no profile 'dgx-sparc'. Did you mean 'dgx-spark'?*")


@pytest.mark.parametrize("argument", ["gpu", "device"])
def test_the_catalogue_lists_all_requirements_and_runs_none(inline: Inline, tmp_path: Path, argument: str) -> None:
    marks = "@pytest.mark.parametrize('value', [13.0])"
    options = ("--gpus", "2", "--dgxcert-catalogue", str(tmp_path / "list.json"))
    result = inline.judge("raise SystemExit('it was run')", *options, marks=marks, arguments=f"{argument}, value")
    listed = catalogue.read(tmp_path / "list.json")
    assert [entry.key for entry in listed] == ["X[13.0-gpu0]", "X[13.0-gpu1]"]
    assert {any_gpu(entry.key) for entry in listed} == {"X[13.0]"}
    assert {(entry.id, entry.title, entry.remedy) for entry in listed} == {
        ("X", "Training runs", ("Look at it.", "Fix it."))
    }
    assert (result.ret, result.parseoutcomes()) == (pytest.ExitCode.OK, {"tests": 2})


def test_a_stray_test_in_the_suite_is_refused(pytester: pytest.Pytester, inline: Inline, tmp_path: Path) -> None:
    """Its outcome would be missing from the verdict."""
    pytester.makepyfile(test_stray="def test_stray(): pass")
    result = inline.judge(PASSES, "--dgxcert-catalogue", str(tmp_path / "list.json"))
    assert refused(result, "test_stray.py::test_stray carries no @requirement: *")
    assert not (tmp_path / "list.json").exists()


@pytest.mark.parametrize("argument", ["gpu", "device"])
def test_a_gpu_that_is_expected_and_missing_is_inconclusive(inline: Inline, argument: str) -> None:
    result = inline.judge(PASSES, "--profile", "generic-nvidia", arguments=f"evidence, {argument}")
    assert ended(result, "inconclusive")
    result.stdout.fnmatch_lines(["there is no GPU 0 to measure", "1. See GPU-PRESENT first."])


def test_every_present_gpu_is_measured(inline: Inline, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = tuple(Gpu(index=index, product="A100", uuid=f"GPU-{index}", compute_capability="8.0") for index in range(3))
    monkeypatch.setattr(session, "read_machine", lambda: MACHINE.model_copy(update={"gpus": gpus}))
    body = "assert request.node.callspec.id == f'gpu{device.index}'\n" + PASSES
    result = inline.judge(body, "--profile", "generic-nvidia", arguments="evidence, device, request")
    assert counts(result) == {"passed": 3}


def _gpus(*products: str) -> tuple[Gpu, ...]:
    return tuple(
        Gpu(index=index, product=product, uuid=f"GPU-{index}", compute_capability="8.0")
        for index, product in enumerate(products)
        if product
    )


@pytest.mark.parametrize(
    ("gpus", "displays", "indexes"),
    [
        (("A100", "A100", "", "A100"), ("", "", "NVIDIA DGX Display"), [0, 1, 3]),
        (("A100", "A100", ""), ("", "", "NVIDIA DGX Display"), [0, 1]),
        (("", "A100"), ("NVIDIA DGX Display",), [1]),
        ((), ("NVIDIA DGX Display",), [1]),
        (("A100", "", "A100"), (), [0, 1, 2]),
        ((), (), [0]),
    ],
    ids=["between", "last", "first", "GPU lost", "one lost", "none"],
)
def test_a_display_adapter_is_not_measured_and_the_others_keep_their_indexes(
    inline: Inline,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    gpus: tuple[str, ...],
    displays: tuple[str, ...],
    indexes: list[int],
) -> None:
    machine = MACHINE.model_copy(update={"gpus": _gpus(*gpus), "display_adapters": _gpus(*displays)})
    monkeypatch.setattr(session, "read_machine", lambda: machine)
    keys = ["X"] if indexes == [0] else [f"X[gpu{index}]" for index in indexes]
    generic = profiles.load("generic-nvidia")
    count, without = session.gpus_to_test(generic, machine), session.display_adapters(generic, machine)
    listing = tmp_path / "list.json"
    options = [f"--gpus={count}", *(f"--no-gpu={index}" for index in without), f"--dgxcert-catalogue={listing}"]
    inline.judge(PASSES, *options, arguments="evidence, device")
    assert [entry.key for entry in catalogue.read(listing)] == keys
    body = f"assert device.index in {indexes}\n{PASSES}"
    result = inline.judge(body, "--profile", "generic-nvidia", arguments="evidence, device")
    present = [index for index in indexes if index < len(gpus) and gpus[index]]
    assert counts(result).get("passed", 0) == len(present)
    assert sum(counts(result).values()) == len(indexes)


SPY = """
import json, pathlib, sys

def pytest_collection_finish(session):
    pathlib.Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the requirements collected for two GPUs, and the modules that collecting them imported."""
    folder = tmp_path_factory.mktemp("collected")
    (folder / "spy.py").write_text(SPY)
    suite = [str(ROOT / "checks"), str(ROOT / "benchmarks")]
    options = ["-p", "spy", "--collect-only", "--gpus", "2", "--dgxcert-catalogue", "list.json"]
    command.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *suite], timeout_s=60, cwd=folder)
    return folder


def test_collecting_the_whole_suite_imports_no_torch(collected: Path) -> None:
    modules = set(json.loads((collected / "modules.json").read_text()))
    assert "dgxcert.workloads.inference.generation" in modules
    assert not {"torch", "transformers", "datasets", "peft", "bitsandbytes"} & modules


@pytest.mark.parametrize("name", ["generic-nvidia", "h200"])
def test_a_profile_excludes_the_same_requirements_on_every_gpu(collected: Path, name: str) -> None:
    profile = profiles.load(name)
    planned = make(catalogue.read(collected / "list.json"), profile, Options(profile=name), gpus=2)
    of_the_machine = {each.key for each in planned if any_gpu(each.key) == each.key}
    for key in (key for key in profile.not_applicable if not key.endswith(ALL)):
        of_gpus = [f"{key[:-1]}-gpu{index}]" if key.endswith("]") else f"{key}[gpu{index}]" for index in range(2)]
        assert [each.key for each in planned if each.not_applicable and any_gpu(each.key) == key] == (
            [key] if key in of_the_machine else of_gpus
        )
    excluded = [each.key for each in planned if each.not_applicable and each.key.startswith("DECODE-SPEED[fp32-")]
    assert len(excluded) == 2 * sum(case.precision == "fp32" for case in benchmark_cases.DECODE)


def test_a_failure_with_a_long_text_fits_through_the_channel() -> None:
    """An assertion about a text of megabytes repeats it, and a refused message loses the failure."""
    said: list[journal.Event] = []
    opened = example.opened(example.planned("A"))
    brief = channel_brief.write(opened, RunState([opened]), "host", 1, ("A",)).model_copy(
        update={"reads_software": False}
    )
    speaker = SimpleNamespace(say=said.append)
    trial = SimpleNamespace(
        key="A",
        outcome=Outcome.FAILED,
        reason="ä" * 6_000_000,
        remedy=(),
        repeats=0,
        after_work=False,
        recorder=SimpleNamespace(kept=[], traces=[]),
    )
    session.Supervised(brief, Path("/nowhere"), speaker).finished(trial, SimpleNamespace())  # type: ignore[arg-type]
    (ended,) = said
    assert isinstance(ended, journal.Finished)
    assert ended.outcome is Outcome.FAILED
    assert len(ended.model_dump_json().encode()) < seal.LONGEST
    assert "more characters" in ended.reason
