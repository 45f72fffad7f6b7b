"""Merge: what a room says of its machines is what their records prove, and of two runs the latest counts."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from suites import merged_room as lab
from suites.example import finished
from suites.rooms import pair

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.room.document import HostResult, PairResult, Room
from dgxcert.record.room.word import Word
from dgxcert.room import merge
from dgxcert.room.merging import verification

NOW = datetime(2026, 12, 1, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, committed: None) -> Path:
    """A room of six Sparks, of which spark-03 decodes 9 % slower."""
    return lab.room(tmp_path_factory.mktemp("room"), 6, decode=lambda number: 12.74 if number == 3 else 14.0)


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(template, tmp_path / template.name))


def host(room: Room, name: str) -> HostResult:
    (found,) = [each for each in room.hosts if each.name == name]
    return found


def run_of(folder: Path, name: str) -> Path:
    (run,) = sorted((folder / name).iterdir())
    return run


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def hosts_of(folder: Path, **changes: Any) -> None:
    """Change what hosts.json says of spark-02."""
    path = folder / "hosts.json"
    listed = json.loads(path.read_text(encoding="utf-8"))
    listed[2] |= changes
    path.write_text(json.dumps(listed), encoding="utf-8")


def test_every_host_has_its_verdict_and_the_slow_one_is_named(folder: Path) -> None:
    room = merge.merge(folder, NOW)
    assert [each.name for each in room.hosts] == [f"spark-0{number}" for number in range(6)]
    assert {each.verdict for each in room.hosts} == {Verdict.CERTIFIED}
    assert room.exit_code == 0
    assert [outlier.says for compared in room.compared for outlier in compared.outliers] == [
        "spark-03 decodes in bf16 9 % slower than the other 5; no setting that runs record sets it apart"
    ]
    first = host(room, "spark-00")
    assert first.says.startswith("CERTIFIED")
    assert first.run == "spark-00/2026-11-23T18-40-12Z-spark-00"
    assert (first.profile, first.configuration["firmware"]) == ("dgx-spark", "5.36")
    assert first.identity["GPU 0"] == "GPU-5b1f0000"
    assert any(figure.name == "decode-16bit" for figure in first.figures)
    assert room.suite.version == "0.2.0"
    assert (room.notes, room.clashes, room.differences) == ((), (), ())


def test_a_changed_run_json_gives_no_verdict(folder: Path) -> None:
    run = run_of(folder, "spark-01")
    change(run / runs.NAME, '"value":14.0', '"value":15.0')
    room = merge.merge(folder, NOW)
    changed = host(room, "spark-01")
    assert (changed.word, changed.verdict, changed.validated) == (Word.UNPROVEN, None, False)
    assert "does not match records.jsonl" in changed.said
    assert room.exit_code == 2
    assert "spark-01" not in room.compared[0].values


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda run: (run / journal.NAME).unlink(), "records.jsonl is missing"),
        (lambda run: change(run / journal.NAME, '"value":14.0', '"value":15.0'), "it was changed"),
        (lambda run: (run / runs.NAME).write_text("{}"), "is not a run that this dgxcert reads"),
        (lambda run: (run / runs.NAME).write_text("{" * 100_000), "is not a run that this dgxcert reads"),
        (lambda run: shutil.rmtree(run), "its run is not here"),
    ],
    ids=["no record", "changed record", "empty", "nested", "no run"],
)
def test_a_host_without_proof_is_not_validated(folder: Path, break_it: Any, says: str) -> None:
    break_it(run_of(folder, "spark-01"))
    found = host(merge.merge(folder, NOW), "spark-01")
    assert (found.word, found.validated) == (Word.UNPROVEN, False)
    assert says in found.said
    assert found.remedy


@pytest.mark.parametrize("name", [runs.NAME, journal.NAME])
def test_a_file_that_is_a_fifo_or_a_link_is_not_read(folder: Path, name: str) -> None:
    run = run_of(folder, "spark-01")
    (run / name).unlink()
    os.mkfifo(run / name)
    linked = run_of(folder, "spark-02")
    (linked / name).unlink()
    (linked / name).symlink_to("/etc/passwd")
    room = merge.merge(folder, NOW)
    assert not host(room, "spark-01").validated
    assert not host(room, "spark-02").validated
    assert sum("is skipped" in note for note in room.notes) == 2


def test_what_the_controller_says_of_a_host_stays(folder: Path) -> None:
    hosts_of(folder, word=Word.STOPPED, said="Ctrl-C", remedy=["Run it again."])
    stopped = host(merge.merge(folder, NOW), "spark-02")
    assert (stopped.word, stopped.said, stopped.validated) == (Word.STOPPED, "Ctrl-C", False)
    assert stopped.run is not None, "what there is can be read"


def test_a_setting_that_only_the_host_can_tell_is_compared(folder: Path) -> None:
    path = folder / "hosts.json"
    listed = json.loads(path.read_text(encoding="utf-8"))
    for number, each in enumerate(listed):
        quiet = " iommu=off" if number == 3 else ""
        each["configuration"] = {"kernel command line": f"BOOT_IMAGE=/vmlinuz root=UUID={number} quiet{quiet}"}
    path.write_text(json.dumps(listed), encoding="utf-8")
    room = merge.merge(folder, NOW)
    (line,) = room.differences
    assert (line.name, line.majority, line.others) == (
        "kernel command line",
        "quiet",
        {"quiet iommu=off": ("spark-03",)},
    )
    (outlier,) = [each for compared in room.compared for each in compared.outliers]
    assert outlier.says.endswith("; it alone has kernel command line quiet iommu=off")


def test_one_machine_under_two_names_is_a_clash(folder: Path) -> None:
    shutil.rmtree(folder / "spark-02")
    shutil.copytree(folder / "spark-01", folder / "spark-02")
    room = merge.merge(folder, NOW)
    (clash,) = room.clashes
    assert clash.hosts == ("spark-01", "spark-02")
    assert "they are one machine" in clash.says
    assert room.exit_code == 2


def test_a_failed_pair_or_a_rejected_machine_counts_first() -> None:
    about = {"name": "a", "address": "a", "word": Word.VALIDATED}
    well = HostResult(**about, verdict=Verdict.CERTIFIED)
    rejected, doubtful = (HostResult(**about, verdict=each) for each in (Verdict.REJECTED, Verdict.INCONCLUSIVE))
    absent = HostResult(name="b", address="b", word=Word.NO_ROUTE)
    untested = PairResult(hosts=("a", "b"), says="not tested")
    passed = pair("a", "b", *[Outcome.PASSED] * 3)
    unasked = pair("a", "b", *[Outcome.NOT_APPLICABLE] * 3)
    codes = {
        0: [([well], []), ([well], [passed]), ([well], [unasked]), ([well], [passed, unasked])],
        1: [([well, rejected], []), ([rejected, absent], []), ([rejected, doubtful], [untested])],
        2: [
            ([well, doubtful], []),
            ([well, absent], []),
            ([well], [untested]),
            ([well], [unasked, untested]),
            ([], []),
        ],
    }
    code: int
    rooms: list[tuple[list[HostResult], list[PairResult]]]
    for code, rooms in codes.items():
        for results, pairs in rooms:
            assert merge.exit_code(results, pairs, ()) == code


def test_a_pair_file_that_is_none_is_noted(folder: Path) -> None:
    (folder / "pairs").mkdir()
    (folder / "pairs" / "pairs.json").write_text('[{"hosts": ["a"]}]')
    room = merge.merge(folder, NOW)
    assert room.pairs == ()
    assert any("is no list of pairs" in note for note in room.notes)


def test_of_two_runs_of_a_machine_the_latest_that_ended_counts(folder: Path, tmp_path: Path) -> None:
    later = [each.model_copy(update={"at": "2026-11-24T18:40:12.000Z"}) for each in lab.events(lab.spark(1), 13.9)]
    lab.write(folder / "spark-01", later, "2026-11-24T18-40-12Z-spark-01")
    room = merge.merge(folder, NOW)
    assert host(room, "spark-01").run == "spark-01/2026-11-24T18-40-12Z-spark-01"
    assert room.notes == ("spark-01: 2026-11-24T18-40-12Z-spark-01 counts, the latest that ended; 1 run of it before",)
    again = merge.merge_folders([folder], tmp_path / "out", NOW)
    assert host(again, "spark-01").run_id == host(room, "spark-01").run_id


def test_the_same_run_twice_counts_once(folder: Path, tmp_path: Path) -> None:
    run = run_of(folder, "spark-01")
    shutil.copytree(run, tmp_path / "copies" / run.name)
    room = merge.merge_folders([folder, tmp_path / "copies", run], tmp_path / "out", NOW)
    assert [each.name for each in room.hosts] == [f"spark-0{number}" for number in range(6)]
    assert room.notes == (f"spark-01: {run.name} is here 2 times",)
    assert room.clashes == ()


def test_folders_that_are_no_runs_are_nobodys_machine(folder: Path, tmp_path: Path) -> None:
    (folder / "spark-01" / "notes").mkdir()
    (folder / "spark-01" / "notes" / "a.txt").write_text("x")
    (folder / "dangling").symlink_to("nowhere")
    room = merge.merge_folders([folder], tmp_path / "out", NOW)
    assert len(room.hosts) == 6
    assert any("dangling is skipped" in note for note in room.notes)
    with pytest.raises(CannotStart, match="There is no run in"):
        merge.merge_folders([folder / "spark-01" / "notes"], tmp_path / "out", NOW)
    with pytest.raises(CannotStart, match="There is no folder"):
        merge.merge_folders([folder / "absent"], tmp_path / "out", NOW)


def test_runs_of_another_tier_are_compared_with_their_like_alone(folder: Path) -> None:
    run = run_of(folder, "spark-05")
    shutil.rmtree(run)
    options = lab.events(lab.spark(5))[0].options.model_copy(update={"stack": "current"})
    lab.write(folder / "spark-05", lab.events(lab.spark(5), 12.3, options=options))
    room = merge.merge(folder, NOW)
    assert "spark-05" not in {outlier.host for compared in room.compared for outlier in compared.outliers}
    assert {each.among for each in room.compared} == {"stack course"}
    assert any("5 of stack course, 1 of stack current" in note for note in room.notes)
    assert any("1 machine among fewer than 5 of a kind" in note for note in room.notes)


def test_two_machines_of_one_host_name_stay_two(tmp_path: Path) -> None:
    for number in (1, 2):
        lab.write(tmp_path / str(number), lab.events(lab.spark(number, hostname="spark", gpus=lab.spark(number).gpus)))
    room = merge.merge_folders([tmp_path], tmp_path / "out", NOW)
    assert [each.name for each in room.hosts] == ["spark (1420525000001)", "spark (1420525000002)"]


def test_a_run_that_did_not_end_and_one_without_proof_are_listed(tmp_path: Path) -> None:
    whole = lab.write(tmp_path / "a", lab.events(lab.spark(1)))
    killed = lab.write(tmp_path / "b", lab.events(lab.spark(2)))
    (killed / runs.NAME).unlink()
    (whole / journal.NAME).unlink()
    room = merge.merge_folders([tmp_path], tmp_path / "out", NOW)
    assert {each.name.partition("/")[0]: each.word for each in room.hosts} == {"a": Word.UNPROVEN, "b": Word.DIED}
    assert room.exit_code == 2


def test_a_rejected_machine_keeps_its_problems(folder: Path) -> None:
    run = run_of(folder, "spark-04")
    shutil.rmtree(run)
    made = lab.events(lab.spark(4))
    at = next(at for at, each in enumerate(made) if isinstance(each, journal.Finished) and each.key == "DISK-SPACE")
    made[at] = finished("DISK-SPACE", Outcome.FAILED, reason="x" * 5000)
    lab.write(folder / "spark-04", made)
    room = merge.merge(folder, NOW)
    rejected = host(room, "spark-04")
    assert (rejected.verdict, room.exit_code) == (Verdict.REJECTED, 1)
    (problem,) = rejected.problems
    assert problem.key == "DISK-SPACE"
    assert len(problem.reason) <= 300


def test_a_list_of_hosts_that_leads_out_of_the_room_is_refused(folder: Path) -> None:
    hosts_of(folder, name="../elsewhere")
    with pytest.raises(CannotStart, match="is no name of one host"):
        merge.merge(folder, NOW)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The runs that are verified."""
    verified: list[Path] = []
    real = verification._of

    def noted(path: Path, now: datetime) -> tuple[str, str]:
        verified.append(path)
        return real(path, now)

    monkeypatch.setattr(verification, "_of", noted)
    return verified


