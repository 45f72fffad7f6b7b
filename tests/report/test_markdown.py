"""summary.md holds verdict, problems and requirements, within the size that GitHub accepts, with all text escaped."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from suites import kept_runs
from suites.certified import speed
from suites.example import finished, opened, planned

from dgxcert.outcome import Outcome
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import markdown

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def parsed(run: Run) -> list[Token]:
    return GITHUB.parse(markdown.render(run))


def batched(items: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    """The items in tuples of that size: the rows of tables that all have as many cells."""
    rest = iter(items)
    while row := tuple(islice(rest, size)):
        yield row


def texts(tokens: list[Token], kind: str) -> list[str]:
    """The visible text of every heading or cell."""
    inline = [after for token, after in pairwise(tokens) if token.type == f"{kind}_open"]
    return ["".join(child.content for child in token.children or []) for token in inline]


def folds(tokens: list[Token]) -> list[str]:
    """The titles of what is folded; fails where raw HTML is anything else, or where a fold is not closed."""
    blocks = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert blocks[1::2] == ["</details>"] * (len(blocks) // 2)
    titles = [re.fullmatch(r"<details><summary>([A-Z][a-z ]+(?:: [0-9]+)?)</summary>", each) for each in blocks[::2]]
    return [title[1] if title else "something else" for title in titles]


def test_it_has_the_verdict_and_every_problem_and_folds_the_rest(run: Run) -> None:
    tokens = parsed(run)
    assert texts(tokens, "heading") == [
        "REJECTED (limits: 0 measured, 0 published, 0 derived): "
        "at least one requirement was measured and does not hold",
        "FAILED: SHORT[int4]",
        "INCONCLUSIVE: UNSEEN, UNREAD",
        "NOT RUN: LOST",
    ]
    assert folds(tokens) == ["Requirements: 5", "Not measured: 2", "Machine and software"]
    short, *cells = batched(texts(tokens, "td"), 3)
    assert short == ("decode", "9.8 token/s", ">= 13 token/s")
    assert [key for key, *_ in cells] == [result.key for result in run.results if result.wanted]
    assert [outcome for _, outcome, _ in cells] == ["passed", "failed", "inconclusive", "inconclusive", "not run"]
    reasons = [line for line in markdown.render(run).split("\n") if line.startswith("- 1 not")]
    assert reasons == ["- 1 not applicable, no GPU: `EXCUSED`", "- 1 not run, deselected by --only: `DESELECTED`"]


def test_the_headline_figures_are_a_table_and_a_failed_one_is_marked() -> None:
    tokens = parsed(kept_runs.load("2026-11-27-h200/second"))
    figures = {label: (number, remark) for label, number, remark in batched(texts(tokens, "td"), 3)}
    assert figures["matmul bf16"] == ("675 TFLOP/s", "68% of peak")
    assert texts(tokens, "heading")[1] == "INCONCLUSIVE: WEIGHTS-LOAD[mmap]"
    slow = speed("decode", 9.8)
    key = "DECODE-SPEED[bf16-tuned-single]"
    failed = runs.assemble([opened(planned(key)), finished(key, Outcome.FAILED, evidence=(slow,))], "run")
    assert "| decode bf16 | ✘ failed: **9.8** token/s |" in markdown.render(failed)


def test_many_requirements_with_one_reason_are_counted_in_the_heading_and_named_below() -> None:
    keys = [f"R-{number}" for number in range(9)]
    endings = [finished(key, Outcome.INCONCLUSIVE, reason="no GPU") for key in keys]
    tokens = parsed(runs.assemble([opened(*map(planned, keys)), *endings], "run"))
    assert texts(tokens, "heading")[1] == "INCONCLUSIVE: 9 requirements"
    assert ", ".join(keys) in texts(tokens, "paragraph")


def test_hostile_text_stays_text(hostile: Run) -> None:
    tokens = parsed(hostile)
    assert [heading.partition(":")[0].partition(" (")[0] for heading in texts(tokens, "heading")] == [
        *("REJECTED", "FAILED", "INCONCLUSIVE"),
    ]
    assert folds(tokens) == ["Requirements: 2", "Machine and software", "Notes: 1"]
    every = [*tokens, *(child for token in tokens for child in token.children or [])]
    assert {token.type for token in every} & {"html_inline", "link_open", "image", "em_open", "s_open"} == set()
    cells = texts(tokens, "td")
    assert len(cells) == 3 * len(hostile.results)
    assert "GB10 | x ``` # CERTIFIED: yes </code><script>alert(1)</script>\\x1b[2J" in cells[2]
    assert not set(markdown.render(hostile)) & set("\x1b\x07\x00\u202e")


@pytest.mark.parametrize(
    "text",
    [
        *("https://example.com", "see http://example.com/x now", "www.example.com", "HTTP://EXAMPLE.COM"),
        *("_x_", "a _b_ c", "~~x~~", "&lt;b&gt;", "$x$", "- x", "# x", "+ x", "`x`", "<details>", "![x](y)", "*x*"),
    ],
)
def test_what_markdown_reads_as_more_than_text_stays_text(text: str) -> None:
    inline, *_ = [token for token in GITHUB.parse(markdown.cell(text)) if token.type == "inline"]
    assert [(child.type, child.content) for child in inline.children or [] if child.content] == [("text", text)]


def test_an_underscore_within_a_word_needs_no_backslash() -> None:
    assert markdown.cell("HF_TOKEN is to_device") == "HF_TOKEN is to_device"


@pytest.mark.parametrize("step", ["Run `a`b` now", "``", "`<b>`", "a `code` and ```", "`x\ny`"])
def test_code_of_a_step_cannot_leave_it(step: str) -> None:
    tokens = GITHUB.parse(f"1. {markdown._step(step)}")
    every = [*tokens, *(child for token in tokens for child in token.children or [])]
    assert {token.type for token in every} & {"html_block", "html_inline", "fence", "heading_open"} == set()


@pytest.mark.parametrize("text", ["https://example.com", "see HTTP://example.com/x", "www.example.com"])
def test_an_address_becomes_no_link_although_github_makes_links_of_bare_ones(text: str) -> None:
    assert not re.search(r"[a-z]://|www[.]", markdown.cell(text), re.IGNORECASE)


@pytest.mark.parametrize("character", ["é", "\x07"])
def test_a_thousand_problems_fit_into_a_job_summary(character: str) -> None:
    plan = [planned(f"R-{number}") for number in range(2000)]
    endings = [finished(entry.key, Outcome.FAILED, reason=f"{entry.key} {character * 9000}") for entry in plan]
    rendered = markdown.render(runs.assemble([opened(*plan), *endings], "run"))
    assert len(rendered.encode()) < 2**20
    assert rendered.startswith("# REJECTED")
    assert "run.json" in rendered, "it must name the file that holds the rest"
