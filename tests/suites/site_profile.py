"""A site profile for tests: a file that tightens two limits of the Spark's profile."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dgxcert.profiles import profile as profiles

SPARK = profiles.load("dgx-spark")

CONTENT: dict[str, Any] = {
    "tightens": "dgx-spark",
    "profile_sha256": SPARK.sha256,
    "suite_sha256": "52" * 32,
    "who": "Ada Lovelace",
    "made": "2026-11-30",
    "runs": [
        {
            "name": f"run-{number}",
            "hostname": f"spark-0{number}",
            "machine": f"GPU-{number}",
            "sha256": f"{number}" * 64,
        }
        for number in (1, 2, 3)
    ],
    "limits": {
        "bandwidth.copy": {
            "reading": [228, 231, 226],
            "margin": 0.04,
            "digits": 3,
            "unit": "GB/s",
            "basis": "measured",
            "source": "3 runs of 3 good machines",
        },
        "temperature.under_load": {"max": 80, "unit": "°C", "basis": "measured", "source": "a cold room"},
    },
}


def write(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """The file, with one change."""
    content = copy.deepcopy(CONTENT)
    change(content)
    path = folder / "dgx-spark.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