def aged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all runs had been there for a while."""
    monkeypatch.setattr(verification, "JUST_MADE_S", -3600.0)


def test_a_run_is_verified_once_for_the_same_bytes(
    folder: Path, counted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(folder, monkeypatch)
    first = merge.merge(folder, NOW)
    assert len(counted) == 6
    assert merge.merge(folder, NOW) == first
    assert len(counted) == 6
    run = run_of(folder, "spark-01")
    change(run / runs.NAME, '"value":14.0', '"value":15.0')
    assert not host(merge.merge(folder, NOW), "spark-01").validated
    assert counted[6:] == [run]


def test_a_folder_that_the_first_merge_makes_keeps_what_it_verified(
    folder: Path, counted: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(folder, monkeypatch)
    for _ in range(2):
        merge.merge_folders([folder], tmp_path / "new" / "out", NOW)
    assert len(counted) == 6


def test_a_run_that_was_just_made_is_verified_again(
    folder: Path, counted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "JUST_MADE_S", 3600.0)
    merge.merge(folder, NOW)
    merge.merge(folder, NOW)
    assert len(counted) == 12


def test_what_was_kept_of_another_room_is_not_believed(
    folder: Path, counted: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(folder, monkeypatch)
    merge.merge(folder, NOW)
    copy = Path(shutil.copytree(folder, tmp_path / "copy" / folder.name))
    merge.merge(copy, NOW)
    assert len(counted) == 12


def test_many_runs_are_verified_by_several_processes(template: Path, tmp_path: Path) -> None:
    """Which ask nothing of the suite again: it is not the committed one in them."""
    for number in range(12):
        source = run_of(template, f"spark-0{number % 6}")
        shutil.copytree(source, tmp_path / str(number) / source.name)
    said: list[str] = []
    room = merge.merge_folders([tmp_path], tmp_path / "out", NOW + timedelta(days=1), said.append)
    assert {each.verdict for each in room.hosts} == {Verdict.CERTIFIED}
    assert len(room.hosts) == 6
    assert said == ["12 runs are rebuilt from their records"]
