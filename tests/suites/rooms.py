"""Rooms made up for tests of reports: of any size, with outliers, pairs, and a host for each word."""

import random
from typing import Any

from dgxcert.judgement.requirement import Tier
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.plan.suite import Suite
from dgxcert.record.room.document import (
    Clash,
    Compared,
    Difference,
    HostResult,
    Outlier,
    PairResult,
    Problem,
    Room,
    RoomFigure,
)
from dgxcert.record.room.word import Word
from dgxcert.record.run import Result

SUITE = Suite(version="0.1.0", package_sha256="a" * 64, sha256="b" * 64, commit="c" * 40, modified=False)
FIGURES = (("matmul", "matmul bf16", 80.2, "TFLOP/s"), ("decode-16bit", "decode bf16", 14.2, "token/s"))


def host(number: int, **changed: Any) -> HostResult:
    """A certified machine."""
    rng = random.Random(number)
    figures = tuple(
        RoomFigure(name=name, label=label, value=value * rng.gauss(1, 0.008), unit=unit)
        for name, label, value, unit in FIGURES
    )
    name = f"spark-{number:02}"
    fields: dict[str, Any] = {
        "name": name,
        "address": f"10.0.0.{number}",
        "word": Word.VALIDATED,
        "profile": "dgx-spark",
        "run": f"{name}/2026-12-01T02-00-00Z-{name}",
        "run_id": f"{number:08x}",
        "verdict": Verdict.CERTIFIED,
        "says": "CERTIFIED (limits: 31 measured, 24 published, 14 derived)",
        "started": "2026-12-01T02:00:00.000+00:00",
        "duration_s": 1234.5,
        "figures": figures,
        "configuration": {"kernel": "6.14.0-1015-nvidia"},
    }
    return HostResult(**(fields | changed))


def absent(number: int, word: Word, said: str = "") -> HostResult:
    """A host that was not validated."""
    return HostResult(
        name=f"spark-{number:02}",
        address=f"10.0.0.{number}",
        word=word,
        said=said or f"It is not validated because of this: {word.value}.",
        remedy=("Look at it: ssh lab@10.0.0.1",),
    )


def compared(hosts: list[HostResult], number: int = 1, slow: str = "") -> list[Compared]:
    """The quantities of some machines, of which one may be slow."""
    found = []
    for at in range(number):
        values = {each.name: each.figures[at % len(FIGURES)].value for each in hosts if each.figures}
        name, label, typical, unit = FIGURES[at % len(FIGURES)]
        outliers = ()
        if slow and at == 1:
            values[slow] *= 0.91
            says = f"{slow} decodes 9 % slower than the other {len(values) - 1}; it alone has kernel 6.17.0-1026"
            outliers = (Outlier(host=slow, value=values[slow], away=0.09, says=says),)
        found.append(
            Compared(
                profile="dgx-spark",
                key=f"{name.upper()}-SPEED[{at}]",
                name=label,
                unit=unit,
                higher_is_better=True,
                values=values,
                median=typical,
                scatter=typical * 0.008,
                limit=typical * 0.968,
                outliers=outliers,
            )
        )
    return found


def result(id: str, outcome: Outcome) -> Result:
    """How one requirement of a pair ended."""
    reason = "" if outcome is Outcome.PASSED else "all_reduce moved 1.6 GB/s, required >= 10 GB/s"
    return Result(
        key=id,
        id=id,
        group="pairs",
        title="Two machines work together",
        why="Training waits for the slowest link.",
        tier=Tier.STANDARD,
        wanted=True,
        stage="pair",
        outcome=outcome,
        reason=reason,
        remedy=("Look at the link: ip -s link",),
        evidence=(),
        started=None,
        duration_s=1.0,
        log=None,
    )


def pair(first: str, second: str, *outcomes: Outcome, gbs: float | None = 22.2, says: str = "") -> PairResult:
    """Two machines with the outcome of each of the three requirements."""
    ids = ("PAIR-LINK", "PAIR-COLLECTIVES", "PAIR-TRAINING")
    results = tuple(result(name, outcome) for name, outcome in zip(ids, outcomes, strict=False))
    return PairResult(hosts=(first, second), says=says or "both ends work", results=results, gbs=gbs)


def room(size: int = 30, *, wrong: bool = True, quantities: int = 2, **changed: Any) -> Room:
    """A room; with `wrong` the last machines are an outlier, one that was rejected, and one for each other word."""
    hosts = [host(number) for number in range(1, size + 1)]
    slow = ""
    differences: tuple[Difference, ...] = ()
    if wrong:
        slow = hosts[-1].name
        problem = Problem(
            key="GPU-CLOCK-UNDER-LOAD", outcome=Outcome.FAILED, reason="clock under load is 850 MHz, required >= 1900"
        )
        hosts.append(host(size + 1, verdict=Verdict.REJECTED, problems=(problem,)))
        words = [word for word in Word if word is not Word.VALIDATED]
        hosts += [absent(size + 2 + at, word) for at, word in enumerate(words)]
        others = {"6.17.0-1026": (slow,)}
        differences = (
            Difference(profile="dgx-spark", name="kernel", majority="6.14.0-1015", count=size, others=others),
        )
    fields: dict[str, Any] = {
        "name": "2026-12-01T02-00-00Z-lab",
        "suite": SUITE,
        "started": "2026-12-01T02:00:00.000+00:00",
        "ended": "2026-12-01T02:41:00.000+00:00",
        "hosts": tuple(hosts),
        "compared": tuple(compared(hosts, quantities, slow)),
        "differences": differences,
        "exit_code": 1 if wrong else 0,
    }
    return Room(**(fields | changed))


def clash(*hosts: str) -> Clash:
    """Hosts with one serial number."""
    return Clash(name="serial", hosts=hosts, says=f"{' and '.join(hosts)} have the same serial number, 1234")
