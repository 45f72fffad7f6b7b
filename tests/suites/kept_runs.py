"""The runs in docs/measurements, which an earlier dgxcert wrote, as runs that this one reads."""

import json
from pathlib import Path

from dgxcert.profiles import profile as profiles
from dgxcert.record.run import Run

MEASUREMENTS = Path(__file__).parents[2] / "docs" / "measurements"


def load(name: str) -> Run:
    """The run in a folder of docs/measurements, `2026-11-27-h200/second`, with today's profile in place of its own."""
    content = json.loads((MEASUREMENTS / name / "run.json").read_text(encoding="utf-8"))
    content["profile"] = profiles.load(content["profile"]["name"]).model_dump(mode="json")
    return Run.model_validate_json(json.dumps(content))
