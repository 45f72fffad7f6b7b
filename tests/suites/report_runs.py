"""Runs for reports: all outcomes, hostile text in every field, a busy server, and 10,000 requirements."""

from typing import Any

from suites.certified import SPARK, events, load, past, spark_profile, speed
from suites.example import finished, opened, planned

from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run

HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    "\x1b[2J\x1b]0;x\x07 $\\frac{1}{0}$ {{ 7*7 }} \u202e \u4e2d &lt; ]]>"
)


def whole() -> Run:
    """A run with a history, a load, rounds, and one of each outcome."""
    begun, image, *endings = events(
        finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free", remedy=("make room",)),
        earlier=past(12, slower_from=8),
    )
    assert isinstance(begun, journal.Opened)
    more = (
        planned("UNSEEN"),
        planned("EXCUSED", not_applicable="no such thing here"),
        planned("DESELECTED", not_run="deselected by --only"),
        planned("LOST"),
    )
    begun = begun.model_copy(update={"plan": (*begun.plan, *more)})
    unseen = finished("UNSEEN", Outcome.INCONCLUSIVE, reason="the driver is stuck")
    return runs.assemble([begun, image, *endings, unseen], "run")


def hostile() -> Run:
    """A run whose every text tries to leave its HTML context."""
    gpu = Gpu(index=0, product=HOSTILE, uuid=HOSTILE, compute_capability=HOSTILE, vbios=HOSTILE)
    names: dict[str, Any] = dict.fromkeys(
        ("hostname", "product", "serial", "firmware", "driver", "cpu", "kernel"), HOSTILE
    )
    machine = SPARK.model_copy(update={**names, "gpus": (gpu,)})
    key = f"DECODE-SPEED[{HOSTILE}]"
    reading = speed(HOSTILE, 14.0).model_copy(update={"source": HOSTILE, "unit": HOSTILE})
    return runs.assemble(
        [
            opened(planned(key, why=HOSTILE), planned("B"), machine=machine, fallen=(HOSTILE,), earlier=past(3)),
            finished(key, Outcome.FAILED, reason=HOSTILE, remedy=(HOSTILE,), evidence=(reading,), traces=(load(12),)),
            finished("B", Outcome.INCONCLUSIVE, reason=HOSTILE * 200_000, remedy=(HOSTILE,)),
            journal.Interrupted(by=HOSTILE),
        ],
        HOSTILE,
    )


def busy() -> Run:
    """A server of eight GPUs: sixty benchmarks, half of them failed, each with a power-capped load."""
    keys = [f"{name}-SPEED[bf16-tuned-{at}]" for name in ("DECODE", "PREFILL", "LORA") for at in range(20)]
    endings = [
        finished(
            key,
            Outcome.FAILED if at % 2 else Outcome.PASSED,
            reason=f"{key} is slow, by far slower than the limit\n" * 5 if at % 2 else "",
            remedy=("look at the clock", "look at the power", "look at the heat") if at % 2 else (),
            evidence=(speed(key, 14.0, intensity=1 + at),),
            traces=tuple(load(10, gpu, 15 * at, held=lambda t: t % 7 < 3) for gpu in range(8)),
        )
        for at, key in enumerate(keys)
    ]
    about = {"earlier": past(60, slower_from=30), "profile": spark_profile()}
    return runs.assemble([opened(*(planned(key) for key in keys), **about), *endings], "run")


def many() -> Run:
    """10,000 requirements, and two hours of samples."""
    keys = [f"CHECK-{number}" for number in range(10_000)]
    endings = [
        finished(
            key,
            Outcome.FAILED if number % 100 == 0 else Outcome.PASSED,
            reason="it is wrong" if number % 100 == 0 else "",
            evidence=(speed(key, 14.0),) if number < 60 else (),
            traces=(load(7200),) if number == 0 else (),
        )
        for number, key in enumerate(keys)
    ]
    return runs.assemble([opened(*(planned(key) for key in keys)), *endings], "run")
