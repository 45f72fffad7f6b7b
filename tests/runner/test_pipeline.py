"""The pipeline: a stage runs only where the stages before it allow it; what is missing is recorded as its problem."""

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from suites import example

from dgxcert.container import builder, engine
from dgxcert.judgement.requirement import Stage
from dgxcert.machine.identity import Gpu
from dgxcert.machine.image import Image
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.estimate import Estimate
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.state import RunState
from dgxcert.runner import pipeline
from dgxcert.runner.launcher import Here
from dgxcert.runner.pipeline import Pipeline
from dgxcert.runner.progress import Progress

IMAGE = example.image_ready().image
GB10 = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-0", compute_capability="12.1")

REACHABLE = example.planned("DOCKER-REACHABLE", stage=Stage.HOST, gate=True)
ROOM = example.planned("DISK-SPACE", stage=Stage.HOST, gate=True)
CLOCK = example.planned("CLOCK-SYNCHRONISED", stage=Stage.HOST)
ARCHITECTURE = example.planned("IMAGE-ARCHITECTURE", stage=Stage.IMAGE, gate=True)
COMPUTES = example.planned("CONTAINER-COMPUTES", stage=Stage.IMAGE)
DECODE = example.planned("DECODE-SPEED[int4]")
AFTERMATH = example.planned("GPU-XID-AFTER", stage=Stage.AFTER)
PLAN = (REACHABLE, ROOM, CLOCK, ARCHITECTURE, COMPUTES, DECODE)


class World:
    """One run in which everything passes except the outcomes in `ends`; None means that a requirement never starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "logs").mkdir(parents=True)
        self.ends: dict[str, Outcome | None] = {}
        self.image: Image | CannotStart = IMAGE
        self.screen = Console(file=io.StringIO())
        self.asked: list[tuple[tuple[str, str, str], bool]] = []
        self.stages: list[tuple[str, object]] = []
        self.measured: list[str] = []
        self.token = ""
        self.limits: dict[str, str] = {}
        self.state = RunState()
        self._writer: journal.Writer | None = None

    @property
    def writer(self) -> journal.Writer:
        """A writer of the record, as the run in progress has it."""
        if self._writer is None:
            self._writer = journal.Writer(self.folder)
        return self._writer

    def run_stage(self, stage: str, launcher: object, plan: list[Planned]) -> None:
        """Replaces the supervisor."""
        self.stages.append((stage, launcher))
        for entry in plan:
            outcome = self.ends.get(entry.key, Outcome.PASSED)
            if entry.key not in self.state.finished and outcome is not None:
                self.measured.append(entry.key)
                self.writer.append(ending := example.finished(entry.key, outcome))
                self.state.take(ending)

    def ensure(self, reference: str, stack: str, base: str, *, build: bool, show: Callable[[str], None]) -> Image:
        """Replaces the builder."""
        self.asked.append(((reference, stack, base), build))
        show("Step 1 : FROM base")
        if isinstance(self.image, CannotStart):
            raise self.image
        return self.image

    def go(
        self,
        *plan: Planned,
        runtime: Runtime = Runtime.DOCKER,
        suite_changed: Callable[[], str] = lambda: "",
        **about: Any,
    ) -> None:
        """Start or resume the run."""
        options = Options(profile="any-suite", runtime=runtime, stack="course", base="base:1", build=True)
        opened = example.opened(*(plan or PLAN), **({"options": options} | about))
        if not (self.folder / journal.NAME).exists():
            self.writer.append(opened)
        supervisor: Any = self
        self.state = RunState(journal.read(self.folder))
        progress = Progress(self.screen, opened.plan, Estimate(opened.plan, {}))
        Pipeline(opened, self.folder, self.writer, self.state, supervisor, progress, suite_changed).run()

    @property
    def shown(self) -> list[str]:
        """The lines that were printed."""
        assert isinstance(self.screen.file, io.StringIO)
        return self.screen.file.getvalue().splitlines()

    @property
    def problems(self) -> dict[str, str]:
        """The recorded problems of stages that could not start."""
        ended = (event for event in journal.read(self.folder) if isinstance(event, journal.StageEnded))
        return {event.stage: event.problem for event in ended}

    @property
    def images(self) -> list[str]:
        """The ids of the recorded images."""
        return [event.image.id for event in journal.read(self.folder) if isinstance(event, journal.ImageReady)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A world in which nothing is built, started or measured, but everything is recorded."""
    made = World(tmp_path / "run")
    monkeypatch.setattr(builder, "ensure", made.ensure)

    def in_container(
        image: Image, service: str, token: str, limits: dict[str, str], own: object = None
    ) -> tuple[object, ...]:
        made.token, made.limits = token, limits
        return "container", image.id, service

    monkeypatch.setattr(pipeline, "InContainer", in_container)
    monkeypatch.setattr(engine, "compose", lambda: ("docker", "compose"))
    for name in ("HF_TOKEN_FILE", "HF_TOKEN_PATH", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_lent")
    yield made
    made.writer.close()


def test_a_run_has_the_stages_host_image_and_container(world: World) -> None:
    world.go()
    assert world.measured == [entry.key for entry in PLAN]
    assert [stage for stage, _ in world.stages] == ["host", "image", "container"]
    host, image, work = (launcher for _, launcher in world.stages)
    assert isinstance(host, Here)
    assert isinstance(image, Here)
    assert work == ("container", "sha256:77", "cpu")
    assert "DGXCERT_MEMORY" in world.limits
    assert world.problems == {}


def test_the_image_is_ensured_as_the_options_say_and_recorded_before_it_is_used(world: World) -> None:
    options = Options(
        profile="any-suite", runtime=Runtime.DOCKER, stack="current", image="mine:1", base="base:2", build=False
    )
    world.go(options=options)
    assert world.asked == [(("mine:1", "current", "base:2"), False)]
    events = journal.read(world.folder)
    keys = [getattr(event, "key", event.event) for event in events]  # type: ignore[attr-defined]
    assert keys.index("CLOCK-SYNCHRONISED") < keys.index("image") < keys.index("IMAGE-ARCHITECTURE")
    assert RunState(events).image == IMAGE


def test_what_the_build_prints_is_shown_and_kept(world: World) -> None:
    world.go()
    assert world.shown == ["Step 1 : FROM base"]
    assert (world.folder / "logs" / "image.log").read_text(encoding="utf-8") == "Step 1 : FROM base\n"


def test_only_checks_of_the_hub_get_the_token(world: World) -> None:
    world.go()
    assert world.token == ""
    world.go(*PLAN, example.planned("HUB-DOWNLOAD").model_copy(update={"group": pipeline.HUB}))
    assert world.token == "hf_lent"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE, None])
