"""The course of a run: the host, then the image, then the work, each only where the one before allows it."""

from collections.abc import Callable
from pathlib import Path

from dgxcert.container import builder, engine, hub_token
from dgxcert.judgement.requirement import Stage
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan.selection import Planned
from dgxcert.record import journal, state
from dgxcert.runner.launcher import Here, InContainer, Launcher
from dgxcert.runner.supervisor import Supervisor

Show = Callable[[str], None]


class Course:
    """Goes through the stages of one run; what keeps a stage from beginning is recorded as its problem."""

    def __init__(
        self, opened: journal.Opened, folder: Path, writer: journal.Writer, supervisor: Supervisor, show: Show
    ) -> None:
        self._opened = opened
        self._options = opened.options
        self._folder = folder
        self._writer = writer
        self._supervisor = supervisor
        self._show = show

    def run(self) -> None:
        """Run every stage that has something to run. Raises what the supervisor raises."""
        here = Here(self._folder)
        self._run(Stage.HOST, here)
        if problem := self._work(here) or self._left():
            self._leave_out(Stage.AFTER, f"the work was not done: {problem}")
        else:
            self._run(Stage.AFTER, here)

    def _work(self, here: Here) -> str:
        """Go through the stages between the first and the last; returns what kept the work from being done."""
        if self._options.runtime is Runtime.NATIVE:
            self._run(Stage.IMAGE, here)
            self._run(Stage.WORK, here)
            return ""
        if not (self._waiting(Stage.IMAGE) or self._waiting(Stage.WORK)):
            return ""
        problem = self._obstacle(Stage.HOST) or self._make_image()
        if problem:
            self._leave_out(Stage.IMAGE, problem)
            self._leave_out(Stage.WORK, problem)
            return problem
        self._run(Stage.IMAGE, here)
        if obstacle := self._obstacle(Stage.IMAGE):
            self._leave_out(Stage.WORK, obstacle)
            return obstacle
        with hub_token.as_file() as token:
            self._run(Stage.WORK, self._container(token))
        return ""

    def _left(self) -> str:
        """Why the work is not at its end: whoever looks at what it left behind would look too early."""
        return "some of it was never begun" if self._waiting(Stage.IMAGE) or self._waiting(Stage.WORK) else ""

    def _planned(self, stage: Stage) -> list[Planned]:
        return [entry for entry in self._opened.plan if entry.runs and entry.stage is stage]

    def _waiting(self, stage: Stage) -> bool:
        done = state.finished_keys(journal.read(self._folder))
        return any(entry.key not in done for entry in self._planned(stage))

    def _run(self, stage: Stage, launcher: Launcher) -> None:
        if planned := self._planned(stage):
            done = state.finished_keys(journal.read(self._folder))
            self._supervisor.run_stage(self._options.stage_name(stage), launcher, planned, done)

    def _leave_out(self, stage: Stage, problem: str) -> None:
        if self._waiting(stage):
            self._writer.append(journal.StageEnded(stage=self._options.stage_name(stage), problem=problem))

    def _obstacle(self, stage: Stage) -> str:
        """Why nothing later can begin: a gate of that stage that has not passed, or no GPU for a GPU's container."""
        passed = state.passed_keys(journal.read(self._folder))
        shut = [entry.key for entry in self._planned(stage) if entry.gate and entry.key not in passed]
        if shut:
            return f"it needs {' and '.join(shut)} to pass first"
        if self._opened.profile.uses_gpu and not self._opened.machine.gpus:
            return "the driver offers no GPU to a container; see GPU-PRESENT"
        return ""

    def _make_image(self) -> str:
        """Reuse or build the image and record it; returns why that could not be done."""
        log = self._folder / "logs" / "image.log"
        options = self._options
        try:
            engine.compose()  # without which the image would be of no use
            with log.open("a", encoding="utf-8") as file:

                def show(line: str) -> None:
                    file.write(f"{line}\n")
                    self._show(line)

                image = builder.ensure(
                    options.image_reference, options.stack, options.base, build=options.build, show=show
                )
        except CannotStart as error:
            self._show(str(error))
            return f"{error} (logs/{log.name})"
        before = state.image(journal.read(self._folder))
        if before is None:
            self._writer.append(journal.ImageReady(image=image))
        elif before.id != image.id:
            return f"the run was begun in image {before.id[:19]} and {image.reference} is another now; start a new run"
        return ""

    def _container(self, token: Path) -> InContainer:
        image = state.image(journal.read(self._folder))
        if image is None:
            raise TypeError("the container stage begins after the image was recorded")
        return InContainer(self._folder, image, "gpu" if self._opened.profile.uses_gpu else "cpu", token)
