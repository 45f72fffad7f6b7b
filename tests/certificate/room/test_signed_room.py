"""A signed room is valid only as a whole: every machine with its own signature, none missing, none twice."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from suites import certified, rooms
from suites.certified import GPU, SPARK
from suites.signing import FULL, LATER, NOW, allowed_signers, make_key

from dgxcert.certificate import signed_run
from dgxcert.certificate.refusal import Refused
from dgxcert.certificate.room import signed_room, summary
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import run as runs
from dgxcert.record.room import document
from dgxcert.record.room.document import HostResult, PairResult
from dgxcert.record.room.word import Word
from dgxcert.report import room as reports

SILENT: Callable[[str], None] = lambda _: None  # noqa: E731 (one word for what prints nothing)
P, F = Outcome.PASSED, Outcome.FAILED


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key") / "id")


@pytest.fixture(scope="module")
def allowed(key: Path) -> Path:
    return allowed_signers(key.parent / "allowed_signers", key)


def machine(folder: Path, number: int, *endings: Any) -> HostResult:
    """A machine of a room with its run folder."""
    name = f"spark-{number:02}"
    gpu = GPU.model_copy(update={"uuid": f"GPU-{number:08x}"})
    about = SPARK.model_copy(update={"hostname": name, "serial": f"14205{number:08}", "gpus": (gpu,)})
    run = runs.load(certified.folder(folder / name, *endings, machine=about))
    place = Path(name) / run.name
    verdict, started = run.judgement.verdict, run.started
    return rooms.host(number, name=name, run=place.as_posix(), verdict=verdict, started=started, figures=())


def room_of(folder: Path, *hosts: HostResult, pairs: tuple[PairResult, ...] = (), **about: Any) -> Path:
    folder.mkdir(exist_ok=True)
    reports.write_all(rooms.room(1, wrong=False, hosts=hosts, pairs=pairs, compared=(), **about), folder)
    return folder


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room of two certified machines with a pair that passed."""
    place = tmp_path_factory.mktemp("template") / "lab"
    pair = rooms.pair("spark-01", "spark-02", P, P, P)
    return room_of(place, machine(place, 1), machine(place, 2), pairs=(pair,))


