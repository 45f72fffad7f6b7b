"""What is said of installed packages comes from what lies there: locks, lists of files, what programs answer."""

import base64
import hashlib
import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from dgxcert.command import Completed
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.stack import base_image, cuda_libraries, lockfile, package_import, packages, pip_check
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.packages import Place
from dgxcert.workloads import fresh_process
from dgxcert.workloads.correctness import nf4_reference
from dgxcert.workloads.stack import encoding, tensor_file

LOCK = StackLock("course", "the lock", {"peft": "1.0", "torch": "2.0"})


def answer(stdout: str = "", stderr: str = "", returncode: int | None = 0) -> Completed:
    return Completed(("program",), returncode, stdout, stderr)


def install(site: Path, name: str, version: str, *, listed: bool = True) -> Path:
    """A package as pip leaves it: one file, and a list with its hash."""
    module = site / name / "__init__.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(f"version = {version!r}\n", encoding="utf-8")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    digest = base64.urlsafe_b64encode(hashlib.sha256(module.read_bytes()).digest()).decode().rstrip("=")
    if listed:
        record = f"{name}/__init__.py,sha256={digest},\n{info.name}/METADATA,,\n"
        (info / "RECORD").write_text(record, encoding="utf-8")
    return module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    install(site, "peft", "1.0")
    install(site, "torch", "2.0")
    return site


@pytest.fixture
def where(site: Path, tmp_path: Path) -> Place:
    (tmp_path / "work").mkdir()
    return Place(str(tmp_path / "work"), (str(tmp_path / "work"), str(site)))


def test_a_stack_that_is_as_locked_has_no_finding(where: Place) -> None:
    assert packages.other_versions(LOCK, where) == packages.duplicates(LOCK, where) == packages.shadowed(where) == []
    assert packages.altered(LOCK, where)[0] == []
    assert packages.said([]) == "none"


def test_one_version_written_in_two_ways_is_one(where: Place, site: Path) -> None:
    install(site, "datasets", "4.0-rc1")
    install(site, "evaluate", "0.4+cu126")
    lock = StackLock("course", "the lock", {"datasets": "4.0rc1", "evaluate": "0.4"})
    assert packages.said(packages.other_versions(lock, where)) == "evaluate: found 0.4+cu126, wanted 0.4"


def test_a_package_in_another_folder_too_is_named_where_it_is_of_the_stack(where: Place, tmp_path: Path) -> None:
    lock = StackLock("course", "the lock", {"peft": "1.0", "yaml": "6"})
    for folder in ("home", "system"):
        install(tmp_path / folder, "yaml", "6")
    install(tmp_path / "home", "peft", "0.9")
    wide = Place(where.started_in, (*where.folders, str(tmp_path / "home"), str(tmp_path / "system")))
    (found,) = packages.duplicates(lock, wide)
    assert (found.name, found.wanted) == ("peft", "one")
    assert "1.0 in" in found.found
    assert "0.9 in" in found.found


def test_a_second_note_of_any_locked_package_in_one_folder_is_named(where: Place, site: Path) -> None:
    for version in ("6", "7"):
        install(site, "yaml", version)
    lock = StackLock("course", "the lock", {"yaml": "7"})
    assert [each.name for each in packages.duplicates(lock, where)] == ["yaml"]
    assert packages.duplicates(LOCK, where) == []


@pytest.mark.parametrize(("hiding", "own"), [("torch.py", "torch.py"), ("torch/__init__.py", "torch")])
def test_a_file_in_the_working_folder_hides_a_package(where: Place, hiding: str, own: str) -> None:
    file = Path(where.started_in, hiding)
    file.parent.mkdir(exist_ok=True)
    file.touch()
    findings = packages.shadowed(where)
    assert [(each.name, each.found) for each in findings] == [("torch", str(file))]
    steps = packages.unshadow(findings, where)
    assert steps[0] == f"Give it another name: mv {where.started_in}/{own} {where.started_in}/my_{own}"
    assert any("another folder" in step for step in steps)


def test_a_folder_without_a_package_in_it_hides_nothing(where: Place) -> None:
    Path(where.started_in, "torch").mkdir()  # as a folder of checkpoints may be called
    assert packages.shadowed(where) == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_package_without_a_list_of_its_files_is_judged_by_where_it_lies(
    where: Place, site: Path, listed: bool
) -> None:
    install(site, "datasets", "4.0", listed=listed)
    assert packages.shadowed(where) == []
    Path(where.started_in, "datasets.py").touch()
    assert [each.name for each in packages.shadowed(where)] == ["datasets"]


def test_an_edited_and_a_missing_file_are_named_and_those_of_the_base_image_left_alone(
    where: Place, site: Path
) -> None:
    (site / "peft" / "__init__.py").write_text("edited = True\n", encoding="utf-8")
    (site / "torch" / "__init__.py").unlink()
    names = [str(each) for each in packages.altered(LOCK, where)[0]]
    assert names == [
        f"peft: found another {site}/peft/__init__.py, wanted the files that were installed",
        f"torch: found no {site}/torch/__init__.py, wanted the files that were installed",
    ]
    of_base = StackLock("course", "the lock", LOCK.versions, of_base=frozenset({"torch"}))
    assert [each.name for each in packages.altered(of_base, where)[0]] == ["peft"]


