"""The pages: what the results folder holds, escaped and cut, with links that lead somewhere."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from suites.certified import SPARK, folder
from suites.example import finished
from suites.report_runs import HOSTILE, hostile
from suites.results_folder import fill, keep, machine, made
from suites.signing import NOW, allowed_signers, make_key

from dgxcert.certificate import signed_run
from dgxcert.outcome import Outcome
from dgxcert.site import machines, pages
from dgxcert.site.output import OURS
from dgxcert.site.standing import Signers

LATER = datetime(2026, 12, 24, 12, tzinfo=UTC)
VARIABLE = re.compile(r"var\((--[a-z]+)\)")


def render(results: Path, out: Path | None = None, signers: Signers | None = None) -> dict[str, str]:
    seen = machines.read(results, out or results.parent / "pages", LATER, signers, lambda _: None)
    return pages.render(seen, LATER, verified=signers is not None)


def page_of(rendered: dict[str, str], host: str) -> str:
    (name,) = (name for name in rendered if name.startswith(f"machine-{host}-"))
    return rendered[name]


def text(page: str) -> str:
    """What is read on a page, without its style, tags and runs of space."""
    without = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", without)


def test_the_index_has_a_line_for_each_machine_and_a_page_behind_it(tmp_path: Path) -> None:
    results = tmp_path / "results"
    fill(results, machine(1), [14.0, 14.2])
    keep(results, made(machine(2), 3, 9.0, finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free")))
    rendered = render(results)
    index = text(rendered["index.html"])
    assert "2 machines, 3 runs, as of 2026-12-24 12:00 UTC" in index
    assert "1 REJECTED 1 CERTIFIED" in index
    assert "spark-01 2 runs ✔ CERTIFIED 2026-01-12 06:00 UTC, standard GB10 dgx-spark" in index
    assert "decode bf16 14.2 token/s" in index
    links = set(re.findall(r'href="(machine-[^"]*)"', rendered["index.html"]))
    assert links == set(rendered) - {"index.html"}
    assert all(OURS.fullmatch(name) for name in rendered)


def test_a_machine_is_its_gpus_and_not_its_name(tmp_path: Path) -> None:
    results = tmp_path / "results"
    fill(results, machine(1), [14.0])
    keep(results, made(machine(1, hostname="renamed"), 5))
    fill(results, machine(2, hostname="renamed"), [14.0])
    rendered = render(results)
    assert len(rendered) == 3
    assert "host name spark-01 → renamed" in text(" ".join(rendered.values()))


def test_a_machine_page_shows_figures_over_time_changes_and_steps(tmp_path: Path) -> None:
    results = tmp_path / "results"
    fill(results, machine(1), [14.0, 14.01, 13.99, 14.0, 14.02, 14.0, 14.01])
    newer = machine(1, driver="590.10")
    for week in (7, 8):
        keep(results, made(newer, week, 12.0))
    page = page_of(render(results), "spark-01")
    assert "decode bf16 : 12 token/s 12 to 14, median 14, in 9 runs" in text(page)
    assert "prefill bf16 : 15 token/s 15 in each of 9 runs" in text(page)
    assert "driver 580.95.05 → 590.10" in text(page)
    assert "is 14.3% slower since" in text(page)
    assert page.count('class="mark"') == 2, "one in each chart"
    rows = re.findall(r'<th role="rowheader" scope="row">(\S+)', page)
    assert rows == sorted(rows, reverse=True)


def test_the_figures_of_the_last_run_that_has_any_are_shown_with_its_date(tmp_path: Path) -> None:
    results = tmp_path / "results"
    fill(results, machine(1), [14.0])
    unmeasured = made(machine(1), 4)
    unmeasured = unmeasured.model_copy(
        update={"results": tuple(each.model_copy(update={"evidence": ()}) for each in unmeasured.results)}
    )
    keep(results, unmeasured)
    assert "decode bf16 14 token/s" in text(render(results)["index.html"])
    assert "in the run of 2026-01-05 06:00" in text(render(results)["index.html"])


def test_a_figure_that_failed_or_is_not_of_the_last_run_is_no_present_one(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run = made(machine(1), 1, 14.0)
    failed = tuple(each.model_copy(update={"outcome": Outcome.FAILED}) for each in run.results)
    keep(results, run.model_copy(update={"results": failed}))
    assert "decode bf16 : 14 token/s, failed measured in one run" in text(page_of(render(results), "spark-01"))
    bare = made(machine(1), 4)
    bare = bare.model_copy(update={"results": tuple(each.model_copy(update={"evidence": ()}) for each in bare.results)})
    keep(results, bare)
    assert re.search(
        r"decode bf16 : 14 token/s, failed, on 2026-01-\d\d measured", text(page_of(render(results), "spark-01"))
    )


@pytest.mark.parametrize("out", ["pages", "results/pages", "results", "a/pages", "results/../b"])
def test_reports_are_linked_by_a_relative_path_that_leads_to_them(tmp_path: Path, out: str) -> None:
    results, place = tmp_path / "results", tmp_path / out
    odd = keep(results, made(machine(1), 1), name="50% of #1 & <more>")
    (odd / "report.html").write_text("<p>report", encoding="utf-8")
    without, linked = keep(results, made(machine(1), 2)), keep(results, made(machine(1), 3))
    (linked / "report.html").symlink_to("/etc/passwd")
    place.mkdir(parents=True, exist_ok=True)
    page = page_of(render(results, place), "spark-01")
    (link,) = re.findall(r'href="([^"]*report\.html)"', page)
    from urllib.parse import unquote

    assert os.path.samefile(place / unquote(link), odd / "report.html")
    assert without.name in text(page)


def test_reports_are_not_linked_where_only_the_root_is_common(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run = keep(results, made(machine(1), 1))
    (run / "report.html").write_text("<p>report", encoding="utf-8")
    page = page_of(render(results, Path("/nowhere/pages")), "spark-01")
    assert "report.html" not in page
    assert str(tmp_path) not in page


def test_hostile_text_has_no_effect(tmp_path: Path) -> None:
    results = tmp_path / "results"
    keep(results, hostile(), name="hostile")
    for page in render(results).values():
        assert "<script" not in page
        assert "<img" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "{{" not in page or "{{ 7*7 }}" in page
    assert "&lt;script&gt;" in render(results)["index.html"]


def test_long_texts_and_names_are_cut(tmp_path: Path) -> None:
    results = tmp_path / "results"
    long = "x" * 10_000
    keep(results, made(machine(1, hostname=long, driver=long), 1))
    keep(results, made(machine(1, hostname=long, driver=long + "y"), 2))
    rendered = render(results)
    assert all(len(name) < 80 for name in rendered)
    assert all(len(page) < 60_000 for page in rendered.values())
    assert long[: pages.CELL_CHARS - 1] + "…" in rendered["index.html"]


def test_odd_folders_cost_a_line_each_and_lists_end(tmp_path: Path) -> None:
    results = tmp_path / "results"
    fill(results, machine(1), [14.0])
    for number in range(pages.MOST_LINES + 7):
        (results / f"odd-{number:03}").mkdir()
        (results / f"odd-{number:03}" / "run.json").write_text(HOSTILE, encoding="utf-8")
    (results / "half").mkdir()
    (results / "half" / "records.jsonl").touch()
    index = render(results)["index.html"]
    assert index.count("is not a run that this dgxcert reads") == pages.MOST_LINES
    assert "… and 7 more" in index
    assert re.search(r"Not finished.*half", text(index))
    assert "1 machine, 1 run" in text(index)


def test_a_page_shows_the_latest_runs_and_says_how_many_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_RUNS", 3)
    results = tmp_path / "results"
    fill(results, machine(1), [14.0] * 5)
    page = page_of(render(results), "spark-01")
    assert page.count('<th role="rowheader"') == 3
    assert "… and 2 older" in text(page)
    assert "2026-02-02 06:00" in text(page)


def test_no_secret_of_this_process_is_on_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "x7Qm2kLp9Rt4")
    results = tmp_path / "results"
    keep(results, made(machine(1, hostname="host-x7Qm2kLp9Rt4"), 1))
    assert not any("x7Qm2kLp9Rt4" in name + page for name, page in render(results).items())


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert "There are no runs yet" in text(render(tmp_path)["index.html"])


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    results = tmp_path / "results"
    fill(results, machine(1), [14.0, 13.0])
    assert render(results) == render(results)


def test_styles_use_the_report_s_palette() -> None:
    defined = set(re.findall(r"(--[a-z]+):", "".join(path.read_text(encoding="utf-8") for path in pages.SHARED_STYLES)))
    used = set(VARIABLE.findall((pages.HERE / "site.css").read_text(encoding="utf-8")))
    assert used
    assert used <= defined


def test_certificates_are_verified_from_the_latest_until_one_is_valid(tmp_path: Path, committed: None) -> None:
    key = make_key(tmp_path / "ada")
    signers = Signers(allowed_signers(tmp_path / "allowed", key))
    results = tmp_path / "results"
    first = folder(results)
    signed_run.sign(first, key, 365, NOW, lambda _: None)
    second = results / "2026-11-24T10-00-00Z-spark-07"
    import shutil

    shutil.copytree(first, second)
    (second / "logs" / "container-1.log").write_text("changed", encoding="utf-8")
    keep(results, made(SPARK, 46, 9.0, finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free")))
    unverified = text(render(results)["index.html"])
    assert "signed, not verified here; until 2027-11-23" in unverified
    assert "No signature was verified for this page" in unverified
    rendered = render(results, signers=signers)
    index, page = text(rendered["index.html"]), text(page_of(rendered, "spark-07"))
    assert "valid until 2027-11-23, signed by ada@lab" in index
    assert "the last run is not the certified one" in index
    assert "invalid: logs/container-1.log was changed after signing" in page