@pytest.fixture(scope="module")
def signed(template: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same room, signed."""
    place = tmp_path_factory.mktemp("signed") / "lab"
    shutil.copytree(template, place)
    signed_room.sign(place, key, 365, NOW, SILENT)
    return place


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A copy of the room."""
    return Path(shutil.copytree(template, tmp_path / "lab"))


@pytest.fixture
def path(signed: Path, tmp_path: Path) -> Path:
    """The signed file of a copy of the signed room."""
    return Path(shutil.copytree(signed, tmp_path / "signed")) / "room-certificate.json"


def verified(path: Path, allowed: Path) -> signed_room.VerifiedRoom:
    return signed_room.verify(path, allowed, LATER)


def refusal(path: Path, allowed: Path) -> str:
    with pytest.raises(Refused) as raised:
        verified(path, allowed)
    return raised.value.problem


def test_a_room_of_certified_machines_is_a_certificate_that_lists_each(path: Path, allowed: Path) -> None:
    found = verified(path, allowed)
    assert (path.name, found.certifies) == ("room-certificate.json", True)
    assert sorted(found.machines) == ["spark-01", "spark-02"]
    assert all(each.certifies for each in found.machines.values())
    assert summary.of_verification(found)[-1] == "VERIFIED"
    assert found.statement.predicate.passed == ("spark-01", "spark-02")
    assert found.statement.extension.expires == min(
        each.statement.extension.expires for each in found.machines.values()
    )


@pytest.mark.parametrize("word", [Word.NO_ROUTE, Word.DIED, Word.STOPPED])
def test_a_machine_that_was_not_validated_makes_it_a_report(
    word: Word, tmp_path: Path, key: Path, allowed: Path
) -> None:
    folder = room_of(tmp_path / "lab", machine(tmp_path / "lab", 1), rooms.absent(2, word))
    path = signed_room.sign(folder, key, 365, NOW, SILENT)
    found = verified(path, allowed)
    assert (path.name, found.certifies) == ("room-report.json", False)
    assert found.statement.predicate.result == "FAILED"
    assert f"  spark-02: not validated: {word.value}" in summary.of_verification(found)


def test_a_rejected_machine_makes_it_a_report(tmp_path: Path, key: Path, allowed: Path) -> None:
    place = tmp_path / "lab"
    folder = room_of(place, machine(place, 1), machine(place, 2, FULL))
    path = signed_room.sign(folder, key, 365, NOW, SILENT)
    assert not verified(path, allowed).certifies
    assert verified(path, allowed).statement.predicate.failed == ("spark-02",)
    assert "  spark-02: REJECTED" in summary.of_signing(signed_room.read(path).extension, path)


@pytest.mark.parametrize("outcomes", [(P, F, P), ()], ids=["failed", "untested"])
def test_a_pair_that_did_not_pass_makes_it_a_report(
    outcomes: tuple[Outcome, ...], tmp_path: Path, key: Path, allowed: Path
) -> None:
    place = tmp_path / "lab"
    pair = rooms.pair("spark-01", "spark-02", *outcomes)
    path = signed_room.sign(room_of(place, machine(place, 1), machine(place, 2), pairs=(pair,)), key, 365, NOW, SILENT)
    assert not verified(path, allowed).certifies


def test_a_pair_without_limits_leaves_it_a_certificate_that_says_so(tmp_path: Path, key: Path, allowed: Path) -> None:
    place = tmp_path / "lab"
    pair = rooms.pair("spark-01", "spark-02", *[Outcome.NOT_APPLICABLE] * 3)
    path = signed_room.sign(room_of(place, machine(place, 1), machine(place, 2), pairs=(pair,)), key, 365, NOW, SILENT)
    found = verified(path, allowed)
    assert found.certifies
    assert found.statement.extension.says.endswith("2 machines, 1 pair not tested for want of limits.")


def test_a_clash_makes_it_a_report(tmp_path: Path, key: Path, allowed: Path) -> None:
    place = tmp_path / "lab"
    clashes = (rooms.clash("spark-01", "spark-02"),)
    path = signed_room.sign(
        room_of(place, machine(place, 1), machine(place, 2), clashes=clashes), key, 365, NOW, SILENT
    )
    assert not verified(path, allowed).certifies


def test_a_machine_that_is_signed_already_keeps_its_signature(folder: Path, key: Path, allowed: Path) -> None:
    path = signed_room.sign(folder, key, 365, NOW, SILENT)
    own = next(folder.glob("spark-01/*/certificate.json"))
    before = own.read_bytes()
    path.unlink()
    path.with_name(path.name + ".sig").unlink()
    assert verified(signed_room.sign(folder, key, 365, NOW, SILENT), allowed).certifies
    assert own.read_bytes() == before


def test_it_is_not_signed_twice(folder: Path, key: Path) -> None:
    signed_room.sign(folder, key, 365, NOW, SILENT)
    with pytest.raises(CannotStart, match="is signed"):
        signed_room.sign(folder, key, 365, NOW, SILENT)


@pytest.mark.parametrize("changed", ["run.json", "records.jsonl", "summary.md", "certificate.json"])
def test_a_changed_file_of_one_machine_is_refused(changed: str, path: Path, allowed: Path) -> None:
    file = next(path.parent.glob(f"spark-02/*/{changed}"))
    file.write_text(file.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert changed in refusal(path, allowed)


def test_a_changed_room_is_refused(path: Path, allowed: Path) -> None:
    file = path.parent / "room.json"
    file.write_text(file.read_text(encoding="utf-8").replace("14.2", "15.2") + " ", encoding="utf-8")
    assert refusal(path, allowed) == "room.json was changed after signing"


def test_a_missing_machine_is_refused(path: Path, allowed: Path) -> None:
    shutil.rmtree(path.parent / "spark-02")
    assert "spark-02" in refusal(path, allowed)


def test_a_machine_that_another_key_signed_is_refused(folder: Path, key: Path, allowed: Path, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")
    signed_run.sign(next(folder.glob("spark-02/*")), stranger, 365, NOW, SILENT)
    path = signed_room.sign(folder, key, 365, NOW, SILENT)
    assert refusal(path, allowed).startswith("spark-02: ")


def test_a_room_that_says_more_of_a_machine_than_its_run_is_not_signed(tmp_path: Path, key: Path) -> None:
    place = tmp_path / "lab"
    better = machine(place, 1, FULL).model_copy(update={"verdict": Verdict.CERTIFIED})
    with pytest.raises(CannotStart, match="says REJECTED of spark-01"):
        signed_room.sign(room_of(place, better), key, 365, NOW, SILENT)


def test_one_machine_does_not_stand_for_two(tmp_path: Path, key: Path) -> None:
    place = tmp_path / "lab"
    first = machine(place, 1)
    second = first.model_copy(update={"name": "spark-02"})
    with pytest.raises(CannotStart, match="nobody could verify it: it lists the signed file"):
        signed_room.sign(room_of(place, first, second), key, 365, NOW, SILENT)


def test_a_copied_run_does_not_stand_for_another_machine(tmp_path: Path, key: Path) -> None:
    place = tmp_path / "lab"
    first = machine(place, 1)
    shutil.copytree(place / "spark-01", place / "spark-02")
    second = first.model_copy(update={"name": "spark-02", "run": str(first.run).replace("spark-01/", "spark-02/", 1)})
    with pytest.raises(CannotStart, match=r"nobody could verify it: it lists the (digest|GPU)"):
        signed_room.sign(room_of(place, first, second), key, 365, NOW, SILENT)


def forged(path: Path, key: Path, change: Callable[[dict[str, Any]], None], namespace: str) -> Path:
    """The signed file with something changed, and signed again by the same key."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    path.with_name(path.name + ".sig").unlink()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, path], check=True)
    return path


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda it: it["predicate"]["dgxcert"].update(clashes=1), "do not make it one"),
        (lambda it: it["predicate"]["dgxcert"]["members"].pop(), "lists of machines"),
        (lambda it: it["predicate"].update(passedTests=["spark-01"]), "lists of machines"),
        (lambda it: it["predicate"].update(result="WARNED"), "its result is WARNED"),
        (lambda it: it["subject"].pop(), "does not cover|evidence digest"),
        (lambda it: it["predicate"]["dgxcert"].update(expires="2029-01-01T00:00:00Z"), "valid for longer"),
        (lambda it: it["predicate"]["dgxcert"].update(issued="2027-11-01T00:00:00Z"), "in the future"),
        (lambda it: it["predicate"]["dgxcert"]["members"][0].update(serial="9"), "is not what the room says"),
        (lambda it: it["predicate"]["dgxcert"]["members"][0].update(host="spark-99"), "lists of machines"),
        (lambda it: it["predicate"]["dgxcert"].update(extra=1), "is not a statement that this dgxcert reads"),
    ],
    ids=["clash", "member", "passed", "result", "subject", "expires", "issued", "serial", "host", "unknown"],
)
def test_a_statement_that_contradicts_itself_or_its_machines_is_refused(
    change: Callable[[dict[str, Any]], None], problem: str, path: Path, key: Path, allowed: Path
) -> None:
    assert re.search(problem, refusal(forged(path, key, change, "dgxcert-room-certificate"), allowed))


@pytest.mark.parametrize("namespace", ["dgxcert-room-report", "dgxcert-certificate"])
def test_a_signature_for_something_else_is_refused(namespace: str, path: Path, key: Path, allowed: Path) -> None:
    assert refusal(forged(path, key, lambda _: None, namespace), allowed)


def test_it_expires_with_its_first_machine(folder: Path, key: Path, allowed: Path) -> None:
    path = signed_room.sign(folder, key, 10, NOW, SILENT)
    assert refusal(path, allowed).startswith("it expired on 2026-12-03")


def test_a_room_without_a_validated_machine_cannot_be_signed(tmp_path: Path, key: Path) -> None:
    with pytest.raises(CannotStart, match="nothing to sign"):
        signed_room.sign(room_of(tmp_path / "lab", rooms.absent(1, Word.SUDO)), key, 365, NOW, SILENT)


def test_the_file_of_a_room_is_found_by_its_folder(folder: Path, key: Path) -> None:
    with pytest.raises(CannotStart, match="is not signed"):
        signed_room.file_of(folder)
    path = signed_room.sign(folder, key, 365, NOW, SILENT)
    assert signed_room.file_of(folder) == signed_room.file_of(path) == path


def test_a_run_outside_of_the_rooms_folder_is_not_signed(folder: Path, tmp_path: Path, key: Path) -> None:
    room = document.load(folder)
    shutil.move(folder / "spark-01", tmp_path / "spark-01")
    first = room.hosts[0].model_copy(update={"run": f"../{room.hosts[0].run}"})
    elsewhere = room.model_copy(update={"hosts": (first, *room.hosts[1:])})
    (folder / document.NAME).write_text(elsewhere.model_dump_json(), encoding="utf-8")
    with pytest.raises(CannotStart, match="lies outside of"):
        signed_room.sign(folder, key, 365, NOW, SILENT)
