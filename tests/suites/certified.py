"""Runs of invented machines: certified ones and others, with rounds, traces and a history."""

import functools
import hashlib
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suites.example import finished, image_ready, opened, planned, record, started

from dgxcert import report
from dgxcert.history import timeline
from dgxcert.judgement.evidence import Comparison, Evidence, Quantity
from dgxcert.judgement.limit import Roofline
from dgxcert.machine import trace
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.machine.runtime import Runtime
from dgxcert.machine.trace import Point
from dgxcert.plan import selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import Options
from dgxcert.plan.selection import any_gpu
from dgxcert.plan.suite import Suite
from dgxcert.profiles import profile as profiles
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run

BEGAN = 1_795_459_212.0
"""About AT, in seconds since 1970."""

GPU = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-5b1f0c1d", compute_capability="12.1", vbios="9A.0B")
SPARK = Machine(
    hostname="spark-07",
    product="NVIDIA DGX Spark",
    serial="1420525001234",
    firmware="5.36",
    kernel="6.14",
    architecture="aarch64",
    cores=20,
    driver="580.95.05",
    cuda_driver="13.0",
    gpus=(GPU,),
)
KEYS = ("GPU-PRESENT", "DISK-SPACE", "DECODE-SPEED[bf16-tuned-single-gpu0]", "PREFILL-SPEED[bf16-tuned-single-gpu0]")


def spark_profile(**about: Any) -> Any:
    """The Spark's profile, without the names of real requirements."""
    nothing: dict[str, Any] = {"not_applicable": {}, "not_applicable_native": {}}
    return profiles.load("dgx-spark").model_copy(update={**nothing, **about})


def speed(name: str, value: float, *, rounds: int = 20, intensity: float = 1.0) -> Evidence:
    """What a benchmark records: a rate with rounds, a roofline of 20 and a limit of 10."""
    chance = random.Random(name)
    return Evidence(
        name=name,
        value=value,
        unit="token/s",
        source=f"{rounds} rounds of 32 tokens",
        roofline=Roofline(value=20.0, unit="token/s", source="273 GB/s", intensity=intensity, tflops=0.27 * intensity),
        rounds_s=tuple(round(32 / value * chance.uniform(0.99, 1.01), 6) for _ in range(rounds)),
        held_against=[
            Comparison(
                sign=">=",
                name=name,
                value=10.0,
                unit="token/s",
                source=f"limit {name}.bf16: others",
                measured=value,
                holds=value >= 10.0,
            )
        ],
    )


def load(seconds: int, gpu: int = 0, begins: int = 0, held: Callable[[int], bool] = lambda t: False) -> trace.Trace:
    """A trace of a GPU under load: it warms up, is power-capped where `held` is true, and is hot at the end."""
    points = [
        Point(
            t=BEGAN + begins + t / 10,
            clock_mhz=2400.0 - (200.0 if t > 8 * seconds else 0.0),
            power_w=85 + 3 * math.sin(t / 40),
            temperature_c=45 + 35 * (1 - math.exp(-t / 200)),
            hot=float(t > 8 * seconds),
            held_back=float(held(t)),
        )
        for t in range(10 * seconds)
    ]
    return trace.downsample(gpu, points)


def past(count: int, *, slower_from: int = 10**9) -> tuple[Earlier, ...]:
    """Earlier runs of the Spark; from `slower_from` on the driver is newer and decode 10 % slower."""
    chance = random.Random(7)
    earlier = []
    for at in range(count):
        late = at >= slower_from
        rates = {
            KEYS[2]: 14.0 * (0.9 if late else 1.0) * chance.uniform(0.998, 1.002),
            KEYS[3]: 5400.0 * chance.uniform(0.998, 1.002),
        }
        state = {"driver": "590.10" if late else "580.95.05", "firmware": "5.36", "kernel": "6.14", "image": "77"}
        about = {"name": f"2026-{1 + at // 28:02}-{1 + at % 28:02}T10-00-00Z-spark-07", "verdict": "CERTIFIED"}
        earlier.append(
            Earlier(
                started=f"2026-{1 + at // 28:02}-{1 + at % 28:02}T10:00:00.000Z",
                machine=timeline.known_as(SPARK),
                hostname="spark-07",
                state=state,
                rates=rates,
                units=dict.fromkeys(rates, "token/s"),
                **about,
            )
        )
    return tuple(earlier)


