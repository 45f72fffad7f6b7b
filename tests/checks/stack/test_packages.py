"""Packages: each deviation from the lock fails its own check and is named with a command that restores it."""

from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.probes.stack import beside, library_trial, packages, pip_check, shadows, switches
from dgxcert.probes.stack.library_trial import Problem, Tried
from dgxcert.probes.stack.packages import Finding
from dgxcert.probes.stack.placement import Package, Place
from dgxcert.probes.stack.switches import Switch

CHECKS = check_file.load("stack/test_packages")
PEFT = Finding("peft", "0.1", "0.18.1")


@pytest.mark.parametrize("differs", [False, True])
@pytest.mark.parametrize(
    ("check", "probe", "fault"),
    [
        (CHECKS.test_every_package_has_the_version_of_the_lock, "other_versions", "packages in another version"),
        (CHECKS.test_no_package_is_installed_twice, "duplicates", "packages installed twice"),
    ],
    ids=["version", "twice"],
)
def test_package_that_differs_from_the_lock_is_named(
    monkeypatch: pytest.MonkeyPatch,
    judge: Callable[..., Recorder],
    check: Callable[..., None],
    probe: str,
    fault: str,
    differs: bool,
) -> None:
    monkeypatch.setattr(packages, probe, lambda lock, path: [PEFT] if differs else [])
    evidence = judge(check, fault if differs else None)
    if differs:
        assert evidence.violated[0][0].value == "peft: found 0.1, expected 0.18.1"
        assert "make setup" in evidence.advice[0]


@pytest.mark.parametrize("hidden", [False, True])
def test_package_hidden_by_a_file_is_named(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], hidden: bool
) -> None:
    steps = ("Give torch.py, which the evidence names with its folder, another name.",)
    findings = [Finding("torch", "/home/ada/torch.py", "/site/torch", steps)] if hidden else []
    monkeypatch.setattr(shadows, "read", lambda lock, path: findings)
    check = CHECKS.test_no_file_is_imported_in_place_of_a_package
    evidence = judge(check, "packages hidden by a file" if hidden else None)
    assert any("Give torch.py," in step for step in evidence.advice) is hidden


@pytest.mark.parametrize(
    ("findings", "size_bytes", "fault"), [([], 3e8, None), ([PEFT], 3e8, "altered packages"), ([], 9e7, "verified")]
)
def test_altered_file_fails_and_so_does_a_check_of_too_few_bytes(
    monkeypatch: pytest.MonkeyPatch,
    judge: Callable[..., Recorder],
    findings: list[Finding],
    size_bytes: float,
    fault: str | None,
) -> None:
    monkeypatch.setattr(packages, "altered", lambda lock, path: (findings, size_bytes))
    judge(CHECKS.test_files_of_the_stack_have_their_original_hashes, fault)


@pytest.mark.parametrize(
    ("conflicts", "fault"),
    [([], None), (["peft 0.1 requires torch, which is not installed."], "packages that disagree")],
)
def test_conflicting_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], conflicts: list[str], fault: str | None
) -> None:
    monkeypatch.setattr(pip_check, "read", lambda lock: conflicts)
    evidence = judge(CHECKS.test_installed_packages_do_not_conflict, fault)
    if fault:
        assert "make setup" in evidence.advice[0]


TORCHAO = Package("torchao", "0.15.0", "/site", Place.ENVIRONMENT, "pip", ("torchao",))


@pytest.mark.parametrize(
    ("breaks", "replaces", "fault"),
    [(False, False, None), (True, False, "what they break"), (False, True, "files that they replace")],
)
def test_package_beside_the_lock_is_listed_and_named_where_it_breaks_a_library(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], breaks: bool, replaces: bool, fault: str | None
) -> None:
    findings = [Finding("peft", "peft/x.py of torchao", "its own", TORCHAO.removal)] if replaces else []
    monkeypatch.setattr(packages, "overwritten", lambda guests, path: findings)
    problems = (Problem("peft.import_utils.is_torchao_available()", "ImportError: too old", TORCHAO),) if breaks else ()
    monkeypatch.setattr(beside, "read", lambda lock, path: (TORCHAO,))
    monkeypatch.setattr(library_trial, "read", lambda found: Tried(problems))
    evidence = judge(CHECKS.test_no_package_beside_the_lock_breaks_a_library, fault)
    assert (evidence.kept[0].value, "torchao 0.15.0 (pip" in evidence.kept[0].source) == (1, True)
    assert any("uninstall -y torchao" in step for step in evidence.advice) is (breaks or replaces)
    # pip takes the replaced file away with torchao, so that it must be installed again.
    assert any("make setup" in step for step in evidence.advice) is replaces


@pytest.mark.parametrize("switched", [False, True])
def test_variable_that_switches_compilation_off_is_named_with_what_unsets_it(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], switched: bool
) -> None:
    found = (Switch("TORCH_COMPILE_DISABLE", "1", "torch.compile returns the function as it is"),) if switched else ()
    monkeypatch.setattr(switches, "read", lambda: found)
    evidence = judge(CHECKS.test_no_variable_switches_compilation_or_kernels_off, "switches" if switched else None)
    assert any("unset TORCH_COMPILE_DISABLE" in step for step in evidence.advice) is switched
