"""The suite on disk: where its checks and benchmarks are, what is in them, and which version they are."""

import hashlib
import os
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dgxcert import command
from dgxcert.outcome import CannotStart
from dgxcert.plan import catalogue
from dgxcert.plan.catalogue import Entry

FOLDERS = ("checks", "benchmarks")

DECIDES = ("src", "checks", "benchmarks", "container", "compose.yaml", "pyproject.toml")
"""What decides how a run comes out; a stray file elsewhere in a checkout does not."""

CHANGES_PYTEST = (
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
    "PYTHONOPTIMIZE",
    "PYTHONWARNINGS",
    "CUDA_VISIBLE_DEVICES",
)
"""Variables that could change what a run measures; they are taken out of a child's environment, and the run says so."""


class Suite(BaseModel):
    """Which version of the suite ran. `commit` and `modified` are None outside a checkout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    commit: str | None = None
    modified: bool | None = None
    sha256: str


def root() -> Path:
    """The folder that holds `checks/` and `benchmarks/`: inside the installed package, or the checkout it runs from.

    Raises CannotStart when there is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "suite", package.parents[1]):
        if all((folder / name).is_dir() for name in FOLDERS):
            return folder
    raise CannotStart(
        f"The checks were not found beside {package}.", "Run from a checkout, or install the package whole."
    )


def environment() -> dict[str, str]:
    """The environment of a child: this one without what could change the suite, and with stable GPU numbering."""
    kept = {name: value for name, value in os.environ.items() if name not in CHANGES_PYTEST}
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    started_in = {"DGXCERT_STARTED_IN": os.getcwd()}  # children work elsewhere, and look at what lies here
    return {**kept, **own, **started_in, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def ignored_environment() -> tuple[str, ...]:
    """Names of the variables that are set here and kept from children."""
    return tuple(name for name in CHANGES_PYTEST if os.environ.get(name))


def pytest_command(suite: Path, *options: str) -> list[str]:
    """A pytest call that depends on nothing but the suite: no user's configuration, no cache left behind."""
    # A conftest.py in any folder above would be loaded too, and could turn failures into passes; so could other
    # plugins that happen to be installed, which `environment` keeps from loading by themselves.
    own_settings = ["-c", os.devnull, f"--rootdir={suite}", "--noconftest", "-p", "no:cacheprovider"]
    paths = [str(suite / name) for name in FOLDERS]
    plugins = ["-p", "pytest_benchmark.plugin", "-p", "dgxcert.runner.plugin"]
    return [sys.executable, "-P", "-m", "pytest", "--strict-markers", *own_settings, *plugins, *options, *paths]


def stage_command(suite: Path, run: Path, stage: str, attempt: int, *, parent: int) -> list[str]:
    """The pytest call of a supervisor's child; `parent` is 0 where the supervisor is outside the container."""
    return pytest_command(
        suite,
        "-v",
        "-rN",
        f"--dgxcert-run={run}",
        f"--dgxcert-stage={stage}",
        f"--dgxcert-attempt={attempt}",
        f"--dgxcert-parent={parent}",
        "--benchmark-columns=min,median,max,iqr,rounds",
    )


def collect(suite: Path, gpus: int) -> list[Entry]:
    """Every requirement of the suite, for a machine with so many GPUs.

    Raises CannotStart when a check cannot even be collected.
    """
    with _temporary_folder() as folder:
        listing = Path(folder) / "catalogue.json"
        options = ("--collect-only", "-q", f"--dgxcert-catalogue={listing}", f"--gpus={gpus}")
        collected = command.run(pytest_command(suite, *options), timeout_s=60, cwd=suite, env=environment())
        if listing.is_file() and collected.returncode == 0:
            return catalogue.read(listing)
    if collected.returncode == 5:
        raise CannotStart(f"No requirement was found in {suite}.", "Run from a whole checkout.")
    lines = (collected.stdout + collected.stderr).splitlines()
    complaints = [line for line in lines if "rror" in line and not line.startswith("!")]
    raise CannotStart(
        f"The suite in {suite} cannot be collected: {'; '.join(complaints[:3]) or collected.complaint}.",
        "Mend that file; `pytest checks benchmarks --collect-only` shows the whole traceback.",
    )


def _temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="dgxcert-")
    except OSError as error:
        raise CannotStart(
            f"There is no folder for temporary files ({error.strerror}).",
            "Make room, or set TMPDIR to one that has some.",
        ) from error


def identity(suite: Path) -> Suite:
    """Which suite this is: version, commit where it is a checkout, and a hash over its own source."""
    commit = _git(suite, "rev-parse", "HEAD")
    changed = _git(suite, "status", "--porcelain", "--", *DECIDES) if commit else None
    modified = None if changed is None else bool(changed)
    return Suite(version=metadata.version("dgxcert"), commit=commit, modified=modified, sha256=_hash(suite))


def _git(suite: Path, *args: str) -> str | None:
    """What git says of a checkout; None where there is no git, no checkout, or where git could not look."""
    if not (suite / ".git").exists():
        return None
    try:
        # Variables of a hook or a CI job would name another repository; a checkout of another owner is refused.
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        asked = command.run(["git", "-c", f"safe.directory={suite}", "-C", str(suite), *args], timeout_s=20, env=env)
    except FileNotFoundError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def _hash(suite: Path) -> str:
    """SHA-256 over names and contents of all that can change a result: checks, benchmarks and the package."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for base in (package, *(suite / name for name in FOLDERS)):
        carried = package / "suite" if base == package else None  # an installed package holds the suite inside itself
        for path in sorted(base.rglob("*")):
            if carried in path.parents:
                continue
            if path.is_file() and path.suffix in {".py", ".yaml", ".json", ".txt"} and "__pycache__" not in path.parts:
                digest.update(f"{base.name}/{path.relative_to(base)}".encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
