"""Check a run folder: `python scripts/check_run.py FOLDER VERDICT [--wheel]`. Exits 1 if it is not whole."""

import argparse
import json
import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema

SCHEMA = Path(__file__).resolve().parents[1] / "docs" / "run.schema.json"
BEGIN = ("opened", "started")


def problems(folder: Path, verdict: str) -> list[str]:
    """The problems of a run folder that should hold a run of that verdict."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    found = [f"run.json: {error.json_path}: {error.message}" for error in validator.iter_errors(run)]
    if run["judgement"]["verdict"] != verdict:
        found.append(f"the verdict is {run['judgement']['verdict']}, wanted {verdict}")
    cases = ElementTree.parse(folder / "junit.xml").findall(".//testcase")  # noqa: S314 (our own file)
    if len(cases) != len(run["results"]):
        found.append(f"junit.xml has {len(cases)} requirements, run.json of {len(run['results'])}")
    timed = benchmarks(folder) if run["options"]["tier"] != "quick" else []  # which times nothing
    if run["options"]["tier"] != "quick" and not timed:
        found.append("benchmark.json holds no benchmark")
    if not all(len(benchmark["stats"]["data"]) >= 3 for benchmark in timed):
        found.append("benchmark.json holds a benchmark with fewer than 3 rounds")
    reports = ("summary.md", "report.html", "metrics.prom")
    silent = [report for report in reports if verdict not in (folder / report).read_text(encoding="utf-8")]
    found += [f"{report} does not name the verdict" for report in silent]
    found += image_problems(folder, run)
    measured = [result for result in run["results"] if result["outcome"] == "passed"]
    found += [f"{result['key']} passed without evidence" for result in measured if not result["evidence"]]
    return found


def wheel_problems(run: dict[str, Any]) -> list[str]:
    """How a run was not made by an intact wheel, or speaks of make, which a wheel does not have."""
    suite = run["suite"]
    found = [] if suite.get("installed") else ["it was not made by an installed wheel"]
    if suite["modified"] is not False:
        found.append(f"the wheel is not intact: {suite['reason']}")
    said = [*run["notes"], *(step for result in run["results"] for step in result["remedy"])]
    return found + [f"it says: {text}" for text in said if re.search(r"\bmake [a-z-]+( [A-Z_]+=|$|`)", text)]


def benchmarks(folder: Path) -> list[dict[str, Any]]:
    """The benchmarks in a run's benchmark.json."""
    kept: list[dict[str, Any]] = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))["benchmarks"]
    return kept


def image_problems(folder: Path, run: dict[str, Any]) -> list[str]:
    """The problems of a run in the container: missing facts about the image, files of another owner."""
    if run["options"]["runtime"] != "docker":
        return []
    facts = run["image"] or {}
    found = [f"run.json: the image's {name} is unknown" for name in ("id", "base_digest") if not is_digest(facts, name)]
    if not facts.get("lock_sha256"):
        found.append("run.json: the image's lock is unknown")
    if not any(result["stage"] == "container" for result in run["results"]):
        found.append("nothing was measured in the container")
    strangers = [path.name for path in (folder, *folder.rglob("*")) if path.stat().st_uid != os.getuid()]
    return found + [f"{name} does not belong to the caller" for name in strangers]


def is_digest(facts: dict[str, Any], name: str) -> bool:
    """Whether a fact is a digest."""
    return str(facts.get(name, "")).startswith("sha256:")


def began(folder: Path) -> str:
    """When the first check began, for information only."""
    events = [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    times = [datetime.fromisoformat(next(each["at"] for each in events if each["event"] == kind)) for kind in BEGIN]
    return f"the first check began {(times[1] - times[0]).total_seconds():.1f} s after the run was opened"


def main() -> None:
    """Print the problems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("verdict")
    parser.add_argument("--wheel", action="store_true", help="it must have been made by an installed wheel")
    options = parser.parse_args()
    folder, verdict = options.folder, options.verdict
    found = problems(folder, verdict)
    if options.wheel:
        found += wheel_problems(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    if found:
        sys.exit("\n".join([f"{folder}:", *found]))
    print(f"{folder}: a whole {verdict} run, as docs/run.schema.json describes it; {began(folder)}")


if __name__ == "__main__":
    main()
