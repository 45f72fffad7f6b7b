"""Ask PyPI's advisory database about every pin of every lock: `make audit`. An advisory that nobody accepted fails it.

An advisory is accepted in scripts/accepted_advisories.yaml, with a reason and the last day on which that holds. Where
the database cannot be reached, that is said in one line; `--must-reach` makes it a failure.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lock_file
import yaml

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = ROOT / "scripts" / "accepted_advisories.yaml"
PROBE = "requests"
"""A package that every advisory database knows: asked about first, so that a closed network costs seconds."""


@dataclass(frozen=True)
class Advisory:
    """One known fault of one pinned version."""

    package: str
    version: str
    names: frozenset[str]
    """Its number in each database: PYSEC, CVE and GHSA."""
    fixed_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "not fixed in any version"
        return f"{self.package} {self.version}: {', '.join(sorted(self.names))}; {fixed}"


@dataclass(frozen=True)
class Accepted:
    """An advisory that a person has looked at, until a day."""

    name: str
    package: str
    reason: str
    until: datetime.date


def accepted(text: str) -> list[Accepted]:
    """The accepted advisories; raises ValueError for one without all four fields.

    >>> accepted("- {id: CVE-2026-1, package: six, reason: not called, until: 2027-01-31}")[0].until
    datetime.date(2027, 1, 31)
    """
    found = []
    for entry in yaml.safe_load(text) or []:
        match entry:
            case {
                "id": str(name),
                "package": str(package),
                "reason": str(reason),
                "until": datetime.date() as until,
            } if name and package and reason.strip() and len(entry) == 4:
                found.append(Accepted(name, package, reason, until))
            case _:
                raise ValueError(f"{ACCEPTED.name}: wanted id, package, reason and until (a date), found {entry}")
    return found


def parse(report: Mapping[str, Any]) -> tuple[set[str], list[Advisory]]:
    """pip-audit's report: the pins that the database knows, and what it says of them.

    >>> parse({"dependencies": [{"name": "six", "version": "1.0", "vulns": []}, {"name": "own", "skip_reason": ""}]})
    ({'six==1.0'}, [])
    """
    audited = [each for each in report["dependencies"] if "vulns" in each]
    advisories = {
        Advisory(
            each["name"],
            each["version"],
            frozenset({fault["id"], *fault.get("aliases", [])}),
            tuple(fault.get("fix_versions", [])),
        ): None
        for each in audited
        for fault in each["vulns"]
    }
    return {f"{each['name']}=={each['version']}" for each in audited}, list(advisories)


def open_advisories(found: list[Advisory], known: list[Accepted], today: datetime.date) -> list[str]:
    """The advisories that nobody has accepted, and those whose acceptance has ended, one line each."""
    lines = []
    for advisory in found:
        matching = [each for each in known if each.name in advisory.names and each.package == advisory.package]
        if not matching:
            lines.append(str(advisory))
        elif max(each.until for each in matching) < today:
            lines.append(f"{advisory}; was accepted until {max(each.until for each in matching)}")
    return lines


def ask(pins: list[lock_file.Entry], limit_s: float) -> Mapping[str, Any] | None:
    """pip-audit's report on these pins, or None where there is none within the limit."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-audit-") as folder:
        asked, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        asked.write_text(
            "".join(pin.text.partition(" ;")[0].partition(" \\")[0] + "\n" for pin in pins), encoding="utf-8"
        )
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
        command += ["--format", "json", "--desc", "off", "--aliases", "on", "--timeout", "5"]
        try:
            subprocess.run(
                [*command, "--output", str(report), "--requirement", str(asked)],
                capture_output=True,
                check=False,
                timeout=limit_s,
            )
            found: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        except (subprocess.TimeoutExpired, OSError, ValueError):
            return None
        return found


def pins() -> list[lock_file.Entry]:
    """Every pin of every lock, once; PyPI does not know a build with a label of its own, such as +cpu."""
    paths = [*sorted(ROOT.glob("requirements*.lock")), *sorted((ROOT / "container" / "stacks").glob("*.lock"))]
    found = {(entry.name, entry.version): entry for path in paths for entry in lock_file.read(path)}
    return [entry for entry in found.values() if "+" not in entry.version]


def main() -> None:
    """Audit every lock; exits with 1 for an open advisory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--must-reach", action="store_true", help="fail where the database cannot be reached")
    parser.add_argument("--limit-s", type=float, default=300.0, help="how long to wait for all answers, in seconds")
    options = parser.parse_args()
    known = accepted(ACCEPTED.read_text(encoding="utf-8"))
    every = pins()
    probe = ask([pin for pin in every if pin.name == PROBE], min(10.0, options.limit_s))
    report = ask(every, options.limit_s) if probe is not None and parse(probe)[0] else None
    if report is None:
        print("audit: no pin was audited: the advisory database could not be reached, or answers too slowly")
        sys.exit(2 if options.must_reach else 0)
    audited, found = parse(report)
    lines = open_advisories(found, known, datetime.datetime.now(datetime.UTC).date())
    for line in lines:
        print(f"audit: {line}", file=sys.stderr)
    for each in known:
        if not any(each.name in advisory.names for advisory in found):
            print(f"audit: {each.name} is accepted and no longer reported: remove it from {ACCEPTED.name}")
    print(f"audit: {len(audited)} of {len(every)} pins audited, {len(lines)} open advisories, {len(found)} in all")
    if lines:
        sys.exit("audit: take a fixed version (make lock UPGRADE=1), or accept it with a reason and a date")


if __name__ == "__main__":
    main()
