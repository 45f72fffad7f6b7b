"""The pytest plugin: turns tests that carry `@requirement` into requirements with five outcomes and a record.

It acts only on such tests, so that it changes no other suite. It is used in three ways: `pytest checks` (by hand),
`--dgxcert-catalogue FILE` (list the requirements), `--dgxcert-inside FOLDER` (supervised by `dgxcert validate`).
"""

import functools
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dgxcert import command
from dgxcert.files.folder import PRIVATE_FOLDER
from dgxcert.judgement.computation import Computation
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.requirement import Tier
from dgxcert.judgement.trial import Trial, text
from dgxcert.judgement.verdict import tally
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart, Inconclusive, Outcome
from dgxcert.plan import catalogue, suite
from dgxcert.plan.options import Weights
from dgxcert.profiles.profile import Profile
from dgxcert.runner import session
from dgxcert.runner.channel import speaker
from dgxcert.runner.channel.brief import Brief

TRIAL: pytest.StashKey[Trial] = pytest.StashKey()
SESSION: pytest.StashKey[session.Session] = pytest.StashKey()
CHANNEL: pytest.StashKey[tuple[Callable[[], speaker.Speaker], dict[str, Any]]] = pytest.StashKey()
"""Only until the session has it."""

CPU_RANKS = 2
"""Processes that stand for the GPUs of a machine, in a profile without one."""

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
    group.addoption("--weights", default="seeded", choices=[weights.value for weights in Weights], help="seeded or hub")
    group.addoption("--gpus", type=int, default=None, help="number of GPUs to collect requirements for")
    group.addoption("--no-gpu", type=int, default=[], action="append", help="index of a display adapter among them")
    group.addoption("--dgxcert-own", action="store_true", help="what is named are a lab's own checks")
    group.addoption("--dgxcert-catalogue", metavar="FILE", help="write what was collected and run nothing")
    group.addoption("--dgxcert-inside", metavar="FOLDER", help="the folder for files, of a run that is supervised")
    group.addoption(
        "--dgxcert-parent", type=int, metavar="PID", help="the supervisor, to end with; 0: outside the container"
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest captures standard input and output
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Take over the channel to the supervisor, if there is one."""
    if early_config.known_args_namespace.dgxcert_inside:
        try:
            early_config.stash[CHANNEL] = speaker.take_over()
        except ValueError as error:
            raise pytest.UsageError("no supervisor has said on standard input what to do: see --help") from error
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Join the supervisor's run, if there is one."""
    if config.getoption("--dgxcert-catalogue"):
        config.option.collectonly = True
    if inside := config.getoption("--dgxcert-inside"):
        if parent := config.getoption("--dgxcert-parent"):
            command.die_with_parent(parent)
        speak, handed = config.stash[CHANNEL]
        del config.stash[CHANNEL]
        brief = Brief.model_validate(handed["brief"])
        if not parent:
            _require_same_suite(brief)
        config.stash[SESSION] = session.Supervised(brief, Path(inside), speak())


def _require_same_suite(brief: Brief) -> None:
    """Refuse to measure with the checks of an image that are not those of the run."""
    installed = suite.identity(suite.root()).package_sha256
    if installed != brief.package_sha256:
        raise pytest.UsageError(
            f"this image holds another suite ({installed[:12]}) than the one that the run began with "
            f"({brief.package_sha256[:12]}). Rebuild the image: make image"
        )


@pytest.hookimpl(trylast=True)  # last, so that the GPU ends the key as selection.any_gpu expects: [int4-gpu3]
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On a machine with several GPUs, make one requirement per GPU of each test that uses a GPU."""
    if not {"gpu", "device"} & set(metafunc.fixturenames) or catalogue.declared(metafunc.function) is None:
        return
    gpus = _gpus(metafunc.config)
    if gpus != [0]:
        metafunc.parametrize("gpu_index", gpus, ids=[f"gpu{index}" for index in gpus])


def _gpus(config: pytest.Config) -> list[int]:
    number: int | None = config.getoption("--gpus")
    if number is None:
        return _session(config).gpus
    return [index for index in range(number) if index not in config.getoption("--no-gpu")]


def _session(config: pytest.Config) -> session.Session:
    """The session, made when it is first needed: reading the machine takes seconds that other suites should not pay."""
    if SESSION not in config.stash:
        try:
            options = [config.getoption(name) for name in ("--profile", "--tier", "--minutes", "--weights")]
            config.stash[SESSION] = session.Direct(*options)
        except CannotStart as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[SESSION]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what the plan does not run, and refuse what would make a verdict meaningless."""
    ours = [item for item in items if catalogue.declared(getattr(item, "function", None)) is not None]
    supervised = bool(config.getoption("--dgxcert-inside") or config.getoption("--dgxcert-catalogue"))
    if supervised and len(ours) < len(items):
        stray = next(item.nodeid for item in items if item not in ours)
        raise pytest.UsageError(f"{stray} carries no @requirement: give it one, or move it to tests/")
    if not ours:
        return
    _refuse_false_passes(config)
    try:
        entries = catalogue.entries(ours, own=config.getoption("--dgxcert-own"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    if config.getoption("--dgxcert-catalogue"):
        catalogue.write(entries, Path(config.getoption("--dgxcert-catalogue")))
        return
    for item, entry in zip(ours, entries, strict=True):
        item.stash[TRIAL] = Trial(entry.key, catalogue.declared_by(item), item.path)
        item.add_marker(pytest.mark.filterwarnings("default"))  # a library's warning says nothing about the machine
    if config.option.collectonly:
        return
    _session(config).select(entries)
    deselected = [item for item in ours if not _session(config).runs(item.stash[TRIAL].key)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


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
    working.started(trial.key)
    result = yield
    working.finished(trial, item.config)
    if trial.poisoned and item.config.getoption("--dgxcert-inside"):
        # A CUDA error is sticky: every later call of this process returns it too.
        item.session.shouldstop = f"{trial.key} ended in a CUDA error: the rest continues in a fresh process"
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each phase, and put the outcome and the remedy into pytest's report."""
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
            # From the check on: pytest's own frames say nothing, and their source takes a tenth of a second to parse.
            in_check = call.excinfo.getrepr(style="short", tbfilter=lambda raised: raised.traceback.cut(path=item.path))
            report.sections.append(("traceback", str(in_check)))
    return report


def _untimed(item: pytest.Item) -> bool:
    arguments = getattr(item, "funcargs", {})
    return "benchmark" in arguments and getattr(arguments["benchmark"], "stats", None) is None


def pytest_report_teststatus(report: Any) -> tuple[str, str, Any] | None:
    """Count inconclusive requirements as such, and not as failures."""
    trial = getattr(report, "dgxcert", None)
    return CATEGORY.get(trial.outcome) if trial is not None else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print each inconclusive requirement with its reason and remedy, then one line with all five counts."""
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
    """The recorder of what a requirement measures (`judgement.evidence.Recorder`).

    def test_gpu_is_idle(gpu, profile, evidence):
        free = evidence.record("free memory", 0.97, unit="of available", source="NVML")
        assert free >= profile.limit("memory.free")
    """
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
    """The profile of this run: `profile.limit("clock.under_load")`, `profile.workload("decode")`."""
    return _session(request.config).profile


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The machine under test, as it was read when the run started: `machine.driver`, `machine.gpus[0].product`."""
    return _session(request.config).machine


@pytest.fixture
def image(request: pytest.FixtureRequest) -> Image:
    """The container image that this run works in: `image.reference`, `image.size_bytes`.

    Inconclusive where the work is done without a container.
    """
    session_image = _session(request.config).image
    if session_image is None:
        raise Inconclusive("this run uses no container image", "Run it in the container: make validate")
    return session_image


@pytest.fixture(scope="session")
def minutes(request: pytest.FixtureRequest) -> float:
    """How long a requirement of the burn-in tier works, from --minutes: `loop.run(device, profile, minutes, ...)`."""
    return _session(request.config).options.minutes


@pytest.fixture(scope="session")
def keeps(request: pytest.FixtureRequest) -> Path:
    """A folder in which requirements may keep files: `(keeps / "burn-in.jsonl").open("a")`.

    In a resumed run it holds what was kept before.
    """
    folder = _session(request.config).keeps
    folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
    return folder


@pytest.fixture
def computation(request: pytest.FixtureRequest) -> Computation:
    """What this run has computed before this process started: `computation.passed_all("MATMUL-CORRECT")`."""
    return _session(request.config).computation


@pytest.fixture
def gpu_index() -> int:
    """The index of the GPU that a requirement is about; parametrized on machines with several GPUs."""
    return 0


@pytest.fixture
def gpu(request: pytest.FixtureRequest, gpu_index: int) -> Device:
    """The GPU that a requirement is about: `gpu.index`, `gpu.name`.

    Inconclusive where there is none: then it is GPU-PRESENT that fails.
    """
    return _gpu(_session(request.config), gpu_index)


def _gpu(working: session.Session, index: int) -> Device:
    gpus = {gpu.index: gpu for gpu in working.machine.gpus}
    if index not in gpus:
        raise Inconclusive(f"there is no GPU {index} to measure", "See GPU-PRESENT first.")
    profile = working.profile
    margin, lanes = profile.memory.margin.value, working.share.lanes
    return Device("cuda", index, gpus[index].product, profile.gpu.memory, margin, lanes)


@pytest.fixture
def any_device(request: pytest.FixtureRequest, profile: Profile) -> Iterator[Device]:
    """One device, for what a machine has once, as a disk: its first GPU, or the CPU.

        weight_file.prepare(any_device, profile, "mmap")

    So it is measured once and not for each GPU. Its memory is released when the requirement ends.
    """
    working = _session(request.config)
    chosen = _gpu(working, working.gpus[0]) if profile.uses_gpu else _cpu(working)
    yield chosen
    chosen.release()


def _cpu(working: session.Session) -> Device:
    return Device("cpu", 0, working.machine.cpu or "CPU", margin_gib=working.profile.memory.margin.value)


@pytest.fixture
def gpus(request: pytest.FixtureRequest) -> tuple[Device, ...]:
    """All GPUs of the machine, in the order of NVML, for what they do together: `[gpu.index for gpu in gpus]`.

    Inconclusive where one that the profile expects is not there: then it is GPU-PRESENT that fails.
    """
    working = _session(request.config)
    return tuple(_gpu(working, index) for index in working.gpus)


@pytest.fixture
def devices(request: pytest.FixtureRequest, profile: Profile) -> tuple[Device, ...]:
    """The devices that work together, one rank each: all GPUs, or with a profile without a GPU the CPU twice.

        launch.run("distributed.collectives", devices, settings, limit_s=60)

    So the same code is proved where there is no GPU: two processes that share the processors.
    """
    if profile.uses_gpu:
        found: tuple[Device, ...] = request.getfixturevalue("gpus")
        return found
    product = _session(request.config).machine.cpu or "CPU"
    return tuple(Device("cpu", index, product, margin_gib=profile.memory.margin.value) for index in range(CPU_RANKS))


@pytest.fixture
def device(
    request: pytest.FixtureRequest,
    profile: Profile,
    gpu_index: int,  # noqa: ARG001 (named so that pytest makes one requirement per GPU)
) -> Iterator[Device]:
    """The device that work runs on: the GPU, or the CPU with a profile that expects no GPU.

        torch.ones(4, device=device.name)

    Its memory is released when the requirement ends.
    """
    if profile.uses_gpu:
        chosen: Device = request.getfixturevalue("gpu")  # on a CPU the gpu fixture would be inconclusive
    else:
        chosen = _cpu(_session(request.config))
    if _session(request.config).share.lanes > 1:
        chosen.make_current()
    yield chosen
    chosen.release()
