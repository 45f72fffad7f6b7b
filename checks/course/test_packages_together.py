"""Course packages: what the module's notebooks import in their first cell imports, all in one process."""

from dgxcert import requirement
from dgxcert.probes.stack import first_cell


@requirement(
    "COURSE-PACKAGES",
    why="The first cell of every notebook of the course imports these packages: where one fails, nothing else runs.",
    remedy=(
        "Look: the evidence names the package and its error; python -m pip check names those that disagree.",
        "Install the stack as it is pinned: make clean, then make setup; or use the container.",
        "See STACK-IMPORT for each package by itself: dgxcert validate --only STACK-IMPORT",
    ),
    tier="standard",
    takes_s=12,
    budget_s=240,
)
def test_the_packages_of_the_course_import_together(evidence):
    found = first_cell.read()
    broken = evidence.record("packages that do not import", len(found.problems), source=found.says)
    assert broken == 0
