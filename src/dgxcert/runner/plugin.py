"""The pytest plugin: turns tests that carry `@requirement` into requirements with five outcomes and a record.

It acts only on such tests, so it is harmless beside any other suite. Three ways in:
`pytest checks` (a developer looks), `--dgxcert-catalogue FILE` (what is there), `--dgxcert-run FOLDER` (supervised).
"""

import functools
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.requirement import Tier
from dgxcert.judgement.trial import Trial, text
from dgxcert.judgement.verdict import tally
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart, Inconclusive, Outcome
from dgxcert.plan import catalogue
from dgxcert.plan.options import Weights
from dgxcert.profiles.profile import Profile
from dgxcert.runner import session

TRIAL: pytest.StashKey[Trial] = pytest.StashKey()
SESSION: pytest.StashKey[session.Session] = pytest.StashKey()

CATEGORY = {
    Outcome.PASSED: ("passed", ".", "PASSED"),
    Outcome.FAILED: ("failed", "F", "FAILED"),
    Outcome.INCONCLUSIVE: ("inconclusive", "I", ("INCONCLUSIVE", {"yellow": True})),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options; --dgxcert-* are for the supervisor."""
    group = parser.getgroup("dgxcert", "certifying a DGX")
    group.addoption("--profile", default="auto", help="profile name or file (default: auto)")
    group.addoption("--tier", default="standard", choices=[tier.value for tier in Tier], help="how much to run")
    group.addoption("--minutes", type=float, default=1.0, help="how long the burn-in tier works (default: 1)")
    group.addoption("--weights", default="seeded", choices=[each.value for each in Weights], help="seeded or hub")
    group.addoption("--gpus", type=int, default=None, help="number of GPUs to make requirements for")
    group.addoption("--dgxcert-catalogue", metavar="FILE", help="write what was collected and run nothing")
    group.addoption("--dgxcert-run", metavar="FOLDER", help="the run folder to record into")
    group.addoption("--dgxcert-stage", default="native", help="the stage that this process works on")
    group.addoption("--dgxcert-attempt", type=int, default=1, help="which process of the stage this is")
    group.addoption(
        "--dgxcert-parent", type=int, metavar="PID", help="the supervisor, without which to stop; 0: outside"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Join the supervisor's run, if there is one."""
    if config.getoption("--dgxcert-catalogue"):
        config.option.collectonly = True
    if config.getoption("--dgxcert-run"):
        if parent := config.getoption("--dgxcert-parent"):
            session.die_with_parent(parent)
        else:
            session.die_with_supervisor(Path(config.getoption("--dgxcert-run")))
        with _session_ends_when_the_record_cannot_be_written():
            config.stash[SESSION] = session.Supervised(
                Path(config.getoption("--dgxcert-run")),
                config.getoption("--dgxcert-stage"),
                config.getoption("--dgxcert-attempt"),
            )


@pytest.hookimpl(trylast=True)  # the GPU ends a key: DECODE-SPEED[int4-gpu3], which plan.any_gpu relies on
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On a machine with several GPUs every requirement about a GPU is held against each of them."""
    if not {"gpu", "device"} & set(metafunc.fixturenames) or catalogue.declared(metafunc.function) is None:
        return
    gpus = _gpus(metafunc.config)
    if gpus > 1:
        metafunc.parametrize("gpu_index", range(gpus), ids=[f"gpu{index}" for index in range(gpus)])


def _gpus(config: pytest.Config) -> int:
    asked: int | None = config.getoption("--gpus")
    return asked if asked is not None else _session(config).gpus


def _session(config: pytest.Config) -> session.Session:
    """The session, made when it is first needed: reading a machine takes time that other suites should not pay."""
    if SESSION not in config.stash:
        try:
            asked = [config.getoption(name) for name in ("--profile", "--tier", "--minutes", "--weights")]
            config.stash[SESSION] = session.Direct(*asked)
        except CannotStart as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[SESSION]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the plan leaves out, and refuse what would make a verdict meaningless."""
    ours = [item for item in items if catalogue.declared(getattr(item, "function", None)) is not None]
    supervised = bool(config.getoption("--dgxcert-run") or config.getoption("--dgxcert-catalogue"))
    if supervised and len(ours) < len(items):
        stray = next(item.nodeid for item in items if item not in ours)
        raise pytest.UsageError(f"{stray} carries no @requirement: give it one, or move it to tests/")
    if not ours:
        return
    _refuse_false_passes(config)
    try:
        entries = catalogue.entries(ours)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    if config.getoption("--dgxcert-catalogue"):
        catalogue.write(entries, Path(config.getoption("--dgxcert-catalogue")))
        return
    for item, entry in zip(ours, entries, strict=True):
        item.stash[TRIAL] = Trial(entry.key, catalogue.declared_by(item), item.path)
        item.add_marker(pytest.mark.filterwarnings("default"))  # a library's warning is no finding about the machine
    if config.option.collectonly:
        return
    _session(config).select(entries)
    left_out = [item for item in ours if not _session(config).runs(item.stash[TRIAL].key)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _refuse_false_passes(config: pytest.Config) -> None:
    if sys.flags.optimize:
        raise pytest.UsageError(
            "python -O removes assertions, so nothing could fail: run without -O, unset PYTHONOPTIMIZE"
        )
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("pytest-xdist shares the device between tests and disables benchmarks: run without -n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Record that a requirement starts, and how it ended."""
    trial = item.stash.get(TRIAL, None)
    if trial is None:
        return (yield)
    working = _session(item.config)
    with _session_ends_when_the_record_cannot_be_written():
        working.started(trial.key)
        result = yield
        working.finished(trial, item.config)
    if trial.poisoned and item.config.getoption("--dgxcert-run"):
        item.session.shouldstop = f"{trial.key} ended in a CUDA error: the rest goes on in a fresh process"
    return result


@contextmanager
def _session_ends_when_the_record_cannot_be_written() -> Iterator[None]:
    """Measuring on without a record would lose what is measured."""
    try:
        yield
    except CannotStart as error:
        pytest.exit(str(error), returncode=session.CANNOT_RECORD)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each phase, and let the report say the outcome in our words."""
    report = yield
    trial = item.stash.get(TRIAL, None)
    if trial is None:
        return report
    before = trial.outcome
    trial.take(call.when, call.excinfo, untimed=_untimed(item))
    if call.excinfo is not None or call.when == "call" or trial.outcome is not before:
        report.outcome = "passed" if trial.outcome is Outcome.PASSED else "failed"
        report.dgxcert = trial  # type: ignore[attr-defined]  # reports carry what plugins add
        report.longrepr = None if trial.outcome is Outcome.PASSED else text(trial)
        if hasattr(report, "wasxfail"):
            del report.wasxfail
        if trial.outcome is not Outcome.PASSED and call.excinfo is not None:
            report.sections.append(("traceback", str(call.excinfo.getrepr(style="short"))))
    return report


def _untimed(item: pytest.Item) -> bool:
    arguments = getattr(item, "funcargs", {})
    return "benchmark" in arguments and getattr(arguments["benchmark"], "stats", None) is None


def pytest_report_teststatus(report: Any) -> tuple[str, str, Any] | None:
    """Count an inconclusive requirement as what it is."""
    trial = getattr(report, "dgxcert", None)
    return CATEGORY.get(trial.outcome) if trial is not None else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what is inconclusive with its reason and remedy, and one line with all five counts."""
    working = config.stash.get(SESSION, None)
    if working is None or not working.planned:
        return
    for report in terminalreporter.stats.get("inconclusive", []):
        terminalreporter.section(f"INCONCLUSIVE {report.dgxcert.key}", "_", yellow=True)
        terminalreporter.line(report.longrepr)
    terminalreporter.line(f"dgxcert, profile {working.profile.name}: {tally(working.counts())}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A session in which no requirement passed is never a success."""
    working = session.config.stash.get(SESSION, None)
    if working is None or not working.planned or exitstatus != pytest.ExitCode.OK:
        return
    if working.counts()[Outcome.PASSED.value] == 0:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Recorder:
    """Where a requirement records what it measured."""
    trial = _trial(request)
    trial.recorder.key = trial.key
    trial.recorder.say = functools.partial(_session(request.config).said, trial.key)
    return trial.recorder


def _trial(request: pytest.FixtureRequest) -> Trial:
    if TRIAL not in request.node.stash:
        raise pytest.UsageError(f"{request.node.nodeid} uses a fixture of dgxcert but carries no @requirement")
    trial: Trial = request.node.stash[TRIAL]
    return trial


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> Profile:
    """The profile of this run."""
    return _session(request.config).profile


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The machine under test, as it was read when the run began."""
    return _session(request.config).machine


@pytest.fixture
def image(request: pytest.FixtureRequest) -> Image:
    """The image that this run works in. Inconclusive where there is none: the work is done without a container."""
    found = _session(request.config).image
    if found is None:
        raise Inconclusive("this run works in no container image", "Run it in the container: make validate")
    return found


@pytest.fixture(scope="session")
def minutes(request: pytest.FixtureRequest) -> float:
    """How long a requirement of the burn-in tier works."""
    return _session(request.config).options.minutes


@pytest.fixture(scope="session")
def keeps(request: pytest.FixtureRequest) -> Path:
    """The folder where a requirement may keep files; of a run that goes on, with what it kept before."""
    folder = _session(request.config).keeps
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def gpu_index() -> int:
    """Which GPU a requirement is about; made one per GPU on machines with several."""
    return 0


@pytest.fixture
def gpu(request: pytest.FixtureRequest, gpu_index: int) -> Device:
    """The GPU that a requirement is about. Inconclusive where there is none: GPU-PRESENT is what fails then."""
    found = {gpu.index: gpu for gpu in _session(request.config).machine.gpus}
    if gpu_index not in found:
        raise Inconclusive(f"there is no GPU {gpu_index} to measure", "See GPU-PRESENT first.")
    profile = _session(request.config).profile
    product, unified = found[gpu_index].product, profile.gpu.unified_memory
    return Device("cuda", gpu_index, product, unified_memory=unified, margin_gib=profile.memory.margin.value)


@pytest.fixture
def device(request: pytest.FixtureRequest, profile: Profile, gpu_index: int) -> Iterator[Device]:  # noqa: ARG001 (see below)
    """The device that work runs on: the GPU, or the CPU where the profile looks at no GPU.

    It names `gpu_index` so that pytest makes one requirement per GPU; `gpu` itself must not be asked for on a CPU.
    """
    if profile.uses_gpu:
        found: Device = request.getfixturevalue("gpu")
    else:
        product = _session(request.config).machine.cpu or "CPU"
        found = Device("cpu", 0, product, margin_gib=profile.memory.margin.value)
    yield found
    found.release()
