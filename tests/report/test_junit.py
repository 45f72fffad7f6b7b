"""junit.xml shows each outcome as its element, counts them, and escapes what XML does not allow."""

from xml.etree import ElementTree

from dgxcert.record.run import Run
from dgxcert.report import junit


def suite_of(run: Run) -> ElementTree.Element:
    suite = ElementTree.fromstring(junit.render(run)).find("testsuite")
    assert suite is not None
    return suite


def test_each_outcome_is_its_element(run: Run) -> None:
    elements = {
        case.get("name"): [child.tag for child in case if child.tag not in {"properties", "system-out"}]
        for case in suite_of(run).iter("testcase")
    }
    assert elements == {
        "PASSES": [],
        "SHORT[int4]": ["failure"],
        "UNSEEN": ["error"],
        "UNREAD": ["error"],
        "LOST": ["error"],
        "EXCUSED": ["skipped"],
        "DESELECTED": ["skipped"],
    }


def test_counts_are_those_of_the_elements(run: Run) -> None:
    suite = suite_of(run)
    for tag, count in {"failure": "failures", "error": "errors", "skipped": "skipped", "testcase": "tests"}.items():
        assert int(suite.get(count, "")) == len(list(suite.iter(tag))), tag
    outcomes = [part.get("value") for part in suite.iter("property") if part.get("name") == "outcome"]
    assert outcomes == [result.outcome.value for result in run.results]


def test_verdict_reason_and_remedy_are_in_it(run: Run) -> None:
    suite = suite_of(run)
    assert "REJECTED" in [part.get("value") for part in suite.iter("property") if part.get("name") == "verdict"]
    failure = next(suite.iter("failure"))
    assert failure.get("message") == "failed: decode is 9.8 token/s, required >= 13 token/s"
    assert "1. fix SHORT" in (failure.text or "")


def test_control_characters_are_escaped(hostile: Run) -> None:
    failure = next(suite_of(hostile).iter("failure"))
    assert "\\x1b[2J\\x07\\x00" in (failure.text or "")
