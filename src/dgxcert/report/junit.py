"""junit.xml for GitHub, GitLab and Jenkins: every outcome as the element that a dashboard shows for it.

| outcome | element |
| --- | --- |
| passed | none |
| failed | failure |
| inconclusive | error |
| not applicable, or deselected | skipped |
| not run because the run ended early | error: no dashboard may show an unfinished run as green |
| waived | skipped, with the outcome and the waiver in its message: JUnit has no nearer element |
"""

from collections import Counter
from xml.etree import ElementTree

from dgxcert.console import on_one_line, printable
from dgxcert.judgement import basis_count
from dgxcert.judgement.verdict import tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.words import meaning, measured, open_results, repeated, shortened

LONGEST = 20_000
"""Characters of one reason. GitLab and GitHub show no more, and a log line may have megabytes."""


def render(run: Run) -> str:
    """The run as JUnit XML."""
    unresolved = {result.key for result in open_results(run)}
    suites = ElementTree.Element("testsuites", _counts(run, unresolved))
    suite = ElementTree.SubElement(suites, "testsuite", {**_counts(run, unresolved), "timestamp": run.started})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in {
        "verdict": run.judgement.verdict.value,
        "meaning": meaning(run),
        "waived": str(len(run.waived)),
        "counts": tally(run.judgement.counts),
        "limits": basis_count.described(run.limits).removeprefix("limits: "),
        **{f"limits.{basis}": str(number) for basis, number in (run.limits or {}).items()},
        **{f"count.{name}": str(number) for name, number in run.judgement.counts.items()},
        "profile": run.profile.name,
        **({"site": run.profile.site.description} if run.profile.site else {}),
        "weights": run.options.weights.value,
        "suite": f"{run.suite.version} {run.suite.commit or ''}".strip(),
    }.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    for result in run.results:
        _add_case(suite, result, result.key in unresolved)
    ElementTree.indent(suites)
    # XML 1.0 has no way to write a control character. Escapes are plain text, so that the whole can be made printable.
    written = printable(ElementTree.tostring(suites, encoding="unicode"))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{written}\n'


def _counts(run: Run, unresolved: set[str]) -> dict[str, str]:
    tags = Counter(_tag(result, result.key in unresolved) for result in run.results)
    return {
        "name": "dgxcert",
        "tests": str(len(run.results)),
        "failures": str(tags["failure"]),
        "errors": str(tags["error"]),
        "skipped": str(tags["skipped"]),
        "time": f"{sum(result.duration_s or 0 for result in run.results):.3f}",
    }


def _tag(result: Result, unresolved: bool) -> str:
    """Name of the element that JUnit has for an outcome; "" for a pass, which has none."""
    if result.outcome is Outcome.PASSED:
        return ""
    if result.waiver:
        return "skipped"
    measured_tags = {Outcome.FAILED: "failure", Outcome.INCONCLUSIVE: "error"}
    return measured_tags.get(result.outcome, "error" if unresolved else "skipped")


def _add_case(suite: ElementTree.Element, result: Result, unresolved: bool) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": f"dgxcert.{result.group}",
            "name": on_one_line(result.key),
            "time": f"{result.duration_s or 0:.3f}",
        },
    )
    properties = ElementTree.SubElement(case, "properties")
    for name, value in {"outcome": result.outcome.value, "attempts": str(result.attempts)}.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    if tag := _tag(result, unresolved):
        first_line = result.reason.split("\n", 1)[0][:LONGEST]
        waiver = on_one_line(f" ({result.waiver.description})") if result.waiver else ""
        element = ElementTree.SubElement(case, tag, {"message": f"{result.label}{waiver}: {first_line}"})
        steps = [f"{number}. {step}" for number, step in enumerate(result.remedy, start=1)]
        element.text = shortened("\n".join([result.reason, *steps]), LONGEST)
    if lines := list(filter(None, (measured(result.evidence), repeated(result)))):
        ElementTree.SubElement(case, "system-out").text = shortened("\n".join(lines), LONGEST)
