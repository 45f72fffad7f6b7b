"""Mutation tests: breaks every comparison of every check, one at a time; a test must notice: `make mutation`.

Prints a Markdown table: each mutant, and which test or simulated machine killed it. Ends with 1 where one survived, and
with 2 where the tests do not even pass the checks as they are, since then they prove nothing.
"""

import argparse
import ast
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.plan import environment

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("checks", "benchmarks", "src", "tests", "scripts", "docs", "container", "compose.yaml", "pyproject.toml")
"""What is copied of the checkout."""
LIMIT_S = 600.0

MATRIX = "tests/simulated/matrix.py"
COMPLAINTS = ("and must be", "does not say", "is well, and")
"""How the fault matrix reports a machine that was not judged as described."""


def in_folder(name: str) -> list[str]:
    """The check files of a folder."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "checks" / name).glob("test_*.py"))


COMPILED, NUMERICS = "tests/checks/gpu/test_compiled.py", "tests/checks/gpu/test_numerics.py"
TESTS: dict[str, tuple[str, ...]] = {
    **{path: (f"tests/{path}",) for path in (*in_folder("gpu"), *in_folder("links"))},
    **{path: (f"tests/{path}", "-k", "{id} or healthy") for path in in_folder("host")},
    "checks/host/test_driver.py": ("tests/checks/host/test_driver.py",),
    "checks/host/test_kernel_log.py": ("tests/checks/host/test_kernel_log.py",),
    "checks/host/test_processes.py": ("tests/checks/host/test_processes.py",),
    **{path: (f"tests/{path}", "-k", "comparison or healthy") for path in in_folder("course")},
    "checks/hub/test_checkpoints.py": ("tests/checks/hub/test_checkpoints.py",),
    "checks/hub/test_reach.py": ("tests/checks/hub/test_reach.py",),
    **{path: (f"tests/{path}",) for path in in_folder("stack")},
    "CONTAINER-COMPUTES": ("tests/checks/host/test_container.py",),
    "TRITON-KERNEL": (COMPILED, "-k", "triton"),
    "MATMUL-CORRECT": (NUMERICS, "-k", "matmul"),
    "ATTENTION-CORRECT": (NUMERICS, "-k", "attention_kernels or right_attention"),
    "GRADIENTS-CORRECT": (NUMERICS, "-k", "layer_gradient"),
    "NF4-CORRECT": (NUMERICS, "-k", "nf4 or scale or quantised"),
    "MEMORY-PATTERN": (NUMERICS, "-k", "memory or one_bit"),
    "TRAINING-REPEATS": (NUMERICS, "-k", "training"),
}
"""Check file, or one requirement of it: the tests that judge it, after the fault matrix if that covers it."""

TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.Lt: ast.Gt}
"""Comparisons with a direction. A quantity refuses `!=`; anything else is inverted with `not`."""


@dataclass(frozen=True)
class Mutant:
    """A check file with one statement broken."""

    requirement: str
    file: str
    line: int
    kind: str
    before: str
    after: str
    text: str


def mutants(source: str, file: str) -> list[Mutant]:
    """Every mutant of one check file.

    A comparison is removed, and it is inverted. The only one of a requirement is also compared with itself, which
    always holds: without any, nothing passes, so that a healthy machine would notice, but a sick one must.
    """
    found = []
    for requirement, function in requirements(source):
        alone = sum(isinstance(each, ast.Assert) for each in ast.walk(function)) == 1
        for statement in ast.walk(function):
            for kind, after in _broken(statement, alone):
                assert isinstance(statement, ast.stmt)
                before = ast.unparse(statement)
                text = _replaced(source, statement, after)
                found.append(Mutant(requirement, file, statement.lineno, kind, before, after, text))
    return found


def requirements(source: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The requirements of a check file: id and function."""
    for node in ast.parse(source).body:
        for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "requirement":
                assert isinstance(node, ast.FunctionDef)
                yield ast.literal_eval(mark.args[0]), node


def _broken(statement: ast.AST, alone: bool) -> Iterator[tuple[str, str]]:
    """The ways to break an assertion; none for any other statement."""
    if isinstance(statement, ast.Assert):
        yield "removed", "pass"
        yield "inverted", f"assert {_turned(statement.test)}"
        if alone and (quantity := _quantity(statement.test)):
            yield "compared with itself", f"assert {quantity} == {quantity}.evidence.value"
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        function = statement.value.func
        if isinstance(function, ast.Attribute) and function.attr.startswith("require"):
            yield "removed", "pass"


