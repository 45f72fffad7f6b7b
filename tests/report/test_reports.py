"""Every face of a run tells the same truth, whatever a machine calls itself and however much went wrong."""

import io
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console
from suites.example import MACHINE, finished, opened, planned, short_of, started

from dgxcert import report
from dgxcert.judgement.evidence import Evidence, violation
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Outcome
from dgxcert.plan.options import Weights
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import junit, markdown, terminal

HOSTILE = (
    "GB10 | x\n```\n# CERTIFIED: yes\n</code><script>alert(1)</script>"
    "\x1b[2J\x07\x00 [l](http://x) \u202e *b* `c` \\| [red]"
)

SHORT = short_of(13.0)


def assemble(*events: journal.Event) -> Run:
    return runs.assemble(list(events), "run")


@pytest.fixture(scope="module")
def run() -> Run:
    """All five outcomes, the not-run both left out and lost, with two that failed for one reason."""
    plan = [planned(key) for key in ("PASSES", "SHORT[int4]", "UNSEEN", "UNREAD", "LOST")]
    reason = "\n".join(violation(SHORT, SHORT.held_against[0]))
    return assemble(
        opened(*plan, planned("EXCUSED", not_applicable="no GPU"), planned("LEFT", not_run="deselected by --only")),
        finished("PASSES", evidence=(Evidence(name="pass rate", value=1, unit="", source="here"),)),
        finished("SHORT[int4]", Outcome.FAILED, reason=reason, evidence=(SHORT,)),
        finished("UNSEEN", Outcome.INCONCLUSIVE, reason="the driver is stuck", remedy=("restart the machine",)),
        finished("UNREAD", Outcome.INCONCLUSIVE, reason="the driver is stuck", remedy=("restart the machine",)),
        started("LOST"),
    )


@pytest.fixture(scope="module")
def hostile() -> Run:
    """A machine, its readings and its errors made to break out of every format."""
    gpu = Gpu(index=0, product=HOSTILE, uuid=HOSTILE, compute_capability=HOSTILE)
    names = dict.fromkeys(("hostname", "product", "serial", "firmware", "driver", "cpu"), HOSTILE)
    machine = Machine.model_validate(MACHINE.model_dump() | names | {"gpus": (gpu,)})
    reading = Evidence(name=HOSTILE, value=HOSTILE, unit=HOSTILE, source=HOSTILE)
    return assemble(
        opened(planned("A"), planned("B"), machine=machine),
        finished("A", Outcome.FAILED, reason=HOSTILE, remedy=(HOSTILE,), evidence=(reading,)),
        finished("B", Outcome.INCONCLUSIVE, reason=HOSTILE, remedy=(HOSTILE,)),
        journal.Interrupted(by=HOSTILE),
    )


def suite_of(run: Run) -> ElementTree.Element:
    suite = ElementTree.fromstring(junit.render(run)).find("testsuite")
    assert suite is not None
    return suite


def test_junit_shows_every_outcome_as_what_it_is(run: Run) -> None:
    shown = {
        case.get("name"): [child.tag for child in case if child.tag not in {"properties", "system-out"}]
        for case in suite_of(run).iter("testcase")
    }
    assert shown == {
        "PASSES": [],
        "SHORT[int4]": ["failure"],
        "UNSEEN": ["error"],
        "UNREAD": ["error"],
        "LOST": ["error"],
        "EXCUSED": ["skipped"],
        "LEFT": ["skipped"],
    }


def test_junit_counts_what_it_shows(run: Run) -> None:
    suite = suite_of(run)
    for tag, count in {"failure": "failures", "error": "errors", "skipped": "skipped", "testcase": "tests"}.items():
        assert int(suite.get(count, "")) == len(list(suite.iter(tag))), tag
    outcomes = [part.get("value") for part in suite.iter("property") if part.get("name") == "outcome"]
    assert outcomes == [result.outcome.value for result in run.results]


def test_junit_carries_verdict_reason_and_remedy(run: Run) -> None:
    suite = suite_of(run)
    assert "REJECTED" in [part.get("value") for part in suite.iter("property") if part.get("name") == "verdict"]
    failure = next(suite.iter("failure"))
    assert failure.get("message") == "failed: decode is 9.8 token/s, required >= 13 token/s"
    assert "1. mend SHORT" in (failure.text or "")


def test_no_machine_breaks_junit(hostile: Run) -> None:
    failure = next(suite_of(hostile).iter("failure"))
    assert "\\x1b[2J\\x07\\x00" in (failure.text or "")


def parsed(run: Run) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(markdown.render(run))


def texts(tokens: list[Token], kind: str) -> list[str]:
    """What a reader sees in every heading or cell."""
    inline = [after for token, after in pairwise(tokens) if token.type == f"{kind}_open"]
    return ["".join(child.content for child in token.children or []) for token in inline]


def test_markdown_has_the_verdict_every_trouble_and_every_requirement(run: Run) -> None:
    assert texts(parsed(run), "heading") == [
        "REJECTED: at least one requirement was measured and does not hold",
        "FAILED: SHORT[int4]",
        "INCONCLUSIVE: UNSEEN, UNREAD",
        "NOT RUN: LOST",
        "Machine and software",
        "Requirements",
    ]
    cells = texts(parsed(run), "td")
    assert cells[::3] == [result.key for result in run.results]
    assert cells[1::3] == [result.outcome.words for result in run.results]


