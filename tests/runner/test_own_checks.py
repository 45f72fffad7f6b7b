"""A lab's own checks can reject a machine and certify nothing, are named everywhere, and speak for nothing else."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paths import ROOT
from suites import driver, example

from dgxcert.certificate import statement
from dgxcert.judgement.verdict import Ending, Verdict, judge
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan import own_checks, suite
from dgxcert.record import run as runs
from dgxcert.record.run import Run

CHECK = """
from dgxcert import requirement

@requirement("{id}", title="It holds", why="models", remedy=("Look: df -h",), {more})
def test_it(evidence, profile, request):
    {body}
"""
PASSES = "assert evidence.record('x', 1, source='y') == 1"
FORGES = """
    from dgxcert.outcome import Outcome
    from dgxcert.record.journal import Finished, Started
    from dgxcert.runner.plugin import SESSION
    session = request.config.stash[SESSION]
    session._speaker.say(Started(key='FIRST', stage=session._brief.stage, child=session._brief.number))
"""


@pytest.fixture
def checks(tmp_path: Path):
    """Write a check into a folder of a lab's own; returns the folder."""

    def write(body: str = PASSES, key: str = "OWN-IT", more: str = "stage='host'") -> Path:
        (tmp_path / "lab").mkdir(exist_ok=True)
        (tmp_path / "lab" / "test_it.py").write_text(CHECK.format(id=key, body=body, more=more))
        return tmp_path / "lab"

    return write


def validated(tmp_path: Path, *arguments: object) -> tuple[int, str, Run]:
    profile = example.profile_file(tmp_path)
    results = tmp_path / "results"
    done = driver.run("calm", "validate", "--profile", profile, "--results", results, *arguments)
    return done.returncode, done.stdout, runs.load(driver.only_run(results))


@pytest.mark.parametrize("more", ["stage='host'", "stage='work'"])
def test_what_passes_changes_no_verdict_and_is_named_everywhere(tmp_path: Path, checks, more: str) -> None:
    folder = checks(more=more)
    code, printed, run = validated(tmp_path, "--checks", folder)
    assert (code, run.judgement.verdict) == (0, Verdict.REHEARSED), printed
    version = own_checks.read(folder)
    assert run.own == version
    (mine,) = (result for result in run.results if result.group == "own")
    assert (mine.outcome, mine.stage) == (Outcome.PASSED, "own-host" if "host" in more else "own-native")
    (note,) = (note for note in run.notes if version.sha256 in note)
    assert note.startswith("group own are the lab's own checks lab")
    kept = driver.only_run(tmp_path / "results")
    for report in ("junit.xml", "summary.md", "report.html"):
        assert "OWN-IT" in (kept / report).read_text(encoding="utf-8"), report
    made = statement.make(run, {"run.json": "00"}, datetime.now(UTC), 365)
    assert made.extension.own == version
    assert version.sha256 in {part.digest.get("sha256") for part in made.predicate.configuration}


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("assert evidence.record('x', 1, source='y') == 2", Verdict.REJECTED),
        ("profile.limit('own.nobody')", Verdict.INCONCLUSIVE),
        ("assert evidence.record('x', 1, source='y') >= 2", Verdict.INCONCLUSIVE),
        ("import os; os.kill(os.getpid(), 9)", Verdict.INCONCLUSIVE),
    ],
)
def test_what_does_not_pass_keeps_the_run_from_passing(tmp_path: Path, checks, body: str, verdict: Verdict) -> None:
    _, printed, run = validated(tmp_path, "--checks", checks(body))
    assert run.judgement.verdict is verdict, printed
    assert {result.outcome for result in run.results if result.group != "own"} == {Outcome.PASSED}


def test_a_check_that_speaks_for_the_suite_is_refused(tmp_path: Path, checks) -> None:
    _, printed, run = validated(tmp_path, "--checks", checks(FORGES))
    (ours,) = (result for result in run.results if result.key == "FIRST")
    assert ours.stage == "native", printed
    assert any("said what it may not" in note for note in run.notes), run.notes
    assert run.judgement.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("names", ["GPU-PRESENT", ""])
def test_a_folder_that_writes_the_list_of_its_checks_itself_is_refused(tmp_path: Path, checks, names: str) -> None:
    folder = checks()
    entries = [
        {"id": name, "key": name, "group": "gpu", "nodeid": "x", "title": "t", "why": "w", "remedy": ["r"]}
        for name in names.split()
    ]
    (folder / "test_a.py").write_text(
        "import json, os, sys\n"
        "place = next(word for word in sys.argv if word.startswith('--dgxcert-catalogue=')).partition('=')[2]\n"
        f"open(place, 'w').write(json.dumps({entries!r}))\n"
        "os._exit(0)\n"
    )
    with pytest.raises(CannotStart, match=f"list {names or 'nothing'}: wanted ids that begin with OWN-"):
        suite.collect(suite.root(), 1, own=folder)


