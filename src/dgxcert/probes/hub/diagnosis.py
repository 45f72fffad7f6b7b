"""The Hugging Face Hub: can models be fetched from here, and if not, which step fails first, and what to do.

The diagnosis goes the way of a download, step by step, from the settings to a real file. Each step is ended from
outside when it takes too long, and the whole ends within 30 s, whatever the network does. Where the Hub is switched
off by choice, the question is instead whether the cache holds what is needed.

`python -m dgxcert.probes.hub` prints a diagnosis as JSON.
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
from dgxcert.container import hub_home
from dgxcert.judgement.evidence import Recorder
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import causes, model_cache, secrets, settings
from dgxcert.probes.hub.context import Probed
from dgxcert.probes.hub.relay import Relay
from dgxcert.profiles.checkpoints import KNOWN, PROBED, Checkpoint

WHOLE_S = 27.0
"""For all steps together; what is left of 30 s goes to ending processes."""
STEP_S = 6.0
STORAGE_STEP_S = 10.0
"""A store that is slow once is asked again."""
LAST = "cdn"
"""The last step of those that need no client."""
DOWNLOAD_S = 10.0
TOO_LITTLE_S = 2.0
TRIES_WHEN_CUT = 3
"""Of the client's: one for the relay's cut, one for a network that hiccups, one to come through."""
FETCHED = Probed(PROBED.repo, PROBED.revision, *next((name, pin.size or 0) for name, pin in PROBED.files.items()))


@dataclass(frozen=True)
class Step:
    """One step: `ok`, `failed`, `late` (ended from outside) or `skipped`, with the cause's name in hub_causes."""

    name: str
    state: str
    cause: str
    host: str
    found: str
    seconds: float

    @property
    def well(self) -> bool:
        """Whether the way goes on after it."""
        return self.state in ("ok", "skipped")


