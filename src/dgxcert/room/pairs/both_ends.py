"""Both ends: a job is begun on each host, looked at until both have ended, and its answers are fetched.

An end that cannot be reached is asked again for a while, and then given up by name; the other one is waited for within
its own time limit, so that nothing here takes for ever.
"""

import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dgxcert.console import on_one_line
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.record.room.pair_answer import AT_MOST
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.ansible.playbook import play_of
from dgxcert.room.conduct import answer as answers
from dgxcert.room.conduct.answer import Answer
from dgxcert.room.delivery import variables as plays
from dgxcert.room.pairs.jobs import ANSWER, Job

EVERY_S = 3.0
GIVE_UP_S = 60.0
"""After which an end that cannot be reached is given up."""
MARGIN_S = 60.0
"""Beyond a job's time limit, which its agent keeps: for the last look."""
GRACE_S = 20
"""How long an end may take to end after Ctrl-C: it writes an answer, and removes its container."""
MOST_FILES = 100
SHOWN = 300

Explain = Callable[[HostEvent], tuple[Any, str, tuple[str, ...]]]


class Controller(Protocol):
    """What drives the hosts: `room.ansible.playbook.Controller`."""

    def play(
        self,
        play: Path,
        *,
        limit: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        on_event: Callable[[HostEvent], None],
    ) -> int:
        """Play for these hosts; returns Ansible's exit code."""

    def end(self) -> None:
        """End all plays that are under way."""


@dataclass
class _Heard:
    """What a play has said of one host."""

    answer: Answer | None = None
    problem: str = ""
    well: bool = False


@dataclass
class Ended:
    """How the job of one end ended: with its answer fetched to a path, or why not."""

    path: Path | None = None
    silent: str = ""


