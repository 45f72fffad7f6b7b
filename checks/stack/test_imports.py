"""Imports: every package of the Hugging Face stack is installed and imports."""

import pytest

from dgxcert import requirement
from dgxcert.machine.software import STACK
from dgxcert.probes.stack import lockfile, package_import


@requirement(
    "STACK-IMPORT",
    title="Every package of the stack imports",
    why="One package that does not import stops every course notebook and training script that uses it.",
    remedy=(
        "In `make shell`, run `python -c 'import PACKAGE'` with the package's name and read the last line.",
        *lockfile.RESTORE,
        "If versions conflict, in `make shell`, run `python -m pip check`: it names the packages.",
    ),
    tier="standard",
    takes_s=2,
    budget_s=300,
)
@pytest.mark.parametrize("name", STACK)
def test_package_imports(name, evidence):
    package = package_import.read(name)
    evidence.advise(*package.remedy)
    imports = evidence.record(f"{name} imports", package.imports, source=package.source)
    evidence.record("version", package.version, source="package metadata")
    assert imports.holds()