def test_files_of_a_package_without_a_list_were_not_looked_at(where: Place, site: Path) -> None:
    install(site, "datasets", "4.0", listed=False)
    with pytest.raises(Inconclusive, match="datasets has no list"):
        packages.altered(LOCK, where)


def test_a_package_that_lists_no_hash_is_not_the_one_that_was_pinned(where: Place, site: Path) -> None:
    (record,) = site.glob("peft-*.dist-info/RECORD")
    rows = [line.split(",")[0] for line in record.read_text(encoding="utf-8").splitlines()]
    record.write_text("".join(f"{path},,\n" for path in rows), encoding="utf-8")
    assert [str(each) for each in packages.altered(LOCK, where)[0]] == [
        "peft: found a package that lists no hash of its files, wanted the files that were installed"
    ]


def test_the_place_is_where_dgxcert_was_started_and_nothing_there_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("json.py", "ast.py", "torch.py"):
        (tmp_path / name).write_text("raise SystemExit('it was run')\n", encoding="utf-8")
    monkeypatch.setenv(packages.STARTED_IN, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "more"))
    where = packages.place()
    assert where.folders[:2] == (os.path.realpath(tmp_path), os.path.realpath(tmp_path / "more"))


PINS = """# made by `make lock`
scikit_learn==1.9.1 \\
    --hash=sha256:00
    # via -r course.in
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
scipy==1.0 ; python_full_version < '3' \\
scipy==2.0 ; python_full_version >= '3' \\
"""


def test_a_lock_is_read_for_this_very_python() -> None:
    assert lockfile.parse(PINS) == {"scikit-learn": "1.9.1", "scipy": "2.0"}
    with pytest.raises(Inconclusive, match="pins nothing"):
        lockfile.parse("# nothing\n")


def test_in_the_image_the_base_images_packages_are_locked_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lockfile, "IMAGE", tmp_path)
    monkeypatch.setattr(lockfile, "version", lambda name: None)
    monkeypatch.setenv("DGXCERT_STACK", "current")
    base = {"kept": {"torch": "2.10.0a0+nv25.11", "torchao": "0.14"}, "conflicts": ["apex wants more"]}
    (tmp_path / "base.json").write_text(json.dumps(base), encoding="utf-8")
    (tmp_path / "stack.lock").write_text("peft==1.0 \\\n", encoding="utf-8")
    found = lockfile.read()
    assert found.versions == {"peft": "1.0", "torch": "2.10.0a0+nv25.11"}  # the guard may remove torchao
    assert (found.stack, found.of_base, found.conflicts) == ("current", {"torch"}, ("apex wants more",))
    assert not any("pip install" in step for step in found.mend(["peft"]))
    monkeypatch.setattr(lockfile, "version", lambda name: "0.14")
    assert lockfile.read().versions["torchao"] == "0.14"


def test_elsewhere_the_environment_says_what_it_was_set_up_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lockfile, "IMAGE", tmp_path / "none")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(Inconclusive, match="nobody has said"):
        lockfile.read()
    assert any("make setup" in step for step in lockfile.advice("peft"))
    (tmp_path / lockfile.NATIVE).write_text("# stack course\npeft==1.0\n", encoding="utf-8")
    assert (lockfile.read().stack, lockfile.read().versions) == ("course", {"peft": "1.0"})
    assert any("peft==1.0" in step for step in lockfile.advice("peft"))


def test_setup_writes_that_lock_of_what_pip_chose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    setup: ModuleType = importlib.import_module("setup")
    assert setup.LOCK == lockfile.NATIVE
    (tmp_path / "small.lock").write_text("pytest==0.1 \\\n    --hash=sha256:00\n", encoding="utf-8")
    written = setup.lock(tmp_path / "small.in", [sys.executable, "-m", "pip", "--disable-pip-version-check"])
    assert written.startswith("# stack small\n")
    assert lockfile.parse(written)["pytest"] == pytest.__version__
    assert "mypy" not in written


CONFLICT = "peft 1.0 has requirement torch>=2.1, but you have torch 2.0."


@pytest.mark.parametrize(
    ("said", "conflicts"),
    [(answer(f"{pip_check.AGREE}\n"), []), (answer(f"{CONFLICT}\n", "WARNING: a newer pip", 1), [CONFLICT])],
)
def test_what_pip_says_of_packages_is_read(said: Completed, conflicts: list[str]) -> None:
    assert pip_check.parse(said) == conflicts
    assert pip_check.about(conflicts, LOCK) == (["peft", "torch"] if conflicts else [])


@pytest.mark.parametrize("said", [answer(""), answer("", "Traceback", 1), answer("", "", None), answer("x", "", 2)])
def test_a_pip_that_says_neither_is_inconclusive(said: Completed) -> None:
    with pytest.raises(Inconclusive, match="does not tell"):
        pip_check.parse(said)


