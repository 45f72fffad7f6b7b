"""Stack packages: what is installed is what the lock of the stack names, once, whole, and found by a user's Python."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile, packages, pip_check


@requirement(
    "STACK-VERSIONS",
    why="A package that pip has quietly replaced changes what a notebook does; the lock is what was tested.",
    remedy=(
        "Look which package it is: the evidence names what was found and what was wanted.",
        "Set the environment up anew: make clean setup; in the container: make image",
    ),
    takes_s=1,
)
def test_every_package_has_the_version_of_the_lock(evidence):
    lock = lockfile.read()
    findings = packages.other_versions(lock, packages.place())
    evidence.advise(*lock.mend([each.name for each in findings]))
    evidence.record("packages of the lock", len(lock.versions), source=f"stack {lock.stack}: {lock.source}")
    others = evidence.record("packages in another version", packages.said(findings), source="package metadata")
    assert others == "none"


@requirement(
    "STACK-ONCE",
    why="Of a package that is installed twice, an update that stopped half way for one, either may be loaded.",
    remedy=(
        "Look which package it is and where: the evidence names both.",
        "Set the environment up anew: make clean setup; in the container: make image",
    ),
    takes_s=1,
)
def test_no_package_is_installed_twice(evidence):
    lock = lockfile.read()
    findings = packages.duplicates(lock, packages.place())
    evidence.advise(*lock.mend([each.name for each in findings], twice=True))
    twice = evidence.record("packages installed twice", packages.said(findings), source="package metadata")
    assert twice == "none"


@requirement(
    "STACK-NOT-SHADOWED",
    why="A script named torch.py or a folder datasets in the working folder is imported in place of the library.",
    remedy=(
        "Give the file that the evidence names another name, or work in another folder.",
        "Take that folder out of PYTHONPATH: unset PYTHONPATH",
    ),
    takes_s=1,
)
def test_no_file_is_imported_in_place_of_a_package(evidence):
    where = packages.place()
    findings = packages.shadowed(where)
    evidence.advise(*packages.unshadow(findings, where))
    source = f"Python started in {where.started_in}, with PYTHONPATH and the user's own packages"
    hidden = evidence.record("packages hidden by a file", packages.said(findings), source=source)
    assert hidden == "none"


@requirement(
    "STACK-FILES",
    why="A library that somebody edited to look for an error goes on computing something of its own for all others.",
    remedy=(
        "Look which file it is: the evidence names it.",
        "Set the environment up anew: make clean setup; in the container: make image",
    ),
    tier="standard",
    takes_s=4,
    budget_s=240,
)
def test_the_files_of_the_stack_are_as_they_were_installed(evidence):
    lock = lockfile.read()
    findings, size = packages.altered(lock, packages.place())
    evidence.advise(*lock.mend([each.name for each in findings]))
    looked_at = evidence.record("looked at", size / 1e6, unit="MB", source="files of the stack's packages")
    others = evidence.record("altered packages", packages.said(findings), source="SHA-256 in each package's own list")
    assert others == "none"
    assert looked_at >= packages.LEAST_LOOKED_AT


@requirement(
    "PIP-CHECK",
    why="Packages that do not go together fail late, in the one function in which they meet.",
    remedy=(
        "Run `python -m pip check` and read which package wants which.",
        "Set the environment up anew: make clean setup; in the container: make image",
    ),
    takes_s=3,
    budget_s=180,
)
def test_installed_packages_agree(evidence):
    lock = lockfile.read()
    conflicts = pip_check.read(lock)
    evidence.advise(*lock.mend(pip_check.about(conflicts, lock)))
    source = f"pip check; the base image had {len(lock.conflicts)} conflicts of its own"
    found = evidence.record("packages that disagree", "; ".join(conflicts) or "none", source=source)
    assert found == "none"