def _turned(test: ast.expr) -> str:
    """The opposite comparison."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in TURNED:
        return ast.unparse(ast.Compare(test.left, [TURNED[type(test.ops[0])]()], test.comparators))
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.unparse(test.operand)
    return ast.unparse(ast.UnaryOp(ast.Not(), test))


def _quantity(test: ast.expr) -> str:
    """The measured quantity that a test compares, if it is a plain one."""
    if isinstance(test, ast.Compare):
        return ast.unparse(test.left)
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute):
        return ast.unparse(test.func.value)
    return ""


def _replaced(source: str, statement: ast.stmt, after: str) -> str:
    lines = source.splitlines()
    lines[statement.lineno - 1 : statement.end_lineno] = [" " * statement.col_offset + after]
    return "\n".join([*lines, ""])


def check_files(root: Path) -> list[str]:
    """Every check file, from the root of a checkout."""
    return sorted(path.relative_to(root).as_posix() for path in root.glob("checks/**/test_*.py"))


def in_matrix(root: Path) -> tuple[str, ...]:
    """The requirements that the fault matrix judges."""
    for node in ast.parse((root / MATRIX).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REQUIREMENTS":
            return tuple(ast.literal_eval(node.value))
    raise ValueError(f"{MATRIX} names no REQUIREMENTS")


def judges(requirement: str, file: str, matrix: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The tests that judge a requirement: arguments for Python, in the order in which they are tried."""
    found: list[tuple[str, ...]] = []
    if requirement in matrix:
        found.append((MATRIX, "--only", requirement))
    if words := [word.format(id=requirement) for word in TESTS.get(requirement) or TESTS.get(file, ())]:
        found.append(("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *words))
    return tuple(found)


@dataclass(frozen=True)
class Judgement:
    """How one command ended: passed, failed with a finding, or failed for another reason."""

    passed: bool
    found: str
    trouble: str


def judgement(done: command.Completed) -> Judgement:
    """Only a failed test, or a complaint of the fault matrix, counts as a finding."""
    if done.returncode == 0:
        return Judgement(True, "", "")
    lines = done.stdout.splitlines()
    failed = [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED tests/")]  # not of a test's own
    if done.returncode == 1 and failed:
        return Judgement(False, f"`{failed[0].partition(' - ')[0]}`", "")
    complaints = [line for line in done.stderr.splitlines() if any(words in line for words in COMPLAINTS)]
    if done.returncode == 1 and complaints and "Traceback" not in done.stderr:
        return Judgement(False, f"matrix: {complaints[0]}", "")
    last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
    return Judgement(False, "", f"{done.complaint}\n" + "\n".join(last))


def copy(source: Path, folder: Path) -> Path:
    """A copy of the parts of a checkout that checks and tests need."""
    for name in PARTS:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / name)
    return folder


def run(checkout: Path, words: tuple[str, ...]) -> command.Completed:
    """Run Python with these arguments in a copy, whose package takes precedence over the installed one."""
    kept = environment.kept(os.environ)
    own = {"PYTHONPATH": str(checkout / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return command.run([sys.executable, *words], timeout_s=LIMIT_S, cwd=checkout, env={**kept, **own})


def uses_itself(checkout: Path) -> bool:
    """Whether Python in a copy imports package and checks from the copy; dgxcert is installed from the original."""
    asked = run(checkout, ("-P", "-c", "from dgxcert.plan import suite; print(suite.__file__, suite.root())"))
    package, root = asked.stdout.split()
    return Path(package).is_relative_to(checkout.resolve()) and Path(root) == checkout.resolve()


@dataclass(frozen=True)
class Tried:
    """A mutant, the test that killed it, and what went wrong while trying."""

    mutant: Mutant
    killed_by: str
    trouble: str


def attempt(mutant: Mutant, original: Path, matrix: tuple[str, ...]) -> Tried:
    """Try one mutant in a copy of its own, until one of its tests fails."""
    trouble = ""
    with tempfile.TemporaryDirectory(prefix="dgxcert-mutant-") as folder:
        checkout = copy(original, Path(folder))
        (checkout / mutant.file).write_text(mutant.text, encoding="utf-8")
        for words in judges(mutant.requirement, mutant.file, matrix):
            judged = judgement(run(checkout, words))
            trouble = trouble or judged.trouble
            if judged.found:
                return Tried(mutant, judged.found, "")
    return Tried(mutant, "", trouble)


def row(tried: Tried) -> str:
    """One line of the table."""
    mutant, end = tried.mutant, tried.killed_by or ("**not judged**" if tried.trouble else "**survived**")
    cell = end.replace("|", "\\|")
    change = f"{mutant.kind}: `{mutant.before}` → `{mutant.after}`"
    return f"| {mutant.requirement} | {mutant.file}:{mutant.line} | {change} | {cell} |"


def unproved(original: Path, asked: list[tuple[str, ...]], pool: ThreadPoolExecutor) -> list[str]:
    """Why nothing can be proved: commands that fail without a mutant, or do not use the copy."""
    if not uses_itself(original):
        return ["a copy of the checkout takes the installed package for its own: no mutant would be seen"]
    judged = pool.map(lambda words: judgement(run(original, words)), asked)
    return [
        f"`python {' '.join(words)}` fails without a mutant: {each.found or each.trouble}"
        for words, each in zip(asked, judged, strict=True)
        if not each.passed
    ]


def main() -> None:
    """Try every mutant, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="a requirement")
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants at a time")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dgxcert-original-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        original = copy(ROOT, Path(folder))  # so that edits to the checkout meanwhile change nothing
        sources = {file: (original / file).read_text(encoding="utf-8") for file in check_files(original)}
        made = [mutant for file, source in sources.items() for mutant in mutants(source, file)]
        if strange := set(options.only) - {mutant.requirement for mutant in made}:
            parser.error(f"no check compares anything for {', '.join(sorted(strange))}")
        made = [mutant for mutant in made if not options.only or mutant.requirement in options.only]
        matrix = in_matrix(original)
        asked = list(dict.fromkeys(words for each in made for words in judges(each.requirement, each.file, matrix)))
        if why := unproved(original, asked, pool):
            print("\n".join(why), file=sys.stderr)
            sys.exit(2)
        print(f"{len(asked)} commands pass without a mutant; trying {len(made)} mutants", file=sys.stderr, flush=True)
        print("| requirement | line | mutation | killed by |\n| --- | --- | --- | --- |")
        alive = []
        for tried in pool.map(lambda mutant: attempt(mutant, original, matrix), made):
            print(row(tried), flush=True)
            alive += [] if tried.killed_by else [tried]
    checks, minutes = len({mutant.requirement for mutant in made}), (time.monotonic() - began) / 60
    print(f"\n{len(made)} mutants of {checks} requirements in {minutes:.0f} min: {len(alive)} survived.")
    for tried in alive:
        print(f"\n{row(tried)}\n{tried.trouble}".rstrip(), file=sys.stderr)
    sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
