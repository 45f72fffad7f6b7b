"""pytest-benchmark's own file: written after every benchmark, so that a crash loses none, and merged at the end.

`pytest-benchmark compare` reads the merged file.
"""

import json
from pathlib import Path
from typing import Any

from dgxcert.files.atomic import write_text

NAME = "benchmark.json"
PART = "benchmark-*.json"


class BenchmarkFile:
    """Keeps the benchmarks of one process on disk while it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._about: dict[str, Any] = {}

    def keep(self, config: Any) -> None:
        """Write all benchmarks that this process has timed so far, in pytest-benchmark's own format."""
        session = getattr(config, "_benchmarksession", None)
        if session is None or not any(bench for bench in session.benchmarks):
            return
        if not self._about:
            self._about = {
                "machine_info": session.get_machine_info(),
                "commit_info": config.hook.pytest_benchmark_generate_commit_info(config=config),
            }
        content = config.hook.pytest_benchmark_generate_json(
            config=config, benchmarks=session.benchmarks, include_data=True, **self._about
        )
        write_text(self._path, json.dumps(content, default=str, indent=1))


def _last_of_each(benchmarks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last timing of each requirement, which is that of the attempt that counts, and all that belong to none."""
    keys = [bench.get("extra_info", {}).get("requirement") for bench in benchmarks]
    return [bench for at, bench in enumerate(benchmarks) if keys[at] is None or keys[at] not in keys[at + 1 :]]


def merge(folder: Path) -> None:
    """Join the parts in `logs/`, oldest first, into `benchmark.json`; without any benchmark there is no such file."""
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "logs").glob(PART))]
    if not parts:
        return
    merged = {**parts[-1], "benchmarks": _last_of_each([bench for part in parts for bench in part["benchmarks"]])}
    write_text(folder / NAME, json.dumps(merged, indent=1))
