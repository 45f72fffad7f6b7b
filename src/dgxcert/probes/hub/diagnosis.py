"""The Hugging Face Hub: whether models can be downloaded, and if not, which step fails first and what to do.

The diagnosis tests a download in 15 steps, from the client's folders to a real file. A step that exceeds its time
limit is killed, and the whole ends within 30 s whatever the network does. Where the Hub is switched off by a variable,
the question is instead whether the cache holds what the profile needs.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
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
from dgxcert.profiles.checkpoints import KNOWN, PROBED, Checkpoint

TOTAL_S = 27.0
"""For all steps; the rest of 30 s is for killing processes."""
STEP_S = 6.0
STORAGE_STEP_S = 10.0
"""Longer, because a storage host that is slow once is retried."""
LAST = "cdn"
"""The last of the steps that need no client."""
DOWNLOAD_S = 10.0
MIN_DOWNLOAD_S = 2.0
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
            evidence.record(f"Hub, {step.name}", step.state, source=f"{step.detail} ({step.seconds:.1f} s)")
        if self.failure is not None and not self.conclusive:
            raise Inconclusive(self.summary, *self.remedy)


def diagnose(needed: Iterable[str] = ()) -> Diagnosis:
    """Test a download; where the Hub is switched off by a variable, look for the `needed` repositories in the cache."""
    started = time.monotonic()
    if variable := settings.offline_variable():
        return _offline(variable, [KNOWN[repo] for repo in needed], started)
    folders = trial.read()
    steps = [_folders(folders, started)]
    if not steps[-1].ok:
        return Diagnosis(tuple(steps), _since(started), remedy_of(folders.alike))
    steps += _run_steps(started)
    if all(step.ok for step in steps):
        with tempfile.TemporaryDirectory(prefix="dgxcert-hub-") as folder:
            steps.append(_download(Path(folder), started))
            if steps[-1].ok:
                steps.append(_resume(Path(folder), started))
    return Diagnosis(tuple(steps), time.monotonic() - started)


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
            steps.append(Step(**message))

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
    return _run_client("download", folder / "whole", 2, {}, started)


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


def _run_client(name: str, folder: Path, tries: int, variables: dict[str, str], started: float) -> Step:
    begun_at = time.monotonic()
    limit_s = _time_left(started, DOWNLOAD_S)
    if limit_s < MIN_DOWNLOAD_S:
        return Step(name, "late", "out-of-time", "", f"the steps before it took {begun_at - started:.1f} s", 0.0)
    ignored = ("NO_PROXY", "no_proxy") if variables else ()  # the relay must not be bypassed
    environment = {key: value for key, value in os.environ.items() if key not in ignored}
    # A cache of its own, with Xet's, so that the network is used and the user's cache stays as it is.
    environment |= {**variables, "HF_XET_CACHE": str(folder / "xet"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("HF_HUB_ENABLE_HF_TRANSFER", None)  # hf_transfer cannot resume a download
    args = [sys.executable, "-P", "-m", "dgxcert.probes.hub.download", str(folder), str(tries), *PROBED_FILE.arguments]
    done = command.run(args, timeout_s=limit_s, env=environment)
    host = settings.read().host
    if done.timed_out:
        return Step(name, "late", "timeout", host, f"not done within {limit_s:.1f} s", _since(begun_at))
    try:
        result = json.loads(done.stdout)
    except ValueError:
        return Step(name, "failed", "crashed", host, secrets.scrub(done.complaint), _since(begun_at))
    return Step(name, result["state"], result["cause"], host, result["detail"], _since(begun_at))


def main() -> None:
    """Print a diagnosis as JSON; where the Hub is switched off, of every checkpoint that dgxcert knows."""
    diagnosis = diagnose(KNOWN)
    report = {
        "failed": diagnosis.failed,
        "meaning": diagnosis.meaning,
        "remedy": diagnosis.remedy,
        "conclusive": diagnosis.conclusive,
        "cause": diagnosis.failure.cause if diagnosis.failure else "",
        "seconds": round(diagnosis.seconds, 2),
        "steps": [asdict(step) for step in diagnosis.steps],
    }
    json.dump(report, sys.stdout, indent=1)
