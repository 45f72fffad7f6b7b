"""JUnit XML for GitHub, GitLab and Jenkins: all five outcomes, none of them lost in translation.

A failed requirement is a failure, an inconclusive one an error, the two that were not measured are skipped;
a lost one (the run ended early) is an error too, so that no dashboard shows an unfinished run as green. What is waived
is skipped, since a dashboard knows no other word for it: its message says how it ended and who answers for it.
"""

from collections import Counter
from xml.etree import ElementTree

from dgxcert.judgement.verdict import tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.words import meaning, measured, open_results, printable, shortened

LONGEST = 20_000
"""Characters of one reason: GitLab and GitHub show no more, and a log line of megabytes helps nobody."""


def render(run: Run) -> str:
    """The run as JUnit XML."""
    lost = {result.key for result in open_results(run)}
    suites = ElementTree.Element("testsuites", _counts(run, lost))
    suite = ElementTree.SubElement(suites, "testsuite", {**_counts(run, lost), "timestamp": run.started})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in {
        "verdict": run.judgement.verdict.value,
        "meaning": meaning(run),
        "waived": str(len(run.waived)),
        "counts": tally(run.judgement.counts),
        **{f"count.{name}": str(number) for name, number in run.judgement.counts.items()},
        "profile": run.profile.name,
        "weights": run.options.weights.value,
        "suite": f"{run.suite.version} {run.suite.commit or ''}".strip(),
    }.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    for result in run.results:
        _case(suite, result, result.key in lost)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _counts(run: Run, lost: set[str]) -> dict[str, str]:
    tags = Counter(_tag(result, result.key in lost) for result in run.results)
    return {
        "name": "dgxcert",
        "tests": str(len(run.results)),
        "failures": str(tags["failure"]),
        "errors": str(tags["error"]),
        "skipped": str(tags["skipped"]),
        "time": f"{sum(result.duration_s or 0 for result in run.results):.3f}",
    }


def _tag(result: Result, lost: bool) -> str:
    """What JUnit calls this ending; "" for a pass."""
    if result.outcome is Outcome.PASSED:
        return ""
    if result.waiver:
        return "skipped"
    named = {Outcome.FAILED: "failure", Outcome.INCONCLUSIVE: "error"}
    return named.get(result.outcome, "error" if lost else "skipped")


def _case(suite: ElementTree.Element, result: Result, lost: bool) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": f"dgxcert.{result.group}", "name": result.key, "time": f"{result.duration_s or 0:.3f}"},
    )
    properties = ElementTree.SubElement(case, "properties")
    ElementTree.SubElement(properties, "property", {"name": "outcome", "value": result.outcome.value})
    if tag := _tag(result, lost):
        first = printable(result.reason.split("\n", 1)[0][:LONGEST])
        who = printable(f" ({result.waiver.words})") if result.waiver else ""
        trouble = ElementTree.SubElement(case, tag, {"message": f"{result.words}{who}: {first}"})
        steps = [f"{number}. {step}" for number, step in enumerate(result.remedy, start=1)]
        trouble.text = shortened("\n".join([result.reason, *steps]), LONGEST)
    if result.evidence:
        ElementTree.SubElement(case, "system-out").text = measured(result.evidence)
