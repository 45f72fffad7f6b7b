"""The pipeline of a run: host, image, work, after. Each stage runs only where the ones before it allow it."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, NamedTuple

from dgxcert.container import builder, engine, hub_token, limits
from dgxcert.files.folder import Folder
from dgxcert.files.untrusted import UnfitError
from dgxcert.judgement.requirement import Stage
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan import own_checks
from dgxcert.plan.selection import Planned
from dgxcert.record import journal
from dgxcert.record.state import RunState
from dgxcert.redaction import scrubber
from dgxcert.runner import gates
from dgxcert.runner.interrupts import Stop
from dgxcert.runner.launcher import GPU, Here, InContainer, Launcher
from dgxcert.runner.progress import Progress
from dgxcert.runner.supervisor import Supervisor

LOGS, LOG = "logs", "image.log"
HUB = "hub"
"""The group of checks that get the token of the Hub."""


class Step(NamedTuple):
    """One stage of the pipeline."""

    stage: Stage
    launcher: Callable[[], AbstractContextManager[Launcher]]
    """Opened for as long as the stage runs: where its processes are started."""
    obstacle: Callable[[], str] = lambda: ""
    """Asked when it is the stage's turn: why it cannot begin, or "" where it can."""
    own: bool = False
    """Whether it is about a lab's own checks, which are measured after the suite's of the same stage."""