@dataclass(frozen=True)
class Diagnosis:
    """What the steps found, in order."""

    steps: tuple[Step, ...]
    seconds: float
    ways: tuple[str, ...] = ()
    """Commands that bring what is missing from the cache, where the Hub is switched off."""

    @property
    def first(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if not step.well), None)

    @property
    def failed(self) -> str:
        """Name of the first step that failed; `none` when all is well."""
        return self.first.name if self.first else "none"

    @property
    def _cause(self) -> causes.Cause | None:
        if self.first is None:
            return None
        cdn = any(step.name == "cdn" and step.state == "ok" for step in self.steps)
        return causes.cause_of(self.first.name, self.first.cause, cdn_answers=cdn)

    @property
    def meaning(self) -> str:
        """What the failure means, in a sentence."""
        return self._filled(self._cause.meaning) if self._cause else "files come through"

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about it."""
        return (*self.ways, *(self._filled(step) for step in (self._cause.remedy if self._cause else ())))

    @property
    def conclusive(self) -> bool:
        """Whether something was measured that is wrong at this place."""
        return self._cause is not None and self._cause.fails

    def _filled(self, text: str) -> str:
        return text.format(host=(self.first.host if self.first else "") or "the Hub")

    @property
    def says(self) -> str:
        """The finding in a line."""
        if self.first is None:
            return f"{len(self.steps)} steps in {self.seconds:.1f} s; {self.meaning}"
        return f"step {self.first.name}: {self.first.found}. {self.meaning}"

    def keep(self, evidence: Recorder) -> None:
        """Record every step; raises Inconclusive where nothing was measured that is wrong, only nothing found out."""
        for step in self.steps:
            evidence.record(f"Hub, {step.name}", step.state, source=f"{step.found} ({step.seconds:.1f} s)")
        if self.first is not None and not self.conclusive:
            raise Inconclusive(self.says, *self.remedy)


def diagnose(needed: Iterable[str] = ()) -> Diagnosis:
    """Go the way of a download; where the Hub is switched off by choice, look for what is needed in the cache."""
    started = time.monotonic()
    if name := settings.offline_by_choice():
        return _offline(name, [KNOWN[repo] for repo in needed], started)
    steps = _walk(started)
    if all(step.well for step in steps):
        with tempfile.TemporaryDirectory(prefix="dgxcert-hub-") as folder:
            steps.append(_download(Path(folder), started))
            if steps[-1].well:
                steps.append(_resume(Path(folder), started))
    return Diagnosis(tuple(steps), time.monotonic() - started)


def _offline(name: str, needed: list[Checkpoint], started: float) -> Diagnosis:
    if not needed:
        why = f"{name} is set, so the Hub was not asked, and the profile names no checkpoint to look for instead"
        raise Inconclusive(why, f"Unset {name}, or name under `checkpoints:` in the profile what must be there.")
    kept = [model_cache.look(checkpoint) for checkpoint in needed]
    wrong = [found for found in kept if not found.usable]
    words = "; ".join(found.words for found in wrong or kept)
    step = Step("cache", "failed" if wrong else "ok", "not-in-cache" if wrong else "", "", words, _since(started))
    ways = tuple(f"With the Hub switched on: {found.checkpoint.fetch}" for found in wrong)
    set_by_choice = Step("settings", "ok", "", "", f"{name} is set: what is in {hub_home.cache()} must do", 0.0)
    return Diagnosis((set_by_choice, step), _since(started), ways)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _left(started: float, at_most: float) -> float:
    return min(at_most, WHOLE_S - (time.monotonic() - started))


def _walk(started: float) -> list[Step]:
    """The steps that need no client, in a process that is ended when one of them takes too long."""
    steps: list[Step] = []
    begun: list[tuple[str, str, float]] = []

    def take(text: str) -> None:
        said = json.loads(text)
        if "begun" in said:
            begun.append((said["begun"], said["host"], time.monotonic()))
        else:
            steps.append(Step(**said))

    args = [sys.executable, "-P", "-m", "dgxcert.probes.hub.steps", *FETCHED.words]
    ended = command.follow(
        args, env=dict(os.environ), wait_s=lambda: _left(started, _limit(begun[-1][0] if begun else "")), line=take
    )
    if begun and len(steps) < len(begun):
        name, host, at = begun[-1]
        words = f"not done within {time.monotonic() - at:.1f} s" if not ended else "its process ended early"
        silent = {"dns": "dns-silent", "tcp": "dropped"}.get(name, "late")
        short = time.monotonic() - at < _limit(name) - 0.5  # not its own time ran out, but that of the whole
        cause, state = ("crashed", "failed") if ended else ("out-of-time" if short else silent, "late")
        steps.append(Step(name, state, cause, host, words, _since(at)))
    elif all(step.well for step in steps) and (not steps or steps[-1].name != LAST):
        after = f"after {steps[-1].name}" if steps else "at once"
        name, cause = (LAST if steps else "settings"), "crashed" if ended else "out-of-time"
        steps.append(Step(name, "failed", cause, "", f"its process ended {after}", _since(started)))
    return steps


def _limit(name: str) -> float:
    return STORAGE_STEP_S if name in causes.STORAGE else STEP_S


def _download(folder: Path, started: float) -> Step:
    """One small file by the ordinary client, in the way that it would take by itself."""
    return _client("download", folder / "whole", 2, {}, started)


def _resume(folder: Path, started: float) -> Step:
    """The same, by the way that goes without Xet, cut once in the middle."""
    if not settings.read().endpoint.startswith("https:"):
        return Step("resume", "skipped", "", "", "asked without TLS, by which the cutting relay goes", 0.0)
    with Relay(cut_after=FETCHED.size // 2) as relay:
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), relay.address)
        step = _client("resume", folder / "cut", TRIES_WHEN_CUT, {**proxies, "HF_HUB_DISABLE_XET": "1"}, started)
    if step.state != "ok":
        return step
    if not relay.was_cut:
        return Step("resume", "failed", "client", step.host, f"{step.found}; it did not pass the relay", step.seconds)
    went_on = "went on from there" if relay.bytes_since < FETCHED.size else "began anew"
    how = f"cut after {relay.cut_after} bytes, the client {went_on}: {relay.bytes_since} more came"
    return Step("resume", "ok", "", step.host, f"{how}; {step.found}", step.seconds)


def _client(name: str, folder: Path, tries: int, own: dict[str, str], started: float) -> Step:
    at = time.monotonic()
    limit_s = _left(started, DOWNLOAD_S)
    if limit_s < TOO_LITTLE_S:
        return Step(name, "late", "out-of-time", "", f"the steps before it took {at - started:.1f} s", 0.0)
    bypass = ("NO_PROXY", "no_proxy") if own else ()
    environment = {key: value for key, value in os.environ.items() if key not in bypass}
    # A cache of its own, with Xet's, so that the network is asked and the user's cache stays as it is.
    environment |= {**own, "HF_XET_CACHE": str(folder / "xet"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("HF_HUB_ENABLE_HF_TRANSFER", None)  # which goes on with no download
    args = [sys.executable, "-P", "-m", "dgxcert.probes.hub.download", str(folder), str(tries), *FETCHED.words]
    done = command.run(args, timeout_s=limit_s, env=environment)
    host = settings.read().host
    if done.timed_out:
        return Step(name, "late", "late", host, f"not done within {limit_s:.1f} s", _since(at))
    try:
        said = json.loads(done.stdout)
    except ValueError:
        return Step(name, "failed", "crashed", host, secrets.scrub(done.complaint), _since(at))
    return Step(name, said["state"], said["cause"], host, said["found"], _since(at))


def main() -> None:
    """Print a diagnosis of everything that dgxcert knows."""
    found = diagnose(KNOWN)
    told = {"failed": found.failed, "meaning": found.meaning, "remedy": found.remedy, "conclusive": found.conclusive}
    cause = found.first.cause if found.first else ""
    steps = [asdict(step) for step in found.steps]
    json.dump({**told, "cause": cause, "seconds": round(found.seconds, 2), "steps": steps}, sys.stdout, indent=1)
