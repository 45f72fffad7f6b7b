"""The suite as it is delivered: this very commit as a clone of one commit, or the wheel that this dgxcert is from.

What is delivered is the commit, never the working tree: a host proves it unmodified by dgxcert's own rules.
"""

import csv
import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.outcome import CannotStart
from dgxcert.plan.suite import PACKAGE, Suite

GIT_S = 60.0
CLONE, PIP = "clone", "pip"


@dataclass(frozen=True)
class Archive:
    """A file to deliver."""

    path: Path
    sha256: str
    name: str
    """Its key: the same content has the same."""


def make(suite: Suite, root: Path, into: Path) -> Archive:
    """The archive of a suite, in a folder. Raises CannotStart where this dgxcert can vouch for none."""
    key = (suite.commit or suite.sha256)[:40]
    path = into / f"suite-{key}.tgz"
    if not path.is_file():  # the commit has not changed since an earlier call on this room
        with tempfile.TemporaryDirectory(prefix="dgxcert-suite-") as temporary:
            content = Path(temporary)
            if suite.installed:
                _wheel(suite, content)
            else:
                _clone(suite, root, content)
            _pack(content, path)
    with path.open("rb") as file:
        return Archive(path, hashlib.file_digest(file, "sha256").hexdigest(), key)


def require(suite: Suite) -> None:
    """Raise CannotStart where a suite cannot be delivered as what it is."""
    if suite.installed and suite.modified is not False:
        raise CannotStart(
            f"This installed dgxcert cannot be delivered: it is not established unmodified: {suite.reason}.",
            "Install its wheel again: pip install --force-reinstall dgxcert-*.whl",
        )
    if not suite.installed and suite.commit is None:
        raise CannotStart(
            f"This dgxcert is neither a clone nor installed from a wheel, so no host could prove it: {suite.reason}.",
            "Clone dgxcert, and call it there: make room ROOM=room.yaml",
        )


def note(suite: Suite) -> str:
    """What the user should know of what is delivered; "" where it is simply this dgxcert.

    >>> note(Suite(version="1", commit="c" * 40, modified=True, reason="src/a.py was changed", sha256="s"))[:73]
    'What is delivered is commit cccccccccccc, without what was changed since:'
    """
    if suite.installed or suite.commit is None or suite.modified is False:
        return ""
    why = suite.reason or "unknown"
    return f"What is delivered is commit {suite.commit[:12]}, without what was changed since: {why}"


def _clone(suite: Suite, root: Path, content: Path) -> None:
    """A clone of this commit alone, whatever the checkout is: shallow, detached, or with changes."""
    clone, settings = content / CLONE, content / "gitconfig"
    settings.write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")  # the checkout may be somebody else's
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env = {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(settings)}
    fetch = ["fetch", "-q", "--depth=1", "--no-tags", root.resolve().as_uri(), "HEAD"]
    for args in (["init", "-q", "--template="], fetch, ["checkout", "-q", "--detach", "FETCH_HEAD"]):
        clone.mkdir(exist_ok=True)
        done = command.run(["git", "-C", str(clone), *args], timeout_s=GIT_S, env=env)
        if done.returncode != 0:
            raise CannotStart(f"This commit cannot be packed: {done.complaint}.", "Look at the clone: git fsck")
    head = command.run(["git", "-C", str(clone), "rev-parse", "HEAD"], timeout_s=GIT_S, env=env).stdout.strip()
    if head != suite.commit:
        raise CannotStart(f"HEAD has moved meanwhile: wanted {suite.commit}, found {head}.", "Call it again.")
    (clone / ".git" / "FETCH_HEAD").unlink(missing_ok=True)
    settings.unlink()
    about = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = content / f"dgxcert-{about['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(metadata_of(about), encoding="utf-8")
    (folder / "INSTALLER").write_text("dgxcert room\n", encoding="utf-8")


def metadata_of(project: dict[str, Any]) -> str:
    """The metadata of a distribution, from the project's table in pyproject.toml.

    >>> print(metadata_of({"name": "dgxcert", "version": "1", "optional-dependencies": {"host": ["docker>=7"]}}))
    Metadata-Version: 2.1
    Name: dgxcert
    Version: 1
    Provides-Extra: host
    Requires-Dist: docker>=7; extra == "host"
    <BLANKLINE>
    """
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Requires-Dist: {each}" for each in project.get("dependencies", ())]
    for extra, required in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        for each in required:
            name, _, marker = each.partition(";")
            marker = f"({marker.strip()}) and " if marker else ""
            lines.append(f'Requires-Dist: {name.strip()}; {marker}extra == "{extra}"')
    return "\n".join([*lines, ""])


def _wheel(suite: Suite, content: Path) -> None:
    """The wheel again, from the files that its RECORD lists; and pip, which installs it there."""
    (info,) = PACKAGE.parent.glob("dgxcert-*.dist-info")
    record, written = info / "RECORD", set[str]()
    with zipfile.ZipFile(content / f"dgxcert-{suite.version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for folder in (PACKAGE, info):
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(PACKAGE.parent).as_posix()
                if path.is_file() and "__pycache__" not in path.parts and path.name not in WRITTEN_BY_PIP:
                    written.add(name)
                    if path != record:
                        wheel.write(path, name)
        # Without what pip has added here: it adds the same there, and a file that is listed twice proves nothing.
        rows = record.read_text(encoding="utf-8").splitlines(keepends=True)
        own = [row for row in rows if next(csv.reader([row]))[0] in written]
        wheel.writestr(record.relative_to(PACKAGE.parent).as_posix(), "".join(own))
    copy_pip(content / PIP)


WRITTEN_BY_PIP = {"INSTALLER", "REQUESTED", "direct_url.json"}


def copy_pip(into: Path) -> None:
    """pip as it is installed here, which is pure Python: a host may have none."""
    try:
        installed = metadata.distribution("pip")  # looking for the module instead would start setuptools' hooks
    except metadata.PackageNotFoundError as error:
        raise CannotStart(
            "pip is not installed beside dgxcert, and hosts need it to install from.", "Install it: make setup"
        ) from error
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(str(installed.locate_file("pip")), into / "pip", ignore=ignored)
    about = {"Metadata-Version": "2.1", "Name": "pip", "Version": installed.version}
    folder = into / f"pip-{about['Version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("".join(f"{name}: {value}\n" for name, value in about.items()))


def _pack(content: Path, path: Path) -> None:
    """Pack a folder, whole or not at all, with nothing of who packed it."""
    new = path.with_suffix(".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        new.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w") as packed,
    ):
        packed.add(content, ".", filter=nobody)
    os.replace(new, path)


def nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member of an archive without who it belongs to, and when it was made."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
