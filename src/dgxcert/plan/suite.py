"""The suite on disk: where its checks and benchmarks are, what they declare, and which version they are."""

import hashlib
import os
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict

from dgxcert import command
from dgxcert.judgement.requirement import OWN_ID
from dgxcert.outcome import CannotStart
from dgxcert.plan import catalogue, installation, own_checks, source
from dgxcert.plan import environment as variables
from dgxcert.plan.catalogue import Entry

FOLDERS = ("checks", "benchmarks")

DECIDES = ("src", "checks", "benchmarks", "container", "compose.yaml", ".env", "pyproject.toml")
"""The paths that affect a result (compose reads .env); a changed file elsewhere in the checkout does not."""

PACKAGE = Path(__file__).resolve().parents[1]
"""Where this dgxcert is imported from."""


class Suite(BaseModel):
    """Which version of the suite ran. Only one that is known not to be modified certifies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    commit: str | None = None
    """Of the clone; None for an installed wheel."""
    modified: bool | None = None
    """Whether it differs from its commit, or from the list of files of its wheel; None where that cannot be told."""
    reason: str = ""
    """What was changed, or why that cannot be told."""
    sha256: str
    """Hash of everything that affects a result."""
    package_sha256: str = ""
    """Hash of the part that an image contains: the package with checks and benchmarks."""
    installed: bool = False
    """Whether it is an installed package, which carries its own recipe, and no clone."""


def is_installed() -> bool:
    """Whether this dgxcert is an installed package, which holds the suite inside itself."""
    return (PACKAGE / "suite").is_dir()


def root() -> Path:
    """The folder of `checks/` and `benchmarks/`: inside the installed package, or the checkout it runs from.

    Raises CannotStart where there is neither.
    """
    for folder in (PACKAGE / "suite", PACKAGE.parents[1]):
        if all((folder / name).is_dir() for name in FOLDERS):
            return folder
    raise CannotStart(f"The checks were not found beside {PACKAGE}.", "Run from a checkout, or reinstall the package.")


def environment(own: Path | None = None) -> dict[str, str]:
    """The environment of a child: what `plan.environment` keeps, and with GPUs numbered in PCI bus order.

    Of a lab's `own` checks no compiled module is used, so that what is hashed is what runs.
    """
    kept = variables.kept(os.environ)
    settings = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    started_in = {"DGXCERT_STARTED_IN": os.getcwd()}  # children run in the suite's folder, and some check this one
    # CUDA numbers the fastest GPU first by default, NVML counts in bus order: index 1 must mean the same GPU to both.
    unused = {"PYTHONPYCACHEPREFIX": "/dev/null/no-cache"} if own is not None else {}
    return {**kept, **settings, **started_in, **unused, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def ignored_environment() -> tuple[str, ...]:
    """Names of the variables that are set here and removed from the environment of children."""
    return variables.ignored()


def pytest_command(suite: Path, *options: str, own: Path | None = None) -> list[str]:
    """A pytest command that depends on nothing but the suite: no user's configuration, and no cache is left behind.

    With `own` it is about the checks in that folder alone, which are a lab's own.
    """
    # A conftest.py in any folder above would be loaded too, and could turn failures into passes. So could other
    # installed plugins, which PYTEST_DISABLE_PLUGIN_AUTOLOAD in `environment` keeps out. -P keeps the current folder
    # out of sys.path.
    own_settings = ["-c", os.devnull, f"--rootdir={(own or suite).resolve()}", "--noconftest", "-p", "no:cacheprovider"]
    paths = [str(suite / name) for name in FOLDERS] if own is None else ["--dgxcert-own", str(own.resolve())]
    plugins = ["-p", "pytest_benchmark.plugin", "-p", "dgxcert.runner.plugin"]
    return [sys.executable, "-P", "-m", "pytest", "--strict-markers", *own_settings, *plugins, *options, *paths]


def stage_command(suite: Path, inside: Path, *, parent: int, own: Path | None = None) -> list[str]:
    """The pytest command of a supervisor's child, which may write in `inside` and is told the rest on standard input.

    `parent` is 0 where the supervisor is outside the container.
    """
    return pytest_command(
        suite,
        "-v",
        "-rN",
        "--tb=native",  # takes no time; what is shown of a requirement that did not pass is the plugin's
        f"--dgxcert-inside={inside}",
        f"--dgxcert-parent={parent}",
        "--benchmark-columns=min,median,max,iqr,rounds",
        own=own,
    )


def collect(suite: Path, gpus: int, without: tuple[int, ...] = (), own: Path | None = None) -> list[Entry]:
    """Every requirement of the suite, for a machine with that many GPUs, of which `without` are display adapters.

    With `own`, those of a lab's own folder alone. Raises CannotStart where a check cannot be collected.
    """
    with _temporary_file() as file:
        listing = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")  # without a name, so that a kill leaves nothing
        # Nothing is asserted while requirements are listed, and rewriting assertions takes a quarter of the time.
        options = ["--collect-only", "-q", "--assert=plain", f"--dgxcert-catalogue={listing}", f"--gpus={gpus}"]
        options += [f"--no-gpu={index}" for index in without]
        collected = command.run(pytest_command(suite, *options, own=own), timeout_s=60, cwd=suite, env=environment(own))
        if os.fstat(file.fileno()).st_size and collected.returncode == 0:
            found = catalogue.read(listing)
            return found if own is None else _own_alone(found, own)
    if own is not None:
        raise _broken(own, collected, suite)
    if collected.returncode == 5:
        raise CannotStart(
            f"No requirement was found in {suite}.", "Run from a complete checkout, or reinstall the wheel."
        )
    lines = (collected.stdout + collected.stderr).splitlines()
    complaints = [line for line in lines if "rror" in line and not line.startswith("!")]
    raise CannotStart(
        f"The suite in {suite} cannot be collected: {'; '.join(complaints[:3]) or collected.complaint}.",
        "Fix that file; `pytest checks benchmarks --collect-only` shows the whole traceback.",
    )


def _own_alone(found: list[Entry], own: Path) -> list[Entry]:
    """What a folder of own checks has listed: code in it could have written the list, and named the suite's."""
    strange = [entry.key for entry in found if not (entry.own and entry.id.startswith(OWN_ID) and not entry.gate)]
    if strange or not found:
        raise CannotStart(
            f"The own checks in {own} list {', '.join(strange[:3]) or 'nothing'}: wanted ids that begin with {OWN_ID}.",
            "Nothing was measured; look what writes to dgxcert's own files there.",
        )
    return found