@pytest.mark.parametrize("gate", [REACHABLE, ROOM])
def test_a_host_gate_that_has_not_passed_blocks_all_later_stages(
    world: World, gate: Planned, outcome: Outcome | None
) -> None:
    world.ends = {gate.key: outcome}
    world.go()
    assert [stage for stage, _ in world.stages] == ["host"]
    assert world.asked == []
    assert world.problems == dict.fromkeys(("image", "container"), f"it needs {gate.key} to pass first")


@pytest.mark.parametrize("gate", [ROOM, ARCHITECTURE])
def test_a_gate_that_failed_and_is_waived_blocks_nothing_and_is_named(world: World, gate: Planned) -> None:
    world.ends = {gate.key: Outcome.FAILED}
    world.go(waivers=(waived(gate.id),))
    assert world.stages[-1][0] == "container"
    assert DECODE.key in world.measured
    assert world.problems == {}
    named = [note for note in runs.assemble(journal.read(world.folder), "a").notes if gate.key in note]
    assert named == [
        f"gate {gate.key} failed and is waived, so that what needs it began anyway: "
        f"{gate.id}: models are on the NFS share (Ada Lovelace, until 2027-01-31)"
    ]


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, None])
def test_a_waiver_opens_no_gate_that_was_not_measured(world: World, outcome: Outcome | None) -> None:
    world.ends = {ROOM.key: outcome}
    world.go(waivers=(waived(ROOM.id),))
    assert world.problems["container"] == "it needs DISK-SPACE to pass first"


def test_a_waiver_of_another_requirement_opens_no_gate(world: World) -> None:
    world.ends = {ROOM.key: Outcome.FAILED}
    world.go(waivers=(waived(DECODE.id),))
    assert world.problems["container"] == "it needs DISK-SPACE to pass first"


def waived(requirement: str) -> Waiver:
    about = {"reason": "models are on the NFS share", "who": "Ada Lovelace", "until": date(2027, 1, 31)}
    return Waiver(requirement=requirement, machine="spark-07", **about)


