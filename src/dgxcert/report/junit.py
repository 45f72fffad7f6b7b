"""JUnit XML for GitHub, GitLab and Jenkins: all five outcomes, none of them lost in translation.

A failed requirement is a failure, an inconclusive one an error, the two that were not measured are skipped;
a lost one (the run ended early) is an error too, so that no dashboard shows an unfinished run as green.
"""

from xml.etree import ElementTree

from dgxcert.outcome import Outcome
from dgxcert.report.words import MEANING, measured, open_results, printable
from dgxcert.run import Result, Run
from dgxcert.verdict import tally


def render(run: Run) -> str:
    """The run as JUnit XML."""
    lost = {result.key for result in open_results(run)}
    suites = ElementTree.Element("testsuites", _counts(run, lost))
    suite = ElementTree.SubElement(suites, "testsuite", {**_counts(run, lost), "timestamp": run.started})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in {
        "verdict": run.judgement.verdict.value,
        "meaning": MEANING[run.judgement.verdict],
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
    failed = sum(result.outcome is Outcome.FAILED for result in run.results)
    skipped = sum(result.outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN) for result in run.results)
    unmeasured = sum(result.outcome is Outcome.NOT_RUN and result.key in lost for result in run.results)
    inconclusive = sum(result.outcome is Outcome.INCONCLUSIVE for result in run.results)
    return {
        "name": "dgxcert",
        "tests": str(len(run.results)),
        "failures": str(failed),
        "errors": str(inconclusive + unmeasured),
        "skipped": str(skipped - unmeasured),
        "time": f"{sum(result.duration_s or 0 for result in run.results):.3f}",
    }


def _case(suite: ElementTree.Element, result: Result, lost: bool) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": f"dgxcert.{result.group}", "name": result.key, "time": f"{result.duration_s or 0:.3f}"},
    )
    properties = ElementTree.SubElement(case, "properties")
    ElementTree.SubElement(properties, "property", {"name": "outcome", "value": result.outcome.value})
    if result.outcome is not Outcome.PASSED:
        tag = {Outcome.FAILED: "failure", Outcome.INCONCLUSIVE: "error"}.get(
            result.outcome, "error" if lost else "skipped"
        )
        first = printable(result.reason.split("\n", 1)[0])
        trouble = ElementTree.SubElement(case, tag, {"message": f"{result.outcome.words}: {first}"})
        steps = [f"{number}. {step}" for number, step in enumerate(result.remedy, start=1)]
        trouble.text = printable("\n".join([result.reason, *steps]))
    if result.evidence:
        ElementTree.SubElement(case, "system-out").text = measured(result.evidence)
