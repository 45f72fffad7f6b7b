"""Packages: those installed are the ones that the lock names, once, unchanged, and visible to a user's Python."""

from dgxcert import requirement
from dgxcert.probes.stack import beside, library_trial, lockfile, packages, pip_check, shadows, switches

BESIDE_THE_STACK = "Give a package that was installed beside the stack and conflicts an environment of its own."
BACK_TO_THE_DEFAULT = "Type `unset` with their names, in this shell and in the one that starts your notebooks."
OUTSIDE_THE_ENVIRONMENT = (
    "If a folder that it names is in PYTHONPATH: unset PYTHONPATH",
    "If it is in your home folder: export PYTHONNOUSERSITE=1",
)
"""No pip of this environment changes anything there."""


@requirement(
    "STACK-VERSIONS",
    title="Every package has the version of the lock",
    why="A package that pip has silently replaced changes what a notebook does; only the locked versions are tested.",
    remedy=(
        "Read the evidence: it names each package, its version and the locked version.",
        *OUTSIDE_THE_ENVIRONMENT,
        *lockfile.RESTORE,
    ),
)
def test_every_package_has_the_version_of_the_lock(evidence):
    lock = lockfile.read()
    findings = packages.other_versions(lock, packages.search_path())
    evidence.advise(*packages.remedy(findings, lock))
    evidence.record("packages of the lock", len(lock.versions), source=f"stack {lock.stack}: {lock.source}")
    others = evidence.record("packages in another version", packages.summary(findings), source="package metadata")
    assert others == "none"


@requirement(
    "STACK-ONCE",
    title="No package is installed twice",
    why="Of a package that is installed twice, as after an interrupted update, either version may be imported.",
    remedy=(
        "Read the evidence: it names each package and both of its folders.",
        *OUTSIDE_THE_ENVIRONMENT,
        *lockfile.RESTORE,
    ),
)
def test_no_package_is_installed_twice(evidence):
    lock = lockfile.read()
    findings = packages.duplicates(lock, packages.search_path())
    evidence.advise(*packages.remedy(findings, lock))
    twice = evidence.record("packages installed twice", packages.summary(findings), source="package metadata")
    assert twice == "none"


@requirement(
    "STACK-NOT-SHADOWED",
    title="No file is imported in place of a package",
    why="A script named torch.py or random.py, or a folder `datasets` in the working folder, is imported in place of "
    "the library or of Python's own module.",
    remedy=("Rename the file that the evidence names, or work in another folder.", *OUTSIDE_THE_ENVIRONMENT),
    takes_s=0.5,
)
def test_no_file_is_imported_in_place_of_a_package(evidence):
    lock, path = lockfile.read(), packages.search_path()
    findings = shadows.read(lock, path)
    evidence.advise(*packages.remedy(findings, lock))
    source = f"Python started in {path.started_in}, with PYTHONPATH and the user's own packages"
    hidden = evidence.record("packages hidden by a file", shadows.summary(findings), source=source)
    assert hidden == "none"


@requirement(
    "STACK-FILES",
    title="The files of the stack have their original hashes",
    why="A library that was edited while debugging stays edited, and changes the results of everyone who uses it.",
    remedy=("Read the evidence: it names each file that differs.", *lockfile.RESTORE),
    tier="standard",
    takes_s=1,
    budget_s=240,
)
def test_files_of_the_stack_have_their_original_hashes(evidence):
    lock = lockfile.read()
    findings, size_bytes = packages.altered(lock, packages.search_path())
    evidence.advise(*lock.restore)
    verified = evidence.record("verified", size_bytes / 1e6, unit="MB", source="files of the stack's packages")
    altered = evidence.record("altered packages", packages.summary(findings), source="SHA-256 in each package's RECORD")
    assert altered == "none"
    assert verified >= packages.MIN_VERIFIED


@requirement(
    "PIP-CHECK",
    title="No installed packages conflict",
    why="Packages whose requirements conflict fail late, in the one function in which they meet.",
    remedy=("Read the evidence: it names which package requires which.", *lockfile.RESTORE, BESIDE_THE_STACK),
    takes_s=1,
    budget_s=180,
)
def test_installed_packages_do_not_conflict(evidence):
    lock = lockfile.read()
    conflicts = pip_check.read(lock)
    evidence.advise(*lock.restore, BESIDE_THE_STACK)
    source = f"pip check; the base image had {len(lock.conflicts)} conflicts of its own"
    conflicting = evidence.record("packages that disagree", "; ".join(conflicts) or "none", source=source)
    assert conflicting == "none"


@requirement(
    "STACK-BESIDE",
    title="No package beside the lock breaks a library",
    why="transformers, accelerate and PEFT use whatever else is installed: a torchvision of another torch or an old "
    "torchao stops a Trainer or LoRA in which neither appears.",
    remedy=(
        "Read the evidence: it names each package that is in no lock, and what it breaks.",
        *OUTSIDE_THE_ENVIRONMENT,
        BESIDE_THE_STACK,
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=5,
    budget_s=600,
)
def test_no_package_beside_the_lock_breaks_a_library(evidence):
    lock = lockfile.read()
    beside_the_lock = beside.read(lock, packages.search_path())
    tried = library_trial.read(beside_the_lock)
    replaced = packages.overwritten(beside_the_lock, packages.search_path())
    evidence.advise(*tried.remedy, *packages.restoring(replaced, lock))
    evidence.record(
        "packages beside the lock", len(beside_the_lock), unit="package", source=beside.summary(beside_the_lock)
    )
    broken = evidence.record("what they break", tried.summary, source=tried.source)
    files = evidence.record("files that they replace", packages.summary(replaced), source="RECORD of each package")
    assert broken == "nothing"
    assert files == "none"


@requirement(
    "STACK-VARIABLES",
    title="No variable switches compilation or kernels off",
    why="A variable that is left from a debugging session, such as TORCH_COMPILE_DISABLE=1, makes every notebook "
    "slower or less exact, and no library says so.",
    remedy=("Read the evidence: it names each variable, its value and what it does.", BACK_TO_THE_DEFAULT),
)
def test_no_variable_switches_compilation_or_kernels_off(evidence):
    found = switches.read()
    evidence.advise(*switches.unset(tuple(each.name for each in found)))
    source = "the environment of this run, without what the base image sets"
    switched = evidence.record("switches", "; ".join(map(str, found)) or "none", source=source)
    assert switched == "none"