def test_a_suite_that_was_changed_while_it_ran_measures_nothing_more(world: World) -> None:
    answers = iter(["", "", "the suite was changed while it ran", "the suite was changed while it ran"])
    world.go(*PLAN, AFTERMATH, suite_changed=lambda: next(answers))
    assert [stage for stage, _ in world.stages] == ["host", "image"]
    assert world.problems == dict.fromkeys(("container", "after"), "the suite was changed while it ran")


def test_all_gates_that_have_not_passed_are_named(world: World) -> None:
    world.ends = {REACHABLE.key: Outcome.INCONCLUSIVE, ROOM.key: Outcome.FAILED}
    world.go()
    assert world.problems["container"] == "it needs DOCKER-REACHABLE and DISK-SPACE to pass first"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE, None])
def test_an_image_gate_that_has_not_passed_blocks_the_work(world: World, outcome: Outcome | None) -> None:
    world.ends = {ARCHITECTURE.key: outcome}
    world.go()
    assert [stage for stage, _ in world.stages] == ["host", "image"]
    assert world.problems == {"container": "it needs IMAGE-ARCHITECTURE to pass first"}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE, None])
@pytest.mark.parametrize("entry", [CLOCK, COMPUTES])
def test_a_requirement_that_is_no_gate_blocks_nothing(world: World, entry: Planned, outcome: Outcome | None) -> None:
    world.ends = {entry.key: outcome}
    world.go()
    assert DECODE.key in world.measured
    assert world.problems == {}


@pytest.mark.parametrize("reason", [{"not_run": "deselected by --only"}, {"not_applicable": "no engine"}])
def test_a_deselected_gate_blocks_nothing(world: World, reason: dict[str, str]) -> None:
    left_out = (entry.model_copy(update=reason) for entry in (REACHABLE, ROOM, ARCHITECTURE))
    world.go(*left_out, DECODE)
    assert world.measured == [DECODE.key]
    assert [stage for stage, _ in world.stages] == ["container"]
    assert world.images == ["sha256:77"]


def test_a_run_of_the_host_stage_alone_builds_no_image(world: World) -> None:
    rest = [entry.model_copy(update={"not_run": "deselected by --only"}) for entry in (ARCHITECTURE, COMPUTES, DECODE)]
    world.go(REACHABLE, *rest)
    assert world.measured == [REACHABLE.key]
    assert world.asked == []
    assert world.images == []
    assert world.problems == {}


def test_a_failed_run_of_the_host_stage_alone_records_no_problem_of_other_stages(world: World) -> None:
    world.ends = {REACHABLE.key: Outcome.FAILED}
    world.go(REACHABLE, DECODE.model_copy(update={"not_run": "deselected by --only"}))
    assert world.problems == {}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE, None])
def test_without_a_container_no_gate_is_needed_and_no_image(world: World, outcome: Outcome | None) -> None:
    world.ends = {ROOM.key: outcome, ARCHITECTURE.key: outcome}
    world.go(runtime=Runtime.NATIVE)
    assert [stage for stage, _ in world.stages] == ["host", "image", "native"]
    assert all(isinstance(launcher, Here) for _, launcher in world.stages)
    assert DECODE.key in world.measured
    assert (world.asked, world.images, world.problems) == ([], [], {})


def test_an_image_that_cannot_be_built_is_the_problem_of_both_stages(world: World) -> None:
    world.image = CannotStart("Image dgxcert:course could not be built: no such host.", "Set HTTPS_PROXY.")
    world.go()
    assert [stage for stage, _ in world.stages] == ["host"]
    said = "Image dgxcert:course could not be built: no such host. Set HTTPS_PROXY."
    assert world.problems == dict.fromkeys(("image", "container"), f"{said} (logs/image.log)")
    assert world.shown[-1] == said
    assert world.images == []


def test_without_compose_no_image_is_built_and_the_run_reports_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise CannotStart("Wanted `docker compose`, found none.", "Install it.")

    monkeypatch.setattr(engine, "compose", missing)
    world.go()
    assert world.asked == []
    assert "Wanted `docker compose`, found none. Install it." in world.problems["container"]


def test_a_stage_with_nothing_left_to_measure_has_no_problem(world: World) -> None:
    world.image = CannotStart("No image.", "Build it.")
    world.go(REACHABLE, DECODE)
    assert set(world.problems) == {"container"}


