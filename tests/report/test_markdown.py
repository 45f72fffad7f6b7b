"""summary.md holds verdict, problems and requirements, within the size that GitHub accepts, with all text escaped."""

from itertools import pairwise

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from suites.example import finished, opened, planned

from dgxcert.outcome import Outcome
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import markdown


def parsed(run: Run) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(markdown.render(run))


def texts(tokens: list[Token], kind: str) -> list[str]:
    """The visible text of every heading or cell."""
    inline = [after for token, after in pairwise(tokens) if token.type == f"{kind}_open"]
    return ["".join(child.content for child in token.children or []) for token in inline]


def test_it_has_the_verdict_every_problem_and_every_requirement(run: Run) -> None:
    assert texts(parsed(run), "heading") == [
        "REJECTED (limits: 0 measured, 0 published, 0 derived): "
        "at least one requirement was measured and does not hold",
        "FAILED: SHORT[int4]",
        "INCONCLUSIVE: UNSEEN, UNREAD",
        "NOT RUN: LOST",
        "Machine and software",
        "Requirements",
    ]
    cells = texts(parsed(run), "td")
    assert cells[::3] == [result.key for result in run.results]
    assert cells[1::3] == [result.outcome.label for result in run.results]


def test_hostile_text_stays_text(hostile: Run) -> None:
    tokens = parsed(hostile)
    assert [heading.partition(":")[0].partition(" (")[0] for heading in texts(tokens, "heading")] == [
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
def test_a_thousand_problems_fit_into_a_job_summary(character: str) -> None:
    plan = [planned(f"R-{number}") for number in range(2000)]
    endings = [finished(entry.key, Outcome.FAILED, reason=f"{entry.key} {character * 9000}") for entry in plan]
    rendered = markdown.render(runs.assemble([opened(*plan), *endings], "run"))
    assert len(rendered.encode()) < 2**20
    assert rendered.startswith("# REJECTED")
    assert "run.json" in rendered, "it must name the file that holds the rest"