def test_conflicts_of_the_base_image_and_a_missing_pip_are_no_fault_of_the_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pip_check.command, "run", lambda *_, **__: answer(f"{CONFLICT}\nx 1 requires y\n", "", 1))
    base = StackLock("course", "the lock", {}, conflicts=("x 1 requires y",))
    assert pip_check.read(base) == [CONFLICT]
    monkeypatch.setattr(pip_check.command, "run", lambda *_, **__: answer("", "No module named pip", 1))
    with pytest.raises(Inconclusive, match="has no pip"):
        pip_check.read(base)


def test_the_guard_of_the_base_image_is_believed_only_where_it_speaks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert base_image.parse(answer("guard: torch 2.10 is untouched, no new conflict\n")) == "nothing"
    found = answer("", "guard: FAILED it does not fit:\nguard| numpy was 2.1\nguard| new conflict: a\n", 1)
    assert base_image.parse(found) == "numpy was 2.1; new conflict: a"
    for silent in (answer(""), answer("", "Traceback", 1), answer("", "", None)):
        with pytest.raises(Inconclusive, match="could not look"):
            base_image.parse(silent)
    monkeypatch.setattr(lockfile, "IMAGE", tmp_path)
    with pytest.raises(Inconclusive, match="no base image here"):
        base_image.read()


MAPS = "/site/bitsandbytes/libbitsandbytes_cuda130.so"


def test_the_library_in_memory_is_the_one_that_counts() -> None:
    found = cuda_libraries.parse({"cuda": "13.0", "available": True, "maps": MAPS}, "")
    assert (found.major, found.of_bitsandbytes, found.library) == (13, 13, "libbitsandbytes_cuda130.so")
    assert any("driver" in step for step in found.mend)
    none = cuda_libraries.parse({"cuda": "13.0", "available": True, "maps": ""}, "")
    assert (none.of_bitsandbytes, none.library) == (0, "none was loaded")
    assert any("bitsandbytes==" in step for step in none.mend)
    other = cuda_libraries.parse({"cuda": "12.6", "available": True, "maps": MAPS}, "130")
    assert (other.major, other.of_bitsandbytes) == (12, 13)
    assert "unset BNB_CUDA_VERSION" in other.mend[0]
    for unreached in ({"cuda": None, "available": False, "maps": ""}, {"cuda": "13.0", "available": False, "maps": ""}):
        with pytest.raises(Inconclusive, match="reaches no GPU"):
            cuda_libraries.parse(unreached, "")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (answer("a banner\nat /site/peft/__init__.py\n"), ("/site/peft/__init__.py", "")),
        (answer("", "Traceback\nImportError: no libcuda\n\n", 1), ("", "ImportError: no libcuda")),
        (answer("", "", -11), ("", "the process died by signal 11")),
        (answer("", "", 3), ("", "ended with 3")),
        (answer("", "left early\n", 0), ("", "left early")),
    ],
)
def test_what_came_of_an_import_is_read(said: Completed, outcome: tuple[str, str]) -> None:
    assert package_import.outcome(said) == outcome


@pytest.mark.parametrize(("said", "words"), [(answer("", "", None), "no end"), (answer("", "", -9), "was killed")])
def test_an_import_that_was_not_seen_to_its_end_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, said: Completed, words: str
) -> None:
    monkeypatch.setattr(package_import.command, "run", lambda *_, **__: said)
    with pytest.raises(Inconclusive, match=words):
        package_import.imported("safetensors")


def test_a_package_is_imported_in_a_process_of_its_own() -> None:
    found = package_import.read("safetensors")
    assert found.imports
    assert found.location.endswith("safetensors/__init__.py")
    assert package_import.imported("no-such-package").problem == "no-such-package is not installed"


def test_a_fresh_process_that_errs_is_wrong_and_one_without_room_is_inconclusive() -> None:
    assert fresh_process.parse("metric", answer('a banner\n{"f1": 1.0}\n')) == {"f1": 1.0}
    with pytest.raises(Wrong, match="AssertionError: not the same"):
        fresh_process.parse("metric", answer("", "Traceback\nAssertionError: not the same\n", 1))
    for unseen in (answer("", "", None), answer("", "", -9), answer("", "OSError: No space left on device", 1)):
        with pytest.raises(Inconclusive):
            fresh_process.parse("metric", unseen)


def test_what_packages_compute_here_is_right() -> None:
    found = tensor_file.run()
    assert (found.changed, found.layout, found.metadata) == ("none", "as promised", tensor_file.KEPT)
    encoded = encoding.run()
    assert encoded.fast
    assert encoded.ids == encoded.known
    quantised = nf4_reference.run(Device("cpu", 0, "CPU"))
    assert quantised.bits == 4
    assert quantised.error < 4e-3


def test_a_file_with_another_byte_or_more_of_them_is_not_as_promised() -> None:
    from safetensors.torch import save

    wanted = tensor_file.tensors()
    content = save(wanted)
    assert tensor_file.layout(content, wanted) == "as promised"
    assert "bytes of" in tensor_file.layout(content[:-1] + bytes([content[-1] ^ 1]), wanted)
    assert "more than the tensors" in tensor_file.layout(content + b"\0", wanted)
