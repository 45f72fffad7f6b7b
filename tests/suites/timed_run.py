"""Run folders of invented runs with benchmarks, for tests of comparison and calibration."""

import json
from pathlib import Path
from typing import Any

from suites.example import MACHINE, finished, image_ready, opened, planned

from dgxcert.judgement.evidence import Evidence
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Outcome
from dgxcert.record import journal, run

DECODE = "DECODE-SPEED[bf16-tuned-single]"
LIMIT = "decode.bf16.tuned.single"
WORK = 64.0


def gpu(uuid: str, product: str = "NVIDIA GB10") -> Gpu:
    """One GPU of an invented machine."""
    return Gpu(index=0, product=product, uuid=uuid, compute_capability="12.1")


def evidence(rate: float, required: float) -> Evidence:
    """A decode speed compared with its limit."""
    held: dict[str, Any] = {"sign": ">=", "name": "decode", "value": required, "unit": "token/s", "measured": rate}
    held |= {"source": f"limit {LIMIT}: a guess", "holds": rate >= required}
    about = {"name": "decode", "value": rate, "unit": "token/s", "source": "30 rounds"}
    return Evidence.model_validate(about | {"held_against": [held]})


def write(
    folder: Path,
    *,
    rate: float = 20.0,
    required: float = 10.0,
    uuid: str = "GPU-1",
    info: dict[str, Any] | None = None,
    outcome: Outcome | None = None,
    more: tuple[journal.Event, ...] = (),
    **about: Any,
) -> Path:
    """A run of one benchmark at a rate, whose rounds spread by 1 %."""
    folder.mkdir(parents=True)
    machine = MACHINE.model_copy(update={"gpus": (gpu(uuid),), "driver": "580.95.05"})
    passed = Outcome.PASSED if rate >= required else Outcome.FAILED
    ended = finished(DECODE, outcome or passed, reason="a reason", evidence=(evidence(rate, required),))
    events = [opened(planned(DECODE), **({"machine": machine} | about)), image_ready(), *more, ended]
    (folder / run.NAME).write_text(run.assemble(events, folder.name).model_dump_json(), encoding="utf-8")
    seconds = [WORK / rate * (1 + step / 1000) for step in range(-5, 6)]
    extra = {"requirement": DECODE, "amount": WORK} | (info or {})
    content = {"benchmarks": [{"name": "x", "extra_info": extra, "stats": {"data": seconds}}]}
    (folder / "benchmark.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
