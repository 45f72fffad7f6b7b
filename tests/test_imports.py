"""The import rules of docs/architecture.md hold: who may import whom, and that nothing imports torch early."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dgxcert"

HEAVY = {"torch", "transformers", "datasets", "peft", "bitsandbytes", "tokenizers", "docker", "pynvml"}

SUITE = {
    "checks": ("pytest", "dgxcert", "dgxcert.software", "dgxcert.probes", "dgxcert.workloads"),
    "benchmarks": ("pytest", "dgxcert", "dgxcert.cases", "dgxcert.rounds", "dgxcert.workloads"),
}


def imports(path: Path, *, everywhere: bool = True) -> set[str]:
    """Names of the modules that a file imports; without `everywhere` only when it is itself imported."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                names = [alias.name for alias in child.names]
                module = child.module or ""
                found.add(module)
                found.update(
                    f"{module}.{name}" for name in names if (PACKAGE.parent / module.replace(".", "/")).is_dir()
                )
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if everywhere or not (isinstance(child, ast.FunctionDef) or typing_only):
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def under(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == each or (each.count(".") and name.startswith(each + ".")) for each in allowed)


@pytest.mark.parametrize("folder", SUITE)
def test_checks_and_benchmarks_import_only_what_the_table_allows(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        strays = {name for name in imports(path) if not under(name, SUITE[folder]) and name != "dgxcert.requirement"}
        assert not strays, f"{path.name} imports {strays}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_heavy_things_when_it_is_imported(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path, everywhere=False)} & HEAVY


@pytest.mark.parametrize("folder", ["probes", "workloads"])
def test_probes_and_workloads_never_import_pytest_or_the_machinery(folder: str) -> None:
    machinery = {f"dgxcert.{name}" for name in ("plugin", "session", "supervisor", "stages", "suite", "records", "cli")}
    for path in (PACKAGE / folder).glob("*.py"):
        assert not imports(path) & (machinery | {"pytest"}), path.name
    if folder == "probes":
        for path in (PACKAGE / folder).glob("*.py"):
            assert not any(name.startswith("dgxcert.workloads") for name in imports(path)), path.name


@pytest.mark.parametrize(
    "name", ["verdict", "records", "run", "report", "report/plots", "statement", "certificate", "drift", "history"]
)
def test_judging_and_showing_need_neither_pytest_nor_the_machine(name: str) -> None:
    paths = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").is_file() else list((PACKAGE / name).glob("*.py"))
    for path in paths:
        found = imports(path)
        assert not {each.partition(".")[0] for each in found} & (HEAVY | {"pytest"}), path.name
        assert not any(each.startswith(("dgxcert.probes", "dgxcert.workloads")) for each in found), path.name


@pytest.mark.parametrize("name", ["plugin", "session", "supervisor", "stages"])
def test_running_never_imports_probes_workloads_or_the_suite_itself(name: str) -> None:
    found = imports(PACKAGE / f"{name}.py")
    assert not any(each.startswith(("dgxcert.probes", "dgxcert.workloads", "checks", "benchmarks")) for each in found)


def test_subprocesses_are_started_in_one_module_only() -> None:
    users = {path.name for path in PACKAGE.rglob("*.py") if "subprocess" in imports(path, everywhere=False)}
    assert users <= {"command.py", "supervisor.py", "launcher.py", "compiled.py"}  # the latter three name types of it


def test_src_never_asserts() -> None:
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)], path.name


def test_importing_every_module_loads_nothing_heavy() -> None:
    modules = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")]
    names = [name for name in modules if not name.endswith("__main__")]
    program = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY


def test_files_and_functions_stay_short() -> None:
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "checks").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 45, f"{path.name}: {node.name}"