def test_no_machine_breaks_the_markdown(hostile: Run) -> None:
    tokens = parsed(hostile)
    assert [heading.partition(":")[0] for heading in texts(tokens, "heading")] == [
        "REJECTED",
        "FAILED",
        "INCONCLUSIVE",
        "Machine and software",
        "Requirements",
        "Notes",
    ]
    every = [*tokens, *(child for token in tokens for child in token.children or [])]
    assert {token.type for token in every} & {"html_block", "html_inline", "link_open", "image"} == set()
    cells = texts(tokens, "td")
    assert len(cells) == 3 * len(hostile.results)
    assert "GB10 | x ``` # CERTIFIED: yes </code><script>alert(1)</script>\\x1b[2J" in cells[2]
    assert not set(markdown.render(hostile)) & set("\x1b\x07\x00\u202e")


@pytest.mark.parametrize("character", ["é", "\x07"])
def test_a_summary_of_a_thousand_troubles_fits_into_a_ci_job_summary(character: str) -> None:
    plan = [planned(f"R-{number}") for number in range(2000)]
    ends = [finished(entry.key, Outcome.FAILED, reason=f"{entry.key} {character * 9000}") for entry in plan]
    rendered = markdown.render(assemble(opened(*plan), *ends))
    assert len(rendered.encode()) < 2**20
    assert rendered.startswith("# REJECTED")
    assert "run.json" in rendered, "it must say where the rest is"


def shown(run: Run, width: int = 80, folder: str = "results/run") -> str:
    console = Console(file=io.StringIO(), width=width)
    terminal.show(run, console, folder)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_shows_measured_required_where_from_and_what_to_do(run: Run) -> None:
    printed = shown(run, width=200)
    assert "FAILED SHORT[int4]\ndecode is 9.8 token/s, required >= 13 token/s\n" in printed
    assert "  measured: median of 10 rounds\n" in printed
    assert "  required: limit decode.fp16: 85 % of 273 GB/s\n" in printed
    assert "--- SHORT[int4]: what to do ---\n1. mend SHORT\n" in printed
    assert "why it matters: why of SHORT" in printed


def test_the_terminal_ends_with_counts_verdict_and_folder(run: Run) -> None:
    assert shown(run).splitlines()[-3:] == [
        "1 passed, 1 failed, 2 inconclusive, 1 not applicable, 2 not run",
        "REJECTED: at least one requirement was measured and does not hold (exit 1)",
        "kept in results/run",
    ]


def test_the_terminal_tells_one_trouble_once(run: Run) -> None:
    assert shown(run).count("the driver is stuck") == 1
    assert "INCONCLUSIVE UNSEEN, UNREAD\n" in shown(run)


@pytest.mark.parametrize("width", [40, 80])
def test_no_key_is_cut_or_taken_for_markup(run: Run, width: int) -> None:
    assert "SHORT[int4]" in shown(run, width).partition("FAILED")[0]
    assert shown(run, folder="/tmp/[red]/run").endswith("kept in /tmp/[red]/run\n")


def test_no_machine_controls_the_terminal(hostile: Run) -> None:
    assert not set(shown(hostile)) & set("\x1b\x07\x00\u202e")


@pytest.mark.parametrize(
    ("gpus", "hint"), [((), True), ((Gpu(index=0, product="GB10", uuid="u", compute_capability="12.1"),), False)]
)
def test_rehearsing_is_suggested_only_where_there_is_no_gpu(gpus: tuple[Gpu, ...], hint: bool) -> None:
    machine = MACHINE.model_copy(update={"gpus": gpus})
    run = assemble(opened(planned("GPU-PRESENT"), machine=machine), finished("GPU-PRESENT", Outcome.FAILED))
    assert ("make validate PROFILE=cpu" in shown(run, 200)) is hint
    assert ("make validate PROFILE=cpu" in markdown.render(run)) is hint


def test_no_rehearsal_is_suggested_for_another_failure(run: Run) -> None:
    assert "make validate PROFILE=cpu" not in shown(run)


def test_every_face_is_rebuilt_from_run_json_to_the_byte(hostile: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, of in ((first, lambda: hostile), (second, lambda: runs.load(first))):
        folder.mkdir()
        report.write(of(), folder)
    names = sorted(path.name for path in first.iterdir())
    assert names == ["junit.xml", "run.json", "summary.md"]
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]


def test_the_terminal_says_what_was_not_to_be_run_and_why(run: Run) -> None:
    (reason,) = {result.reason for result in run.results if result.outcome is Outcome.NOT_RUN and not result.wanted}
    printed = shown(run, 200)
    assert f"not run, {reason}: " in printed
    assert [line for line in printed.splitlines() if line.startswith("not applicable, ")]


@pytest.mark.parametrize(("weights", "words"), [(Weights.SEEDED, "nothing was downloaded"), (Weights.HUB, "pinned")])
def test_every_face_says_what_models_were_made_of(run: Run, weights: Weights, words: str) -> None:
    told = run.model_copy(update={"options": run.options.model_copy(update={"weights": weights})})
    assert words in markdown.render(told)
    assert words in shown(told, width=200)
    assert weights.value in [part.get("value") for part in suite_of(told).iter("property")]


def test_no_face_goes_on_showing_an_older_verdict(tmp_path: Path) -> None:
    for name in ("report.html", "metrics.prom"):
        (tmp_path / name).write_text("CERTIFIED", encoding="utf-8")
    report.write(runs.assemble([opened(planned("A")), finished("A")], "run"), tmp_path)
    assert not {"report.html", "metrics.prom"} & {path.name for path in tmp_path.iterdir()}