def events(*endings: journal.Finished, **about: Any) -> list[journal.Event]:
    """A whole run in the container, on the pinned base; `endings` take the place of passes."""
    replaced = {ending.key: ending for ending in endings}
    seen = {
        KEYS[2]: {"evidence": (speed("decode", 14.0),), "traces": (load(12),)},
        KEYS[3]: {"evidence": (speed("prefill", 15.0, intensity=900.0),)},
    }
    usual = [finished(key, **seen.get(key, {"evidence": (AS_REQUIRED,)})) for key in KEYS]
    begun = opened(*(planned(key) for key in KEYS), **{"profile": spark_profile(), "machine": SPARK, **about})
    return [begun, image_ready(), *(replaced.get(ending.key, ending) for ending in usual)]


def run(*endings: journal.Finished, **about: Any) -> Run:
    """The run that these events make."""
    return runs.assemble(events(*endings, **about), "2026-11-23T18-40-12Z-spark-07")


AS_REQUIRED = Evidence(name="as required", value=True, unit="", source="invented")
Quantity(AS_REQUIRED).holds()


@functools.cache
def ours() -> Suite:
    """The suite of this checkout, as if all of it were committed."""
    return suite.identity(suite.root()).model_copy(update={"commit": "abc", "modified": False, "reason": ""})


@functools.cache
def catalogue() -> list[Entry]:
    """Every requirement of this checkout, for one GPU."""
    return suite.collect(suite.root(), 1)


def whole(*endings: journal.Finished, **about: Any) -> list[journal.Event]:
    """A whole run by this checkout, in the container and on the pinned base; `endings` take the place of passes."""
    usual: dict[str, Any] = {
        "suite": ours(),
        "profile": profiles.load("dgx-spark"),
        "options": Options(profile="dgx-spark", runtime=Runtime.DOCKER),
        "machine": SPARK,
    }
    given = usual | about
    plan = selection.make(catalogue(), given["profile"], given["options"], given["profile"].gpus_in(given["machine"]))
    replaced = {ending.key: ending for ending in endings}
    seen = {any_gpu(each.key): each.evidence for each in events() if isinstance(each, journal.Finished)}
    made: list[journal.Event] = [opened(*plan, **given), image_ready(**_pinned())]
    for key in (entry.key for entry in plan if entry.runs):
        ending = replaced.get(key) or finished(key, evidence=seen.get(key) or (AS_REQUIRED,))
        made += [started(key), ending]
    return made


def _pinned() -> dict[str, str]:
    """What an image of this checkout was built from."""
    container = suite.root() / "container"
    base = (container / "base.env").read_text(encoding="utf-8").partition("BASE_IMAGE=")[2].splitlines()[0]
    lock = (container / "stacks" / "course.lock").read_bytes()
    return {
        "base": base,
        "base_digest": base.partition("@")[2],
        "lock_sha256": hashlib.sha256(lock).hexdigest(),
        "suite_sha256": ours().package_sha256,
    }


def folder(place: Path, *endings: journal.Finished, **about: Any) -> Path:
    """The folder of a whole run, with the record, the reports that need no third-party package, and a log."""
    path = place / "2026-11-23T18-40-12Z-spark-07"
    (path / "logs").mkdir(parents=True)
    (path / "logs" / "container-1.log").write_text("1 passed\n", encoding="utf-8")
    # As a run's writer does, but without waiting for the disk after each of hundreds of lines.
    (path / journal.NAME).write_text(record(*whole(*endings, **about)), encoding="utf-8")
    report.write(runs.assemble(journal.read(path), path.name), path)
    return path


__all__ = [
    *("AT", "GPU", "KEYS", "SPARK"),
    *("events", "folder", "load", "ours", "past", "run", "spark_profile", "speed", "whole"),
]