@dataclass
class BothEnds:
    """The hosts of one test, driven by a controller."""

    controller: Controller
    explain: Explain
    on_event: Callable[[HostEvent], None]
    folder: Path
    """Where answers are fetched to."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set where somebody stops the test: what was begun is then stopped on the hosts."""
    every_s: float = EVERY_S
    give_up_s: float = GIVE_UP_S

    def run(self, jobs: Sequence[Job]) -> dict[str, Ended]:
        """Run a job on each host; returns by host's name how it ended. Raises KeyboardInterrupt where it is stopped."""
        by_name = {job.host.name: job for job in jobs}
        ended = self._begin(by_name)
        ended |= self._look({name: job for name, job in by_name.items() if name not in ended})
        if self.stopped.is_set():
            self._play("stop", by_name)
            self._clean(by_name)
            raise KeyboardInterrupt
        finished = {name: job for name, job in by_name.items() if not ended[name].silent}
        ended |= self._fetch(finished)
        self._clean(finished)
        return ended

    def _begin(self, jobs: Mapping[str, Job]) -> dict[str, Ended]:
        """Begin on all; returns those where it did not begin."""
        heard = self._play("begin", jobs)
        return {name: Ended(silent=_silence(each)) for name, each in heard.items() if each.answer is None}

    def _look(self, jobs: Mapping[str, Job]) -> dict[str, Ended]:
        """Look until all have ended, are given up, or have exceeded their time."""
        began_s = time.monotonic()
        last_s, ended = dict.fromkeys(jobs, began_s), dict[str, Ended]()
        while waiting := {name: job for name, job in jobs.items() if name not in ended}:
            if self.stopped.wait(self.every_s):
                break
            for name, each in self._play("look", waiting).items():
                now_s = time.monotonic()
                if each.answer is not None:
                    last_s[name] = now_s
                    if each.answer.state != "works":
                        ended[name] = Ended()
                    elif now_s - began_s > jobs[name].limit_s + MARGIN_S:
                        ended[name] = Ended(silent=f"it did not end within {now_s - began_s:.0f} s")
                elif now_s - last_s[name] > self.give_up_s:
                    ended[name] = Ended(
                        silent=f"it cannot be reached since {now_s - last_s[name]:.0f} s: {each.problem}"
                    )
        return ended

    def _fetch(self, jobs: Mapping[str, Job]) -> dict[str, Ended]:
        """Fetch the answers of what has ended."""
        self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        archives = {name: self.folder / f".{job.name}-{name}.tgz" for name, job in jobs.items()}
        heard = self._play("pack", jobs)
        packed = {name: job for name, job in jobs.items() if heard[name].well}
        paths = {name: str(archives[name].resolve()) for name in packed}
        heard |= self._play("fetch", packed, archives=paths)
        return {name: self._unpacked(job, heard[name], archives[name]) for name, job in jobs.items()}

    def _unpacked(self, job: Job, heard: _Heard, archive: Path) -> Ended:
        """The answer that an end has packed, beside its archive, which is removed."""
        if not heard.well:
            return Ended(silent=f"its answer could not be fetched: {heard.problem}")
        path = self.folder / f"{job.name}-{job.host.name}.json"
        try:
            files = _members(archive)
            if f"results/{ANSWER}" not in files:
                return Ended(silent=f"it left no answer: {_last_line(files.get('log', b''))}")
            path.write_bytes(files[f"results/{ANSWER}"])
        except OSError as error:
            raise CannotWrite(path, error) from error
        except (tarfile.TarError, EOFError, zlib.error) as error:
            return Ended(silent=f"what it packed cannot be unpacked: {error}")
        finally:
            archive.unlink(missing_ok=True)
        return Ended(path=path)

    def _clean(self, jobs: Mapping[str, Job]) -> None:
        """Remove what the job has left on the hosts; where that does not work, `--clean` removes it with all else."""
        if jobs:
            self._play("pair_clean", jobs)

    def _play(self, name: str, jobs: Mapping[str, Job], **variables: Any) -> dict[str, _Heard]:
        """Play for the hosts of these jobs; what was heard of each."""
        heard = {each: _Heard() for each in jobs}
        if not jobs:
            return heard

        def take(event: HostEvent) -> None:
            each = heard.get(event.host)
            if each is not None:
                self._take(each, event)
            self.on_event(event)

        shared = {**_shared(jobs), **variables}
        self.controller.play(play_of(name), limit=tuple(jobs), variables=shared, on_event=take)
        return heard

    def _take(self, each: _Heard, event: HostEvent) -> None:
        if event.stdout:
            each.answer = answers.parse(event.stdout) or each.answer
        if event.kind in ("failed", "unreachable"):
            _, said, _ = self.explain(event)
            each.problem, each.well, each.answer = on_one_line(said)[:SHOWN], False, None
        elif event.kind == "ok":
            each.well = True


def _silence(each: _Heard) -> str:
    return f"its test could not be begun: {each.problem or 'its agent gave no answer'}"


def _shared(jobs: Mapping[str, Job]) -> dict[str, Any]:
    """What the plays of a validation need, for a job in its place; both ends have one name and one limit."""
    job = next(iter(jobs.values()))
    common = plays.shared(job.name)
    return {
        **common,
        "limit_s": common["limit_s"] + GRACE_S,
        "grace_s": GRACE_S,
        "validation_limit_s": job.limit_s,
        "programs": {name: list(each.program) for name, each in jobs.items()},
    }


def _members(archive: Path) -> dict[str, bytes]:
    """The answer and the end of the log in an archive; whatever else a machine has packed is left alone.

    Raises TarError, EOFError and zlib.error for what is no archive, and OSError.
    """
    wanted = {f"results/{ANSWER}", "log"}
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r:*") as packed:
        for _, member in zip(range(MOST_FILES), packed, strict=False):
            if member.isreg() and member.name in wanted and member.size <= AT_MOST:
                file = packed.extractfile(member)
                found[member.name] = file.read() if file else b""
    return found


def _last_line(log: bytes) -> str:
    """What the job printed last."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    return on_one_line(lines[-1])[-SHOWN:] if lines else "it said nothing"
