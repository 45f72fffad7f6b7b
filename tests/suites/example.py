"""Events of an invented run, for tests of code that reads a record."""

from pathlib import Path
from typing import Any

import yaml

from dgxcert.judgement.evidence import Evidence
from dgxcert.machine import software
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.outcome import Outcome
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.plan.suite import Suite
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.record import journal
from dgxcert.record.chain import Chain

AT = "2026-11-23T18:40:12.000Z"

MACHINE = Machine(hostname="spark-07", product="NVIDIA DGX Spark", kernel="6.14", architecture="aarch64", cores=20)

MEASURED = Evidence(name="decode", value=9.8, unit="token/s", source="median of 10 rounds")
"""Not compared with anything; `short_of` does that."""


HELD = Evidence.model_validate(
    {
        "name": "works",
        "value": 1.0,
        "unit": "",
        "source": "here",
        "held_against": [
            {"sign": "==", "name": "works", "value": 1.0, "unit": "", "source": "x", "measured": 1.0, "holds": True}
        ],
    }
)
"""Without which no pass counts."""


def profile_for_any_suite() -> Profile:
    """The `cpu` profile without the names of real requirements."""
    return profiles.load("cpu").model_copy(update={"not_applicable": {}, "not_applicable_native": {}})


def profile_file(folder: Path) -> Path:
    """The profile for any suite as a file, for `--profile`."""
    path = folder / "any-suite.yaml"
    mine = profile_for_any_suite().model_copy(update={"name": "any-suite"})
    path.write_text(yaml.safe_dump(mine.model_dump(mode="json")), encoding="utf-8")
    return path


def planned(key: str, **decision: Any) -> Planned:
    """One requirement of a plan; `decision` sets not_applicable, not_run, takes_s and the like."""
    name, _, _ = key.partition("[")
    about = {"why": f"why of {name}", "remedy": (f"fix {name}",), "tier": "quick", "takes_s": 10.0, "budget_s": 60.0}
    about["group"] = "gpu"
    return Planned(key=key, id=name, title=f"title of {name}", nodeid=f"checks/test_gpu.py::{key}", **about | decision)


def opened(*plan: Planned, **about: Any) -> journal.Opened:
    """The first line of a record."""
    usual: dict[str, Any] = {
        "suite": Suite(version="0.1.0", commit="abc", modified=False, sha256="00"),
        "options": Options(profile="any-suite"),
        "profile": profile_for_any_suite(),
        "machine": MACHINE,
    }
    return journal.Opened(at=AT, plan=plan, **(usual | about))


def image_ready(**about: Any) -> journal.ImageReady:
    """The image exists; `about` sets standin and the like."""
    usual: dict[str, Any] = {
        "reference": "dgxcert:course",
        "id": "sha256:77",
        "architecture": "arm64",
        "commit": "abc",
        "size_bytes": 20_000_000_000,
        "stack": "course",
        "base": "base@sha256:1",
        "base_digest": "sha256:1",
        "lock_sha256": "aa",
        "suite_sha256": "00",
        "recipe_sha256": "cc",
        "untouched": True,
        "built_here": True,
        "on_pinned_base": True,
    }
    return journal.ImageReady(at=AT, image=Image(**(usual | about)))


def started(key: str, child: int = 1) -> journal.Started:
    """A requirement starts."""
    return journal.Started(at=AT, key=key, stage="native", child=child)


def finished(key: str, outcome: Outcome = Outcome.PASSED, **about: Any) -> journal.Finished:
    """A requirement ends; `about` sets reason, remedy, evidence."""
    usual = {"duration_s": 2.5} | ({"evidence": (HELD,)} if outcome is Outcome.PASSED else {})
    return journal.Finished(at=AT, key=key, outcome=outcome, **(usual | about))


def short_of(required: float) -> Evidence:
    """A quantity that is below its limit."""
    held = {
        "sign": ">=",
        "name": "decode",
        "value": required,
        "unit": "token/s",
        "source": "limit decode.fp16: 85 % of 273 GB/s",
        "measured": 9.8,
        "holds": False,
    }
    return Evidence.model_validate(MEASURED.model_dump() | {"held_against": [held]})


def record(*lines: journal.Event | str) -> str:
    """The text of a record with these events; what is not an event is a line that a crash cut short."""
    links = Chain()
    texts = []
    for line in lines:
        if isinstance(line, str):
            links.skip(line.encode())
            texts.append(line)
        else:
            texts.append(links.link(line.model_dump_json().encode()).decode())
    return "".join(f"{text}\n" for text in texts)


def every_event() -> list[journal.Event]:
    """One of each kind of line."""
    return [
        opened(planned("A"), planned("B", not_applicable="no GPU here"), ignored_environment=("PYTHONWARNINGS",)),
        journal.ChildStarted(at=AT, stage="native", number=1, pid=4711, log="logs/native-1.log"),
        journal.SoftwareRead(at=AT, stage="native", software=software.read()),
        image_ready(),
        started("A"),
        journal.Said(at=AT, key="A", text="1.0 of 30 min"),
        journal.Stopped(at=AT, key="A", reason="only 3.1 GiB of memory were left to the machine"),
        journal.Refused(at=AT, stage="native", child=1, said="finished", why="'B' is not being measured"),
        finished("A", Outcome.FAILED, reason="9.8 < 13\nµ ✓", remedy=("look",), evidence=(short_of(13.0),)),
        journal.StageEnded(at=AT, stage="native", problem="1 requirements were never started"),
        journal.Interrupted(at=AT, by="the user", key="A"),
        journal.Resumed(at=AT, rebooted=True),
    ]
