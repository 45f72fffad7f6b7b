"""Course first cell: the packages that a notebook imports in its first cell import together in one process."""

from dgxcert import requirement
from dgxcert.probes.stack import first_cell, lockfile


@requirement(
    "COURSE-PACKAGES",
    title="The packages of the course import together in one process",
    why="The first cell of every notebook of the course imports transformers, datasets, peft, accelerate, evaluate and "
    "scikit-learn: where one fails, no other cell runs.",
    remedy=(
        "In `make shell`, run `python -m pip check`: it names packages that disagree. The evidence names the "
        "import that failed.",
        *lockfile.RESTORE,
        "Run `make validate ONLY=STACK-IMPORT` to import each package on its own.",
    ),
    tier="standard",
    takes_s=12,
    budget_s=240,
)
def test_the_packages_of_the_course_import_together(evidence):
    imports = first_cell.read()
    evidence.advise(*imports.remedy)
    broken = evidence.record("packages that do not import", len(imports.problems), source=imports.source)
    assert broken == 0
