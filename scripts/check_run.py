"""Check a run folder from outside: `python scripts/check_run.py FOLDER VERDICT`. Exits 1 naming what is wrong."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema

SCHEMA = Path(__file__).resolve().parents[1] / "docs" / "run.schema.json"


def problems(folder: Path, verdict: str) -> list[str]:
    """What is wrong with a run folder that should hold a run of that verdict; nothing when it is well."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    found = [f"run.json: {error.json_path}: {error.message}" for error in validator.iter_errors(run)]
    if run["judgement"]["verdict"] != verdict:
        found.append(f"the verdict is {run['judgement']['verdict']}, wanted {verdict}")
    cases = ElementTree.parse(folder / "junit.xml").findall(".//testcase")  # noqa: S314 (our own file)
    if len(cases) != len(run["results"]):
        found.append(f"junit.xml tells of {len(cases)} requirements, run.json of {len(run['results'])}")
    timed = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))["benchmarks"]
    if not timed or not all(len(benchmark["stats"]["data"]) >= 3 for benchmark in timed):
        found.append("benchmark.json holds no benchmark, or one with fewer than 3 rounds")
    if verdict not in (folder / "summary.md").read_text(encoding="utf-8"):
        found.append("summary.md does not name the verdict")
    measured = [result for result in run["results"] if result["outcome"] == "passed"]
    found += [f"{result['key']} passed without evidence" for result in measured if not result["evidence"]]
    return found


def main() -> None:
    """Print the problems."""
    folder, verdict = Path(sys.argv[1]), sys.argv[2]
    found = problems(folder, verdict)
    if found:
        sys.exit("\n".join([f"{folder}:", *found]))
    print(f"{folder}: a whole {verdict} run, as docs/run.schema.json describes it")


if __name__ == "__main__":
    main()
