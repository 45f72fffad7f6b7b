"""The import rules of docs/architecture.md hold: each package stands on those below it; nothing imports torch early."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

PACKAGE = ROOT / "src" / "dgxcert"

ORDER = (
    "cli",
    "site",
    "room",
    "certificate",
    "runner",
    "report",
    "history",
    "workloads",
    "probes",
    "container",
    "record",
    "plan",
    "profiles",
    "judgement",
    "machine",
    "redaction",
    "files",
)
"""From the top down: a package imports only those that come after it, and the modules directly in `dgxcert`."""

GROUND = {"__init__", "__main__", "command", "console", "near_miss", "outcome"}
"""The modules directly in `dgxcert`. `__init__` hands out `requirement`, and `__main__` is the command."""

MOST_FILES, MOST_FILES_DIRECTLY = 16, 6
MOST_LINES, MOST_FUNCTION_LINES = 500, 44

ON_A_HOST = ("agent.py", "maker.py")
"""Programs that are copied to the hosts of a room, where there is no dgxcert that they could import."""

HEAVY = {"torch", "transformers", "datasets", "peft", "bitsandbytes", "tokenizers", "docker", "pynvml"}
ASKS_THE_MACHINE = ("dgxcert.probes", "dgxcert.workloads")
WITHOUT_PYTEST = ("site", "certificate", "report", "history", "record", "profiles")
"""Modules that rebuild and show a run anywhere: they need neither pytest nor the machine."""

SUITE = {
    "checks": (
        "pytest",
        "dgxcert",
        "dgxcert.machine.software",
        "dgxcert.machine.trait",
        "dgxcert.probes",
        "dgxcert.workloads",
    ),
    "benchmarks": (
        "pytest",
        "dgxcert",
        "dgxcert.judgement.benchmark_cases",
        "dgxcert.judgement.rounds",
        "dgxcert.machine.trait",
        "dgxcert.workloads",
    ),
}
"""What a check and a benchmark may import."""

MODULES = sorted(PACKAGE.rglob("*.py"))
MODULE = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))


def imports(path: Path, *, everywhere: bool = True) -> set[str]:
    """Names of the modules that a file imports; without `everywhere` only when it is itself imported."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                found.update(modules(child))
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if everywhere or not (isinstance(child, ast.FunctionDef) or typing_only):
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def modules(node: ast.ImportFrom) -> set[str]:
    """`from package import a, b` names the package, and a and b where these are modules of it."""
    package = node.module or ""
    inside = PACKAGE.parent / package.replace(".", "/")
    of_package = {alias.name for alias in node.names if (inside / f"{alias.name}.py").is_file()}
    of_package |= {alias.name for alias in node.names if (inside / alias.name / "__init__.py").is_file()}
    rest = {package} if len(of_package) < len(node.names) else set()
    return rest | {f"{package}.{name}" for name in of_package}


def name_of(path: Path) -> str:
    """The module's dotted name."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def under(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == each or (each.count(".") and name.startswith(each + ".")) for each in allowed)


def test_every_package_has_a_place_in_the_order() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ORDER)
    assert {path.stem for path in PACKAGE.glob("*.py")} == GROUND


@MODULE
def test_a_package_imports_only_those_below_it(path: Path) -> None:
    mine = path.relative_to(PACKAGE).parts[0]
    if path.name in ("__init__.py", "__main__.py") and path.parent == PACKAGE:
        return
    below = ORDER[ORDER.index(mine) :] if mine in ORDER else ()
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "dgxcert" and rest:
            assert rest[0] in {*below, *GROUND}, f"{path.relative_to(PACKAGE)} imports {name}"


def test_no_modules_import_each_other_in_a_cycle() -> None:
    known = {name_of(path): imports(path) for path in MODULES if path != PACKAGE / "__init__.py"}
    done: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join([*way[way.index(name) :], name])}"
        if name in done:
            return
        for other in known.get(name, set()) & set(known):
            follow(other, (*way, name))
        done.add(name)

    for name in known:
        follow(name, ())


@pytest.mark.parametrize("folder", SUITE)
def test_checks_and_benchmarks_import_only_what_the_table_allows(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        strays = {name for name in imports(path) if not under(name, SUITE[folder])}
        assert not strays, f"{path.name} imports {strays}"


@MODULE
def test_no_module_imports_heavy_things_when_it_is_imported(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path, everywhere=False)} & HEAVY


@pytest.mark.parametrize("package", WITHOUT_PYTEST)
def test_rebuilding_and_showing_a_run_needs_neither_pytest_nor_the_machine(package: str) -> None:
    for path in (PACKAGE / package).rglob("*.py"):
        found = imports(path)
        assert not {each.partition(".")[0] for each in found} & (HEAVY | {"pytest"}), path.name
        assert not any(each.startswith(ASKS_THE_MACHINE) for each in found), path.name


def test_the_runner_never_imports_probes_workloads_or_the_suite() -> None:
    for path in (PACKAGE / "runner").glob("*.py"):
        found = imports(path)
        assert not any(each.startswith((*ASKS_THE_MACHINE, "checks", "benchmarks")) for each in found), path.name


@pytest.mark.parametrize("package", ["probes", "workloads"])
def test_probes_and_workloads_never_import_pytest(package: str) -> None:
    for path in (PACKAGE / package).rglob("*.py"):
        assert "pytest" not in imports(path), path.name


def test_subprocesses_are_started_in_one_module_only() -> None:
    users = {path.name for path in MODULES if "subprocess" in imports(path, everywhere=False)} - set(ON_A_HOST)
    assert users <= {"command.py", "child.py", "launcher.py", "torch_compile.py"}  # the latter name types of it


def test_src_never_asserts() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)], path.name


def test_importing_every_module_loads_nothing_heavy() -> None:
    names = [name for path in MODULES if not (name := name_of(path)).endswith("__main__")]
    program = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY


def test_no_folder_contains_too_many_files() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_FILES_DIRECTLY
    for folder in {path.parent for path in MODULES}:
        assert len(list(folder.glob("*.py"))) <= MOST_FILES, folder.name


def test_files_and_functions_stay_short() -> None:
    for path in [*MODULES, *(ROOT / "checks").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MOST_LINES, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                # The parameters of a command are its options, one on a line.
                is_command = PACKAGE / "cli" in path.parents and node.decorator_list
                begins = node.body[0].lineno if is_command else node.lineno
                assert (node.end_lineno or 0) - begins < MOST_FUNCTION_LINES + 1, f"{path.name}: {node.name}"


@pytest.mark.parametrize(
    "module", ["dgxcert", "dgxcert.probes.gpu.driver_answers", "dgxcert.probes.gpu.driver_samples"]
)
def test_processes_that_are_started_by_the_dozen_load_no_pydantic(module: str) -> None:
    program = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pydantic" not in done.stdout.split()
