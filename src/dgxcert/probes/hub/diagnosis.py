"""The Hugging Face Hub: whether models can be downloaded, and if not, which step fails first and what to do.

The diagnosis tests a download in 15 steps, from the client's folders to a real file. A step that exceeds its time
limit is killed, and the whole ends within 30 s whatever the network does. Where the Hub is switched off by a variable,
the question is instead whether the cache holds what the profile needs.
"""

import contextlib
import errno
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dgxcert import command
from dgxcert.judgement.evidence import Recorder
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import causes, model_cache, secrets, settings
from dgxcert.probes.hub.cache import offline, places, trial
from dgxcert.probes.hub.cache.remedy import remedy_of
from dgxcert.probes.hub.cache.trial import Trial
from dgxcert.probes.hub.context import ProbedFile
from dgxcert.probes.hub.relay import Relay
from dgxcert.probes.hub.variables import culprit
from dgxcert.profiles.checkpoints import KNOWN, PROBED, Checkpoint
from dgxcert.redaction import output, scrubber

TOTAL_S = 27.0
"""For all steps; the rest of 30 s is for killing processes."""
STEP_S = 6.0
STORAGE_STEP_S = 10.0
"""Longer, because a storage host that is slow once is retried."""
LAST = "cdn"
"""The last of the steps that need no client."""
DOWNLOAD_S = 10.0
MIN_DOWNLOAD_S = 2.0
REPOSITORY_S = 20.0
ROOM_BYTES = 20_000_000
"""For the downloaded files, the client's own copies of them and Xet's cache."""
ROOM_FILES = 50
TRIES_WHEN_CUT = 3
"""Of the client: one that the relay cuts, one for a network that fails by itself, and one that succeeds."""
_NAME, _PIN = next(iter(PROBED.files.items()))
PROBED_FILE = ProbedFile(PROBED.repo, PROBED.revision, _NAME, _PIN.size or 0, _PIN.known)


@dataclass(frozen=True)
class Step:
    """The result of one step.

    `state` is `ok`, `failed`, `late` (killed at its time limit) or `skipped`; `cause` is a key of causes.CAUSES.
    """

    name: str
    state: str
    cause: str
    host: str
    detail: str
    seconds: float
    remedy: tuple[str, ...] = ()
    """What to do, where it names what was found; else the cause says it."""
    notes: tuple[str, ...] = ()
    """What was noticed beside the result: it keeps no download from working."""

    @property
    def ok(self) -> bool:
        """Whether the next step follows."""
        return self.state in ("ok", "skipped")