def test_own_passes_count_only_where_nothing_can_be_certified() -> None:
    own = [Ending(Outcome.PASSED, own=True), Ending(Outcome.NOT_APPLICABLE, excluded=True)]
    assert judge(own, certifies=True, whole=True) is Verdict.INCONCLUSIVE
    assert judge(own, certifies=True, whole=False) is Verdict.PARTIAL
    assert judge([*own, Ending(Outcome.PASSED)], certifies=True, whole=True) is Verdict.CERTIFIED
    assert judge([*own, Ending(Outcome.PASSED), Ending(Outcome.FAILED, own=True)], certifies=True, whole=True) is (
        Verdict.REJECTED
    )


BROKEN = [
    ("import nope", r"test_it\.py:1: ModuleNotFoundError: No module named 'nope'"),
    ("x = 1\ndef test_it(:\n", r"test_it\.py:2: SyntaxError"),
    (
        CHECK.format(id="IT", body=PASSES, more=""),
        r"test_it\.py:\d: requirement IT: the ids .* begin with OWN-.*OWN-IT",
    ),
    (CHECK.format(id="OWN-IT", body=PASSES, more="gate=True"), r"test_it\.py:\d: requirement OWN-IT: gate=True"),
    (CHECK.format(id="OWN-IT", body=PASSES, more="stage='after'"), r"stage 'after' is for checks of the suite"),
    (CHECK.format(id="own it", body=PASSES, more=""), r"test_it\.py:4: ValueError: requirement id 'own it'"),
    ("def test_it(): pass", r"test_it\.py::test_it carries no @requirement"),
    ("x = 1", "No check was found"),
]


@pytest.mark.parametrize(("text", "says"), BROKEN)
def test_a_broken_check_is_named_with_its_line_before_anything_is_measured(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "test_it.py").write_text(text)
    with pytest.raises(CannotStart, match=says):
        suite.collect(suite.root(), 1, own=tmp_path)


def test_only_a_folder_of_a_bounded_size_without_links_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotStart, match="No such file"):
        own_checks.read(tmp_path / "none")
    (tmp_path / "a.py").write_text("x = 1")
    monkeypatch.setattr(own_checks, "MOST_BYTES", 4)
    with pytest.raises(CannotStart, match="at most 4 are read"):
        own_checks.read(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(own_checks, "MOST_FILES", 0)
    with pytest.raises(CannotStart, match="more than 0 files"):
        own_checks.read(tmp_path)
    monkeypatch.undo()
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(CannotStart, match="is a link"):
        own_checks.read(tmp_path)


def test_every_file_but_caches_is_in_the_hash_and_a_changed_folder_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    (folder / "data").mkdir(parents=True)
    (folder / "test_a.py").write_text("x = 1")
    wanted = own_checks.read(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("compiled")
    assert own_checks.difference(str(folder), wanted) == ""
    own_checks.copy(folder, tmp_path / "copy", wanted)
    assert not (tmp_path / "copy" / "__pycache__").exists()
    for change in (lambda: (folder / "data" / "b.txt").write_text(""), lambda: (folder / "test_a.py").write_text("x")):
        before = own_checks.read(folder)
        change()
        assert "were changed since the run began" in own_checks.difference(str(folder), before)
    with pytest.raises(CannotStart, match="were changed"):
        own_checks.copy(folder, tmp_path / "again", wanted)
    assert own_checks.difference("", None) == ""


def test_a_run_whose_checks_were_changed_is_not_resumed(tmp_path: Path, checks) -> None:
    folder = checks("profile.limit('own.nobody')")
    validated(tmp_path, "--checks", folder)
    kept = driver.only_run(tmp_path / "results")
    checks(PASSES)
    done = driver.run("calm", "validate", "--resume", kept)
    assert (done.returncode, "own checks in" in done.stdout, "changed since" in done.stdout) == (3, True, True)
    checks("profile.limit('own.nobody')")
    assert driver.run("calm", "validate", "--resume", kept).returncode == 2


def test_the_suite_uses_none_of_the_names_that_a_lab_has() -> None:
    from dgxcert.judgement.units import QUANTITIES

    assert [entry.key for entry in suite.collect(suite.root(), 1) if entry.own or entry.id.startswith("OWN-")] == []
    assert [name for name in QUANTITIES if name.startswith("own.")] == []


def test_the_example_of_the_page_works(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "own-checks.md").read_text(encoding="utf-8")
    (check,), (site,) = (
        re.findall(r"```python\n(.*?)```", page, re.DOTALL),
        re.findall(r"```yaml\n(.*?)```", page, re.DOTALL),
    )
    for folder, name, text in (("lab-checks", "test_scratch.py", check), ("site", "cpu.yaml", site)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text.replace("tightens: dgx-spark", "tightens: cpu"))
    options = ("--profile", "cpu", "--tier", "quick", "--only", "own,SWAP-UNUSED", "--results", tmp_path / "results")
    suite_of_dgxcert = str(ROOT)
    done = driver.run(
        suite_of_dgxcert, "validate", *options, "--checks", tmp_path / "lab-checks", "--site", tmp_path / "site"
    )
    run = runs.load(driver.only_run(tmp_path / "results"))
    assert run.judgement.verdict is Verdict.PARTIAL, done.stdout
    assert run.profile.lab is not None
    assert any("1 limit for own checks by site profile cpu of Ada Lovelace" in note for note in run.notes)
    (mine,) = (result for result in run.results if result.group == "own")
    assert mine.evidence[0].held_against[0].limit == "own.scratch.free"
