"""Stack imports: every package of the Hugging Face stack is there and loads."""

import pytest

from dgxcert import requirement
from dgxcert.machine.software import STACK
from dgxcert.probes.stack import package_import


@requirement(
    "STACK-IMPORT",
    why="One package that does not import stops every course notebook and training script that uses it.",
    remedy=(
        "Run `python -c 'import PACKAGE'` with the package's name and read the last line.",
        "Install the stack as it is pinned: `make clean setup`, or use the container.",
        "A version conflict: `pip check` names the packages that disagree.",
    ),
    tier="standard",
    takes_s=3,
    budget_s=300,
)
@pytest.mark.parametrize("name", STACK)
def test_the_package_imports(name, evidence):
    found = package_import.read(name)
    imports = evidence.record(f"{name} imports", found.imports, source=found.says)
    evidence.record("version", found.version, source="package metadata")
    assert imports.holds()