@dataclass(frozen=True)
class Diagnosis:
    """The results of the steps, in order."""

    steps: tuple[Step, ...]
    seconds: float
    first_remedy: tuple[str, ...] = ()
    """Steps that name this machine's own folders and files; they come before those of the cause."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed in the steps."""
        return tuple(note for step in self.steps for note in step.notes)

    @property
    def failure(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if not step.ok), None)

    @property
    def failed(self) -> str:
        """Name of the first step that failed; `none` where all passed."""
        return self.failure.name if self.failure else "none"

    @property
    def _cause(self) -> causes.Cause | None:
        if self.failure is None:
            return None
        cdn_answers = any(step.name == "cdn" and step.state == "ok" for step in self.steps)
        return causes.cause_of(self.failure.name, self.failure.cause, cdn_answers=cdn_answers)

    @property
    def meaning(self) -> str:
        """What the failure means, in one sentence."""
        return self._with_host(self._cause.meaning) if self._cause else "models can be downloaded"

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the failure."""
        if self.failure is not None and self.failure.remedy:
            return self.failure.remedy
        steps = self._cause.remedy if self._cause else ()
        return (*self.first_remedy, *(self._with_host(step) for step in steps))

    @property
    def conclusive(self) -> bool:
        """Whether something wrong was measured in this environment."""
        return self._cause is not None and self._cause.fails

    def _with_host(self, text: str) -> str:
        return text.format(host=(self.failure.host if self.failure else "") or "the Hub")

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.failure is None:
            return f"{len(self.steps)} steps in {self.seconds:.1f} s; {self.meaning}"
        return f"step {self.failure.name}: {self.failure.detail}. {self.meaning}"

    def record(self, evidence: Recorder) -> None:
        """Record every step. Raises Inconclusive for a failure that shows nothing wrong in this environment."""
        for step in self.steps:
            noticed = f"; {'; '.join(step.notes)}" if step.notes else ""
            evidence.record(f"Hub, {step.name}", step.state, source=f"{step.detail} ({step.seconds:.1f} s){noticed}")
        if self.failure is not None and not self.conclusive:
            raise Inconclusive(self.summary, *self.remedy)


def diagnose(needed: Iterable[str] = ()) -> Diagnosis:
    """Test a download; where the Hub is switched off by a variable, look for the `needed` repositories in the cache."""
    started, checkpoints = time.monotonic(), [KNOWN[repo] for repo in needed]
    if variable := settings.offline_variable():
        return _offline(variable, checkpoints, started)
    folders = trial.read()
    if checkpoints and all(model_cache.is_there(each) for each in checkpoints):
        folders = folders.for_a_full_cache()
    steps = [_folders(folders, started)]
    if not steps[-1].ok:
        return Diagnosis(tuple(steps), _since(started), remedy_of(folders.alike))
    steps += _run_steps(started)
    if all(step.ok for step in steps):
        steps += _client_steps(started)
    return Diagnosis(tuple(steps), time.monotonic() - started)


def _client_steps(started: float) -> list[Step]:
    """The steps with the client, in a folder of their own, which must have room for them."""
    try:
        with tempfile.TemporaryDirectory(prefix="dgxcert-hub-") as folder:
            if lack := _lack_of_room(Path(folder)):
                return [Step("download", "failed", "no-room-in-tmp", "", lack, 0.0)]
            steps = [_download(Path(folder), started)]
            return [*steps, _resume(Path(folder), started)] if steps[0].ok else steps
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        detail = f"no folder can be made in {os.environ.get('TMPDIR') or '/tmp'}: {error.strerror or error}"  # noqa: S108
        return [Step("download", "failed", "no-room-in-tmp" if full else "no-tmp", "", detail, 0.0)]


def _lack_of_room(folder: Path) -> str:
    """What a folder lacks for the downloads; empty where it has room."""
    about = os.statvfs(folder)
    free = about.f_bavail * about.f_frsize
    if free < ROOM_BYTES:
        return f"{folder.parent} has {free / 1e6:.1f} MB free, and the diagnosis needs {ROOM_BYTES / 1e6:.0f} MB"
    if about.f_files and about.f_favail < ROOM_FILES:
        return f"{folder.parent} has room for {about.f_favail} more files, and the diagnosis needs {ROOM_FILES}"
    return ""


def ask_about(repo: str, kind: str, diagnosis: Diagnosis) -> tuple[Diagnosis, dict[str, object]]:
    """A diagnosis with the steps about a repository of the user's own, and what the Hub says of it.

    They are asked where the Hub answers, whatever fails afterwards: its storage may be what fails.
    """
    if not any(step.name == "http" and step.ok for step in diagnosis.steps):
        why = f"{kind} {repo} was not asked about: the Hub was not reached"
        return replace(diagnosis, steps=(*diagnosis.steps, Step("repository", "skipped", "", "", why, 0.0))), {}
    args = [sys.executable, "-P", "-m", "dgxcert.probes.hub.access.repository", kind, repo]
    begun_at = time.monotonic()
    done = command.run(args, timeout_s=REPOSITORY_S, env=dict(os.environ))
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        cause, detail = (
            ("timeout", "no answer in time") if done.timed_out else ("crashed", secrets.scrub(done.complaint))
        )
        failed = Step("repository", "failed", cause, "", detail, _since(begun_at))
        return replace(diagnosis, steps=(*diagnosis.steps, failed)), {}
    steps = (*diagnosis.steps, *(Step(**step) for step in answer["steps"]))
    return replace(diagnosis, steps=steps, seconds=diagnosis.seconds + _since(begun_at)), answer["facts"]


def _offline(variable: str, needed: list[Checkpoint], started: float) -> Diagnosis:
    if not needed:
        reason = f"{variable} is set, so the Hub was not tested, and the profile names no checkpoint to look for"
        remedy = f"Unset {variable}, or name the checkpoints that must be in the cache in the profile's `checkpoints:`."
        raise Inconclusive(reason, remedy)
    legacy, cache = places.legacy_variable(), places.models_cache()
    cached = [model_cache.verify(checkpoint, cache) for checkpoint in needed]
    unusable = [entry for entry in cached if not entry.usable]
    detail = "; ".join(entry.summary for entry in unusable or cached)
    cause = "not-in-cache" if any(entry.lacks for entry in unusable) else "unverified" if unusable else ""
    step = Step("cache", "failed" if unusable else "ok", cause, "", detail, _since(started))
    named = f"only {cache} is used{f', which {legacy} names for transformers' if legacy else ''}"
    switched_off = Step("settings", "ok", "", "", f"{variable} is set: {named}", 0.0)
    return Diagnosis((switched_off, step), _since(started), offline.remedy_of(unusable, cache, legacy))


def _folders(folders: Trial, started: float) -> Step:
    """Whether the clients can work in their folders."""
    if (trouble := folders.first) is None:
        return Step("folders", "ok", "", "", folders.summary, _since(started))
    state = "late" if trouble.kind == "late" else "failed"
    return Step("folders", state, trouble.cause, "", folders.summary, _since(started))


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _time_left(started: float, limit_s: float) -> float:
    """Seconds until `limit_s` or the end of the whole diagnosis, whichever is first."""
    return min(limit_s, TOTAL_S - (time.monotonic() - started))


def _run_steps(started: float) -> list[Step]:
    """The steps that need no client, in a process that is killed when one of them exceeds its time limit."""
    steps: list[Step] = []
    begun: list[tuple[str, str, float]] = []

    def read_line(line: str) -> None:
        message = json.loads(line)
        if "begun" in message:
            begun.append((message["begun"], message["host"], time.monotonic()))
        else:
            lists = {name: tuple(message.get(name, ())) for name in ("remedy", "notes")}
            steps.append(Step(**{**message, **lists}))

    args = [sys.executable, "-P", "-m", "dgxcert.probes.hub.steps", *PROBED_FILE.arguments]
    ended = command.follow(
        args,
        env=dict(os.environ),
        wait_s=lambda: _time_left(started, _limit_s(begun[-1][0] if begun else "")),
        line=read_line,
    )
    if begun and len(steps) < len(begun):
        name, host, at = begun[-1]
        steps.append(_unfinished(name, host, at, ended=ended))
    elif all(step.ok for step in steps) and (not steps or steps[-1].name != LAST):
        after = f"after {steps[-1].name}" if steps else "at once"
        name, cause = (LAST if steps else "settings"), "crashed" if ended else "out-of-time"
        steps.append(Step(name, "failed", cause, "", f"its process ended {after}", _since(started)))
    return steps


def _unfinished(name: str, host: str, begun_at: float, *, ended: bool) -> Step:
    """A step that has begun and not ended; with `ended` because its process crashed, else because it was killed."""
    seconds = time.monotonic() - begun_at
    if ended:
        return Step(name, "failed", "crashed", host, "its process ended early", _since(begun_at))
    # Killed well before its own limit: the time limit of the whole diagnosis ended it, which is no fault of a host.
    is_total = seconds < _limit_s(name) - 0.5
    timeout = {"dns": "dns-timeout", "tcp": "connect-timeout"}.get(name, "timeout")
    detail = f"not done within {seconds:.1f} s"
    return Step(name, "late", "out-of-time" if is_total else timeout, host, detail, _since(begun_at))


def _limit_s(name: str) -> float:
    return STORAGE_STEP_S if name in causes.STORAGE else STEP_S


def _download(folder: Path, started: float) -> Step:
    """Download one small file with huggingface_hub, through Xet where the client uses it."""
    step = _run_client("download", folder / "whole", 2, {}, started)
    if step.ok or step.cause not in ("client", "no-client", "crashed", "timeout"):
        return step

    def works_without(names: tuple[str, ...]) -> bool:
        place = folder / f"without-{len(names)}-{names[0]}"
        return _run_client("download", place, 1, {}, started, without=names).ok

    if not (names := culprit.find(works_without)):
        return step
    detail = f"{step.detail}; without {' and '.join(names)} it works"
    return replace(step, cause="variable", state="failed", detail=detail, remedy=(f"unset {' '.join(names)}",))


def _resume(folder: Path, started: float) -> Step:
    """Download the file without Xet, from the CDN, over a connection that is reset once in the middle."""
    if not settings.read().endpoint.startswith("https:"):
        return Step("resume", "skipped", "", "", "no TLS, and the relay tunnels TLS only", 0.0)
    with Relay(cut_after=PROBED_FILE.size_bytes // 2) as relay:
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), relay.url)
        step = _run_client("resume", folder / "cut", TRIES_WHEN_CUT, {**proxies, "HF_HUB_DISABLE_XET": "1"}, started)
    if step.state != "ok":
        return step
    if not relay.was_cut:
        detail = f"{step.detail}; it did not go through the relay"
        return Step("resume", "failed", "client", step.host, detail, step.seconds)
    action = "resumed" if relay.bytes_since < PROBED_FILE.size_bytes else "started again"
    detail = f"reset after {relay.cut_after} bytes, the client {action}: {relay.bytes_since} more bytes; {step.detail}"
    return Step("resume", "ok", "", step.host, detail, step.seconds)


def _run_client(
    name: str, folder: Path, tries: int, variables: dict[str, str], started: float, without: tuple[str, ...] = ()
) -> Step:
    begun_at = time.monotonic()
    limit_s = _time_left(started, DOWNLOAD_S)
    if limit_s < MIN_DOWNLOAD_S:
        return Step(name, "late", "out-of-time", "", f"the steps before it took {begun_at - started:.1f} s", 0.0)
    # The relay must not be bypassed, and hf_transfer cannot resume a download.
    ignored = ("NO_PROXY", "no_proxy", "HF_HUB_ENABLE_HF_TRANSFER") if variables else without
    environment = {key: value for key, value in os.environ.items() if key not in ignored}
    # A cache of its own, with Xet's, so that the network is used and the user's cache stays as it is.
    environment |= {**variables, "HF_XET_CACHE": str(folder / "xet"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    args = [sys.executable, "-P", "-m", "dgxcert.probes.hub.download", str(folder), str(tries), *PROBED_FILE.arguments]
    done = command.run(args, timeout_s=limit_s, env=environment)
    host = settings.read().host
    if done.timed_out:
        # With less than the whole time it was the diagnosis that had no more, and nothing is known of the client.
        cause = "timeout" if limit_s > DOWNLOAD_S - 0.5 else "out-of-time"
        return Step(name, "late", cause, host, f"not done within {limit_s:.1f} s", _since(begun_at))
    if (result := _printed(done.stdout)) is None:
        return Step(name, "failed", "crashed", host, secrets.scrub(done.complaint), _since(begun_at))
    return Step(name, result["state"], result["cause"], host, result["detail"], _since(begun_at))


def _printed(stdout: str) -> dict[str, str] | None:
    """The result that the client's process printed; hf_xet writes lines of its log there too, before and after it."""
    for line in reversed(stdout.splitlines()):
        with contextlib.suppress(ValueError):
            printed = json.loads(line)
            if isinstance(printed, dict) and printed.keys() == {"state", "cause", "detail"}:
                return printed
    return None


def report(diagnosis: Diagnosis) -> dict[str, object]:
    """A diagnosis as JSON holds it; the names stay the same from version to version."""
    return {
        "failed": diagnosis.failed,
        "meaning": diagnosis.meaning,
        "remedy": diagnosis.remedy,
        "conclusive": diagnosis.conclusive,
        "cause": diagnosis.failure.cause if diagnosis.failure else "",
        "seconds": round(diagnosis.seconds, 2),
        "notes": diagnosis.notes,
        "steps": [asdict(step) for step in diagnosis.steps],
    }


def main() -> None:
    """Print a diagnosis as JSON; where the Hub is switched off, of every checkpoint that dgxcert knows."""
    output.install()
    sys.stdout.write(scrubber.json_text(json.dumps(report(diagnose(KNOWN)), indent=1)))
    sys.stdout.flush()