def _broken(own: Path, collected: command.Completed, started_in: Path) -> CannotStart:
    """Why a lab's own checks cannot be collected, with file and line."""
    if collected.returncode == 5:
        return CannotStart(
            f"No check was found in {own}: wanted files test_*.py with tests that carry @requirement.",
            "An example is in docs/own-checks.md",
        )
    lines = (collected.stdout + collected.stderr).splitlines()
    why = own_checks.place_of(lines, own.resolve(), started_in) or collected.complaint
    return CannotStart(
        f"The own checks in {own} cannot be used: {why}.",
        "Fix that file; nothing was measured.",
    )


def _temporary_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise CannotStart(
            f"No folder takes temporary files ({error.strerror}).",
            "Free some space, or set TMPDIR to a folder that has some.",
        ) from error


def identity(suite: Path) -> Suite:
    """Which suite this is: its version, its commit in a checkout, whether it was modified, and hashes of its source.

    A wheel has the hashes of the clone that it was built from.
    """
    installed = is_installed()
    compared = installation.compare(PACKAGE) if installed else source.compare(suite, PACKAGE, DECIDES)
    package = _package_hash(suite)
    return Suite(
        version=metadata.version("dgxcert"),
        sha256=_hash(suite, package),
        package_sha256=package,
        installed=installed,
        **compared._asdict(),
    )


def _package_hash(suite: Path) -> str:
    """SHA-256 of the names and contents of the package, the checks and the benchmarks, installed or in a checkout."""
    digest = hashlib.sha256()
    for base in (PACKAGE, *(suite / name for name in FOLDERS)):
        carried = PACKAGE / "suite" if base == PACKAGE else None  # an installed package holds the suite inside itself
        for path in sorted(base.rglob("*")):
            if carried in path.parents:
                continue
            if path.is_file() and path.suffix in {".py", ".yaml", ".json", ".txt"} and "__pycache__" not in path.parts:
                _add(digest, f"{base.name}/{path.relative_to(base)}", path)
    return digest.hexdigest()


def _hash(suite: Path, package: str) -> str:
    """SHA-256 of the package's hash and of what else affects a result, as far as it is there."""
    digest = hashlib.sha256(package.encode())
    for name in sorted(set(DECIDES) - {"src", *FOLDERS}):
        paths = [suite / name, *sorted((suite / name).rglob("*"))]
        for path in (path for path in paths if path.is_file() and "__pycache__" not in path.parts):
            _add(digest, path.relative_to(suite).as_posix(), path)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", name: str, path: Path) -> None:
    digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
