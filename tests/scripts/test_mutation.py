"""Mutants of checks are correct, and every requirement has one, and a test that judges it."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from dgxcert.command import Completed

CHECK = '''"""A check."""


def helper(found):
    assert found


@requirement(
    "SOME-THING",
    why="it must be so",
)
@pytest.mark.parametrize("name", ["a"])
def test_something(profile, evidence):
    log = probe.read()
    found = evidence.record("a thing", log.count, source="a probe")
    {statement}
    evidence.advise("nothing")
'''


@pytest.fixture
def mutation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("mutation")


SAID = "SWAP-UNUSED is passed and must be failed"


@pytest.mark.parametrize(
    ("statement", "turned", "of_itself"),
    [
        ("assert found >= profile.limit('a')", "assert found <= profile.limit('a')", "found"),
        ("assert found <= there", "assert found >= there", "found"),
        ("assert found > there", "assert found < there", "found"),
        ("assert found < there", "assert found > there", "found"),
        ("assert found == 0", "assert not found == 0", "found"),
        ("assert found.holds()", "assert not found.holds()", "found"),
        ("assert found.within(profile.limit('a'))", "assert not found.within(profile.limit('a'))", "found"),
        ("assert not found.holds()", "assert found.holds()", None),
        ("assert (\n        found\n        >= there\n    ), 'why'", "assert found <= there", "found"),
    ],
)
def test_an_assertion_is_removed_inverted_and_emptied(
    mutation: ModuleType, statement: str, turned: str, of_itself: str | None
) -> None:
    source = CHECK.replace("{statement}", statement)
    made = mutation.mutants(source, "checks/test_a.py")
    wanted = {"removed": "pass", "inverted": turned}
    if of_itself:
        wanted["compared with itself"] = f"assert {of_itself} == {of_itself}.evidence.value"
    assert {mutant.kind: mutant.after for mutant in made} == wanted
    for mutant in made:
        assert (mutant.requirement, mutant.file, mutant.line) == ("SOME-THING", "checks/test_a.py", 16)
        assert mutant.before == ast.unparse(ast.parse(statement.replace("    ", "")))
        assert mutant.text == CHECK.replace("{statement}", mutant.after), "nothing else is changed"


def test_one_of_two_assertions_is_not_compared_with_itself(mutation: ModuleType) -> None:
    made = mutation.mutants(CHECK.replace("{statement}", "assert found == 0\n    assert there == 0"), "a")
    assert [(mutant.line, mutant.kind) for mutant in made] == [
        (16, "removed"),
        (16, "inverted"),
        (17, "removed"),
        (17, "inverted"),
    ]


def test_a_call_that_fails_by_itself_is_removed(mutation: ModuleType) -> None:
    made = mutation.mutants(CHECK.replace("{statement}", "log.require_known()"), "a")
    assert [(mutant.kind, mutant.before, mutant.after) for mutant in made] == [
        ("removed", "log.require_known()", "pass")
    ]


def test_a_statement_without_a_comparison_has_no_mutant(mutation: ModuleType) -> None:
    assert mutation.mutants(CHECK.replace("{statement}", "log.close()"), "a") == []


def files(mutation: ModuleType) -> list[str]:
    found: list[str] = mutation.check_files(ROOT)
    return found


def test_every_requirement_has_mutants_and_a_judge(mutation: ModuleType) -> None:
    matrix = mutation.in_matrix(ROOT)
    seen = set()
    for file in files(mutation):
        source = (ROOT / file).read_text(encoding="utf-8")
        broken = {mutant.requirement for mutant in mutation.mutants(source, file)}
        for name, _ in mutation.requirements(source):
            assert name in broken, f"{name} compares nothing with an assert of its own"
            assert mutation.judges(name, file, matrix), f"name in scripts/mutation.py the tests that judge {file}"
            seen.add(name)
    assert set(matrix) <= seen
    assert len(seen) >= 40


def test_every_path_and_requirement_of_the_table_exists(mutation: ModuleType) -> None:
    ids = {
        name for file in files(mutation) for name, _ in mutation.requirements((ROOT / file).read_text(encoding="utf-8"))
    }
    assert set(mutation.TESTS) <= set(files(mutation)) | ids
    for words in mutation.TESTS.values():
        for word in words:
            assert not word.endswith(".py") or (ROOT / word).is_file(), word


def test_a_requirement_of_the_matrix_is_judged_by_it_first(mutation: ModuleType) -> None:
    matrix, tests = mutation.judges("SWAP-UNUSED", "checks/host/test_system_memory.py", ("SWAP-UNUSED",))
    assert matrix == ("tests/simulated/matrix.py", "--only", "SWAP-UNUSED")
    assert tests[:2] == ("-m", "pytest")
    assert "SWAP-UNUSED" in tests[-1]
    assert mutation.judges("SWAP-UNUSED", "checks/host/test_unknown.py", ()) == ()


OUTER = "FAILED tests/test_a.py::test_b[c] - AssertionError: no"
INNER = "FAILED test_c.py::test_d - of a test's own pytest"
FAILED = f"..F\n{INNER}\n{OUTER}\n1 failed"


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "found"),
    [
        (1, FAILED, "", "`tests/test_a.py::test_b[c]`"),
        (
            1,
            "",
            "\nspark-a: SWAP-UNUSED is passed and must be failed",
            "matrix: spark-a: SWAP-UNUSED is passed and must be failed",
        ),
        (1, "", "\nspark-a is well, and SWAP-UNUSED fired", "matrix: spark-a is well, and SWAP-UNUSED fired"),
    ],
)
def test_only_a_failed_test_or_a_complaint_of_the_matrix_kills(
    mutation: ModuleType, code: int, stdout: str, stderr: str, found: str
) -> None:
    judged = mutation.judgement(Completed(("python",), code, stdout, stderr))
    assert (judged.passed, judged.found, judged.trouble) == (False, found, "")


@pytest.mark.parametrize(
    ("code", "stdout", "stderr"),
    [
        (2, "ERROR tests/test_a.py - SyntaxError", ""),
        (4, "ERROR: file or directory not found: tests/test_a.py", ""),
        (1, INNER, ""),
        (5, "no tests ran", ""),
        (1, "", "Traceback (most recent call last):\nRuntimeError: a machine is passed and must be failed"),
        (None, "FAILED tests/test_a.py::test_b", ""),
    ],
)
def test_a_command_that_breaks_or_hangs_kills_nothing(
    mutation: ModuleType, code: int | None, stdout: str, stderr: str
) -> None:
    judged = mutation.judgement(Completed(("python",), code, stdout, stderr))
    assert (judged.passed, judged.found) == (False, "")
    assert judged.trouble


def test_a_command_that_finds_nothing_passes(mutation: ModuleType) -> None:
    assert mutation.judgement(Completed(("python",), 0, "3 passed", "")).passed


def test_a_copy_of_the_checkout_uses_its_own_package_and_checks(mutation: ModuleType, tmp_path: Path) -> None:
    copied = mutation.copy(ROOT, tmp_path / "copy")
    assert mutation.uses_itself(copied)
    assert mutation.check_files(copied) == files(mutation)


def test_a_row_names_mutant_and_killer(mutation: ModuleType) -> None:
    mutant = mutation.mutants(CHECK.replace("{statement}", "assert found >= there"), "checks/test_a.py")[1]
    cells = "| SOME-THING | checks/test_a.py:16 | inverted: `assert found >= there` → `assert found <= there` |"
    assert mutation.row(mutation.Tried(mutant, "`tests/test_b.py::test[a|b]`", "")) == (
        f"{cells} `tests/test_b.py::test[a\\|b]` |"
    )
    assert mutation.row(mutation.Tried(mutant, "", "")) == f"{cells} **survived** |"
    assert mutation.row(mutation.Tried(mutant, "", "it hung")) == f"{cells} **not judged** |"