class Pipeline:
    """Runs the stages of one run; what keeps a stage from beginning is recorded as its problem.

    `state` follows the record: it is updated with all that this process and the supervisor's children write.
    """

    def __init__(
        self,
        opened: journal.Opened,
        folder: Path,
        writer: journal.Writer,
        state: RunState,
        supervisor: Supervisor,
        progress: Progress,
        suite_changed: Callable[[], str] = lambda: "",
        stop: Stop | None = None,
    ) -> None:
        """`suite_changed` is asked before each stage: how the suite differs from that of the run, or "".

        `stop` counts the signals that end the run: asked before each stage, and heeded at once while an image is built.
        """
        self._stop = stop or Stop()
        self._opened = opened
        self._options = opened.options
        self._folder = folder
        self._writer = writer
        self._state = state
        self._supervisor = supervisor
        self._progress = progress
        self._suite_changed = suite_changed

    def run(self) -> None:
        """Run every stage that has something to run.

        Raises what the supervisor raises, and KeyboardInterrupt where the user ends the run.
        """
        self._run_stages(self._steps())

    def _steps(self) -> list[Step]:
        after = Step(Stage.AFTER, self._here, self._unfinished_work)
        host = [Step(Stage.HOST, self._here), Step(Stage.HOST, self._own_here, self._own_problem, own=True)]
        if self._options.runtime is Runtime.NATIVE:
            work = [Step(Stage.WORK, self._here), Step(Stage.WORK, self._own_here, self._own_problem, own=True)]
            return [*host, Step(Stage.IMAGE, self._here), *work, after]
        if not self._waiting(Stage.IMAGE, Stage.WORK):
            return [*host, after]  # nothing needs an image, so that none is built
        return [
            *host,
            Step(Stage.IMAGE, self._here, lambda: self._image_problem),
            Step(Stage.WORK, self._container, self._container_problem),
            Step(Stage.WORK, self._own_container, lambda: self._container_problem() or self._own_problem(), own=True),
            after._replace(obstacle=lambda: self._unfinished_work(self._container_problem())),
        ]

    def _run_stages(self, steps: Sequence[Step]) -> None:
        for stage, launcher, obstacle, own in steps:
            self._stop.check()
            planned = [entry for entry in self._planned(stage) if entry.own is own]
            if not planned:
                continue
            name = self._options.stage_of(planned[0]) if own else self._options.stage_name(stage)
            if problem := self._suite_changed() or obstacle():
                if any(self._state.waits(entry.key, name) for entry in planned):
                    self._record(journal.StageEnded(stage=name, problem=problem))
            else:
                with launcher() as place:
                    self._supervisor.run_stage(name, place, planned)

    def _planned(self, stage: Stage) -> list[Planned]:
        """What this stage measures; after the work also what only the work decides."""
        own = gates.planned(self._opened, stage)
        if stage is not Stage.AFTER:
            return own
        earlier = gates.planned(self._opened, Stage.HOST, Stage.IMAGE)
        return [entry for entry in earlier if self._state.decided_after_work(entry.key)] + own

    def _waiting(self, *stages: Stage) -> bool:
        """Whether a requirement of these stages is still to be measured, for the first time or again."""
        return any(
            self._state.waits(entry.key, self._options.stage_name(stage))
            for stage in stages
            for entry in self._planned(stage)
        )

    def _unstarted(self, *stages: Stage) -> bool:
        """Whether a requirement of these stages has no ending at all."""
        return any(entry.key not in self._state.endings for stage in stages for entry in self._planned(stage))

    def _record(self, event: journal.Event) -> None:
        self._writer.append(event)
        self._state.take(event)

    def _here(self) -> AbstractContextManager[Launcher]:
        return nullcontext(Here())

    def _own_here(self) -> AbstractContextManager[Launcher]:
        return nullcontext(Here(Path(self._options.checks)))

    def _own_problem(self) -> str:
        return own_checks.difference(self._options.checks, self._opened.own)

    @contextmanager
    def _own_container(self) -> Iterator[Launcher]:
        with self._container(own=True) as launcher:
            yield launcher

    @contextmanager
    def _container(self, *, own: bool = False) -> Iterator[Launcher]:
        if self._state.image is None:
            raise TypeError("the container stage begins after the image was recorded")
        service = GPU if self._opened.profile.uses_gpu else "cpu"
        token = hub_token.for_container() if self._needs_token() and not own else ""
        checks = (Path(self._options.checks), self._opened.own) if own and self._opened.own else None
        floor = limits.read(self._opened.profile.memory.floor.value)
        yield InContainer(self._state.image, service, token, floor, checks)

    def _needs_token(self) -> bool:
        """Whether anything of the work is about the Hub."""
        stage = self._options.stage_name(Stage.WORK)
        return any(entry.group == HUB and self._state.waits(entry.key, stage) for entry in self._planned(Stage.WORK))

    def _unfinished_work(self, problem: str = "") -> str:
        """Why the stage after the work cannot begin: it would check what the work left behind too early."""
        if not problem and self._unstarted(Stage.IMAGE, Stage.WORK):
            problem = "some of it was never started"
        return f"the work was not done: {problem}" if problem else ""

    def _container_problem(self) -> str:
        return self._image_problem or self._gate_problem(Stage.IMAGE)

    def _gate_problem(self, stage: Stage) -> str:
        return gates.problem(self._opened, self._state, stage)

    @functools.cached_property
    def _image_problem(self) -> str:
        """Why the run has no image. Reuses or builds it when first asked, once the host stage is over."""
        return self._gate_problem(Stage.HOST) or self._make_image()

    @contextmanager
    def _image_log(self) -> Iterator[IO[bytes]]:
        """The log of the image's build, which goes on in a resumed run. Raises UnfitError where it is no file."""
        with Folder.opened(self._folder) as run, run.folder(LOGS, make=True) as logs, logs.append(LOG) as file:
            yield file

    def _make_image(self) -> str:
        """Reuse or build the image and record it; returns why that was not possible."""
        options = self._options
        try:
            engine.compose()  # without which the image would be of no use
            with self._stop.raising(), self._image_log() as file:

                def show(line: str) -> None:
                    file.write(f"{scrubber.text(line)}\n".encode(errors="replace"))
                    self._progress.building(line)

                reference = options.image_reference
                image = builder.ensure(reference, options.stack, options.base, build=options.build, show=show)
        except (CannotStart, UnfitError) as error:
            self._progress.build_failed(str(error))
            return f"{error} ({LOGS}/{LOG})"
        before = self._state.image
        if before is None:
            self._record(journal.ImageReady(image=image))
        elif before.id != image.id:
            return f"the run was started in image {before.id[:19]}, {image.reference} is another one; start a new run"
        return ""
