"""Rooms of certified Sparks whose records prove them, for tests of merging; the fixture `committed` must be active."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suites import certified
from suites.example import finished, record

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Roofline
from dgxcert.machine.identity import Machine
from dgxcert.plan.suite import Suite
from dgxcert.profiles import profile as profiles
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.journal import Event
from dgxcert.record.room.word import Word
from dgxcert.room.folder import ABOUT, About
from dgxcert.room.options import RoomOptions

SPARK = profiles.load("dgx-spark")
KEY = "DECODE-SPEED[bf16-tuned-single]"
ROOFLINE = Roofline(value=20.0, unit="token/s", source="273 GB/s", intensity=1.0, tflops=0.27)
ROUNDS = (2.28, 2.29, 2.28, 2.27, 2.28, 2.28, 2.29, 2.28, 2.28)
NAME = "2026-11-23T18-40-12Z-{host}"


def spark(number: int, **about: Any) -> Machine:
    """One of many Sparks."""
    gpu = certified.GPU.model_copy(update={"uuid": f"GPU-5b1f{number:04}"})
    mine = {"hostname": f"spark-{number:02}", "serial": f"14205250{number:05}", "boot_id": f"b007-{number}"}
    return certified.SPARK.model_copy(update={**mine, "gpus": (gpu,), **about})


def events(machine: Machine, decode: float = 14.0, **about: Any) -> list[Event]:
    """The record of a certified run whose decode speed is this one."""
    evidence = Recorder()
    measured = evidence.record("decode", decode, unit="token/s", source="9 rounds", roofline=ROOFLINE, rounds_s=ROUNDS)
    assert measured >= SPARK.limit("decode.bf16.tuned.single")
    return certified.whole(finished(KEY, evidence=tuple(evidence.kept)), machine=machine, **about)


def write(place: Path, made: list[Event], name: str = "") -> Path:
    """The run folder of a record, with run.json and record alone."""
    opened = made[0]
    assert isinstance(opened, journal.Opened)
    folder = place / (name or NAME.format(host=opened.machine.hostname))
    folder.mkdir(parents=True)
    (folder / journal.NAME).write_text(record(*made), encoding="utf-8")
    run = runs.assemble(journal.read(folder), folder.name)
    (folder / runs.NAME).write_text(run.model_dump_json(), encoding="utf-8")
    timed = {"extra_info": {"requirement": KEY, "amount": 32}, "stats": {"data": ROUNDS}}
    (folder / "benchmark.json").write_text(json.dumps({"benchmarks": [timed]}), encoding="utf-8")
    return folder


def room(
    place: Path, machines: int, *, decode: Callable[[int], float] = lambda _: 14.0, **hosts: dict[str, Any]
) -> Path:
    """The folder of a room with so many validated Sparks; `hosts` changes what hosts.json says of one, `spark_03`."""
    folder = place / "2026-11-23T18-00-00Z-lab"
    folder.mkdir(parents=True)
    listed = []
    for number in range(machines):
        machine = spark(number)
        write(folder / machine.hostname, events(machine, decode(number)))
        about: dict[str, Any] = {"name": machine.hostname, "address": f"10.0.0.{number}", "word": Word.VALIDATED}
        listed.append(about | hosts.get(machine.hostname.replace("-", "_"), {}))
    (folder / "hosts.json").write_text(json.dumps(listed), encoding="utf-8")
    about_it = About(
        inventory="/lab/room.yaml",
        addresses={},
        options=RoomOptions(),
        suite=Suite(version="0.2.0", commit="abc", modified=False, sha256="00"),
        started="2026-11-23T18:00:00.000Z",
    )
    (folder / ABOUT).write_text(about_it.model_dump_json(), encoding="utf-8")
    return folder
