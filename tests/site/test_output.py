"""The folder of the site page: what others made in it stays, whatever its list of files says."""

import json
import os
import threading
from pathlib import Path

import pytest

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.site import output

PAGES = {"index.html": "<p>all", "machine-a-1.html": "<p>a", "machine-b-2.html": "<p>b"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pages_are_written_replaced_and_removed(tmp_path: Path) -> None:
    out = tmp_path / "new" / "pages"
    assert output.write(out, PAGES) == out / "index.html"
    assert names(out) == {*PAGES, output.LIST}
    fewer = {"index.html": "<p>one", "machine-a-1.html": "<p>a"}
    output.write(out, fewer)
    assert names(out) == {*fewer, output.LIST}
    assert (out / "index.html").read_text() == "<p>one"


def test_a_page_that_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    output.write(tmp_path, PAGES)
    before = {name: (tmp_path / name).stat().st_ino for name in PAGES}
    output.write(tmp_path, {**PAGES, "index.html": "<p>new"})
    after = {name: (tmp_path / name).stat().st_ino for name in PAGES}
    assert [name for name in PAGES if before[name] != after[name]] == ["index.html"]


@pytest.mark.parametrize("name", ["index.html", "machine-a-1.html"])
def test_a_foreign_file_is_not_replaced_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(CannotStart, match=rf"did not write.*{name}"):
        output.write(tmp_path, PAGES)
    assert names(tmp_path) == {name}
    assert (tmp_path / name).read_text() == "mine"


def test_a_page_that_somebody_changed_is_foreign(tmp_path: Path) -> None:
    output.write(tmp_path, PAGES)
    (tmp_path / "machine-b-2.html").write_text("my notes", encoding="utf-8")
    with pytest.raises(CannotStart, match=r"changed since: machine-b-2\.html"):
        output.write(tmp_path, PAGES)
    output.write(tmp_path, {"index.html": "<p>one"})
    assert names(tmp_path) == {"index.html", "machine-b-2.html", output.LIST}, "a changed page is not removed either"


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "robots.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "notes").mkdir()
    output.write(tmp_path, PAGES)
    output.write(tmp_path, {"index.html": ""})
    assert names(tmp_path) == {"robots.txt", "notes", "index.html", output.LIST}


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "fifo", "folder"])
def test_what_is_no_plain_file_of_its_own_is_foreign(tmp_path: Path, kind: str) -> None:
    other, page = tmp_path / "precious", tmp_path / "out" / "index.html"
    page.parent.mkdir()
    other.write_text("<p>all", encoding="utf-8")
    output.write(page.parent, {"machine-a-1.html": "<p>a"})
    {
        "link": lambda: page.symlink_to(other),
        "dangling": lambda: page.symlink_to(tmp_path / "nothing"),
        "hard link": lambda: page.hardlink_to(other),
        "fifo": lambda: os.mkfifo(page),
        "folder": page.mkdir,
    }[kind]()
    content = {"format": 1, "files": {"index.html": [output._sha256(b"<p>all")]}}
    (page.parent / output.LIST).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CannotStart, match=r"index\.html"):
        output.write(page.parent, PAGES)
    assert other.read_text() == "<p>all"


@pytest.mark.parametrize("name", ["run.json", "../precious", "a.js", ".bashrc", "/etc/passwd", "machine-a/b.html"])
def test_a_list_that_names_other_files_removes_none(tmp_path: Path, name: str) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    precious.write_text("mine", encoding="utf-8")
    content = {"format": 1, "files": {name: [output._sha256(b"mine")]}}
    (out / output.LIST).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CannotStart, match="is not as it was written: it is no list of pages"):
        output.write(out, PAGES)
    assert precious.read_text() == "mine"
    assert names(out) == {output.LIST}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"files": 3}', '{"files": {"index.html": "ab"}}', "\xff", "[" * 100_000]
)
def test_a_list_that_is_none_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / output.LIST).write_text(text, encoding="latin-1")
    with pytest.raises(CannotStart, match="is not as it was written"):
        output.write(tmp_path, PAGES)
    assert names(tmp_path) == {output.LIST}


@pytest.mark.parametrize("name", ["run.json", "records.jsonl", "certificate.json", "signed-report.json"])
@pytest.mark.parametrize("below", ["", "inside", "a/b"])
def test_a_run_folder_takes_no_pages(tmp_path: Path, name: str, below: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / name).touch()
    with pytest.raises(CannotStart, match="run folder"):
        output.write(run / below, PAGES)
    assert names(run) == {name}
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(CannotStart, match="run folder"):
        output.write(tmp_path / "link" / below, PAGES)


def test_a_results_folder_may_hold_its_pages(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()
    output.write(tmp_path, PAGES)
    assert names(tmp_path) == {*PAGES, "run", output.LIST}


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="is not a folder"):
        output.write(tmp_path / "file", PAGES)
    with pytest.raises(CannotWrite):
        output.write(tmp_path / "file" / "below", PAGES)


def test_a_command_that_was_killed_leaves_nothing_foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output.write(tmp_path, PAGES)
    new = {name: f"{text} again" for name, text in PAGES.items()}
    write = output.write_text

    def killed(path: Path, text: str, mode: int) -> None:
        write(path, text, mode)
        if path.name == "machine-a-1.html":
            raise KeyboardInterrupt

    monkeypatch.setattr(output, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        output.write(tmp_path, new)
    monkeypatch.undo()
    assert (tmp_path / "machine-a-1.html").read_text() == "<p>a again"
    assert (tmp_path / "index.html").read_text() == "<p>all", "the index is written last"
    output.write(tmp_path, {"index.html": "<p>none"})
    assert names(tmp_path) == {"index.html", output.LIST}


def test_one_at_a_time_writes(tmp_path: Path) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with output._alone(tmp_path):
            inside.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert inside.wait(30)
        with pytest.raises(CannotStart, match="is being written by another dgxcert"):
            output.write(tmp_path, PAGES)
    finally:
        done.set()
        holder.join()
    assert names(tmp_path) == set()
    output.write(tmp_path, PAGES)