def test_without_a_gpu_no_container_for_gpus_is_started(world: World) -> None:
    world.go(profile=profiles.load("dgx-spark"))
    assert [stage for stage, _ in world.stages] == ["host"]
    assert world.asked == []
    assert all("no GPU to a container; see GPU-PRESENT" in problem for problem in world.problems.values())
    assert len(world.problems) == 2


def test_a_gate_is_named_before_the_missing_gpu(world: World) -> None:
    world.ends = {ROOM.key: Outcome.FAILED}
    world.go(profile=profiles.load("dgx-spark"))
    assert world.problems["container"] == "it needs DISK-SPACE to pass first"


def test_with_a_gpu_the_work_is_done_in_the_service_that_has_it(world: World) -> None:
    machine = example.MACHINE.model_copy(update={"gpus": (GB10,)})
    world.go(profile=profiles.load("dgx-spark"), machine=machine)
    assert world.stages[-1] == ("container", ("container", "sha256:77", "gpu"))


def test_a_resumed_run_measures_what_is_left_in_the_image_that_it_started_in(world: World) -> None:
    world.ends = {DECODE.key: None}
    world.go()
    world.ends, world.measured = {}, []
    world.go()
    assert world.measured == [DECODE.key]
    assert world.images == ["sha256:77"], "recorded once"
    assert world.problems == {}


def test_a_run_does_not_resume_in_another_image(world: World) -> None:
    world.ends = {DECODE.key: None}
    world.go()
    world.image = IMAGE.model_copy(update={"id": "sha256:88"})
    world.ends = {}
    world.go()
    assert DECODE.key not in world.measured
    assert world.images == ["sha256:77"]
    said = "the run was started in image sha256:77, dgxcert:course is another one; start a new run"
    assert world.problems == {"container": said}


def test_a_run_with_nothing_left_to_measure_builds_nothing(world: World) -> None:
    world.go()
    world.asked.clear()
    world.go()
    assert world.asked == []
    assert sorted(world.measured) == sorted(entry.key for entry in PLAN)


def test_a_gate_that_has_failed_stays_closed_when_the_run_is_resumed(world: World) -> None:
    """The first outcome counts: after a repair of the machine, start a new run."""
    world.ends = {ROOM.key: Outcome.FAILED}
    world.go()
    world.ends = {}
    world.writer.append(example.finished(ROOM.key, Outcome.PASSED))
    world.go()
    assert world.asked == []
    assert world.problems["container"] == "it needs DISK-SPACE to pass first"


def test_a_run_that_is_ended_while_its_image_is_built_has_recorded_no_image(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Image:
        raise KeyboardInterrupt

    monkeypatch.setattr(builder, "ensure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.go()
    assert (world.images, world.problems) == ([], {})
    monkeypatch.setattr(builder, "ensure", world.ensure)
    world.go()
    assert world.images == ["sha256:77"]
    assert sorted(world.measured) == sorted(entry.key for entry in PLAN)


def test_the_stage_after_the_work_runs_on_the_machine_once_the_work_is_done(world: World) -> None:
    world.go(*PLAN, AFTERMATH)
    stage, launcher = world.stages[-1]
    assert (stage, world.measured[-1]) == ("after", "GPU-XID-AFTER")
    assert isinstance(launcher, Here)


def test_without_work_the_stage_after_it_does_not_run(world: World) -> None:
    world.ends["DISK-SPACE"] = Outcome.FAILED
    world.go(*PLAN, AFTERMATH)
    assert "GPU-XID-AFTER" not in world.measured
    ended = [event for event in journal.read(world.folder) if isinstance(event, journal.StageEnded)]
    assert ended[-1].stage == "after"
    assert ended[-1].problem.startswith("the work was not done: it needs DISK-SPACE to pass first")


@pytest.mark.parametrize("runtime", [Runtime.NATIVE, Runtime.DOCKER])
def test_the_stage_after_the_work_waits_until_all_work_is_done(world: World, runtime: Runtime) -> None:
    plan = (DECODE, AFTERMATH)
    world.ends = {DECODE.key: None}
    world.go(*plan, runtime=runtime)
    assert world.measured == []
    assert world.problems["after"] == "the work was not done: some of it was never started"
    world.ends = {}
    world.go(*plan, runtime=runtime)
    assert world.measured == [DECODE.key, AFTERMATH.key]


def test_the_stage_after_the_work_alone_needs_no_image(world: World) -> None:
    world.go(AFTERMATH)
    assert world.measured == ["GPU-XID-AFTER"]
    assert not world.asked
