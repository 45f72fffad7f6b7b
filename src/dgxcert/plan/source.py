"""The source on disk, compared with its commit: unmodified only where every file was hashed and is what the commit has.

`git status` is not asked. It believes an index that can say "assume unchanged", ignore rules that hide a new file, and
settings of the user. git only hands over commit and trees here; their hashes are computed again, down to each file.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dgxcert import command

GIT_S = 20.0
"""A clone on a slow network share answers within a few seconds."""

ALONE = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_NO_REPLACE_OBJECTS": "1"}
"""Settings of users and replaced objects must not change what a commit is."""

CACHES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
METADATA = ".egg-info"
"""Ending of the folder that an editable installation leaves in `src`."""
SHOWN = 3

SYMLINK, SUBMODULE = "120000", "160000"


class Compared(NamedTuple):
    """What the source is: `modified` is None where that cannot be told; `reason` says why, or what was changed."""

    commit: str | None
    modified: bool | None
    reason: str


class Unknown(Exception):  # noqa: N818 (reads as `raise Unknown`)
    """Why it cannot be told whether the source is what its commit has."""


class Entry(NamedTuple):
    """One line of a tree of git."""

    mode: str
    id: str
    path: str


def compare(checkout: Path, package: Path, decides: Iterable[str]) -> Compared:
    """Compare files and folders of a checkout (`decides`) with its commit; `package` is where dgxcert is imported from.

    File modes are not compared: some file systems have none.
    """
    commit = None
    try:
        if not (checkout / ".git").exists():
            raise Unknown("there is no .git, so this is not a clone")
        said = _git(checkout, "rev-parse", "--verify", "HEAD^{commit}").decode("ascii", errors="replace").strip()
        commit = said if re.fullmatch(r"[0-9a-f]{40,64}", said) else None
        if commit is None:
            raise Unknown(f"git names no commit, but {said[:80]!r}")
        if package != checkout / "src" / package.name:
            raise Unknown(f"dgxcert is imported from {package}, which is not in the clone")
        differing = _differences(checkout, _entries(checkout, commit), tuple(decides))
        _git(checkout, "ls-files", "--", "pyproject.toml")  # a clone with a damaged index is not one to trust
    except Unknown as unknown:
        return Compared(commit, None, str(unknown))
    except OSError as error:
        return Compared(commit, None, f"{error.filename} cannot be read: {error.strerror}")
    except ValueError as error:  # it is not a tree that git printed
        return Compared(commit, None, f"git's answer cannot be read: {error}")
    return Compared(commit, bool(differing), shown(differing))


def shown(differing: list[str]) -> str:
    """The first sentences of a list, and how many more there are.

    >>> shown(["a.py was changed", "b.py is missing"])
    'a.py was changed; b.py is missing'
    """
    more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
    return "; ".join(differing[:SHOWN]) + more


def _git(checkout: Path, *args: str) -> bytes:
    """The output of git in this checkout; raises Unknown with the reason where there is none."""
    # Variables of a hook or a CI job would name another repository; a checkout of another owner is refused.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | ALONE
    line = ["git", "-c", f"safe.directory={checkout}", f"--git-dir={checkout / '.git'}", f"--work-tree={checkout}"]
    try:
        answer = command.run_raw([*line, *args], timeout_s=GIT_S, env=env)
    except FileNotFoundError:
        raise Unknown("git is not installed") from None
    except OSError as error:
        raise Unknown(f"git cannot be started: {error.strerror}") from error
    if answer.returncode is None:
        raise Unknown(f"git did not answer within {GIT_S:.0f} s")
    if answer.returncode != 0:
        last = (answer.stderr.decode(errors="replace").strip() or "no message").splitlines()[-1]
        raise Unknown(f"`git {args[0]}` failed: {last[:200]}")
    return answer.stdout


def _entries(checkout: Path, commit: str) -> list[Entry]:
    """All entries of a commit's trees. Raises Unknown unless their hashes lead from the commit's id to each of them."""
    content = _git(checkout, "cat-file", "commit", commit)
    tree = content.partition(b"\n")[0].removeprefix(b"tree ").decode("ascii", errors="replace")
    lines = _git(checkout, "ls-tree", "-r", "-t", "-z", "--full-tree", commit).split(b"\0")
    entries = [_entry(line) for line in lines if line]
    trees: dict[str, list[Entry]] = {"": []}
    for entry in entries:
        trees.setdefault(entry.path.rpartition("/")[0], []).append(entry)
    named = {"": tree} | {entry.path: entry.id for entry in entries if entry.mode == "040000"}
    genuine = _id(b"commit", content, commit) == commit and trees.keys() == named.keys()
    if not genuine or any(_tree_id(trees[path], commit) != name for path, name in named.items()):
        raise Unknown(f"what git says is in commit {commit[:12]} does not hash to it")
    return entries


def _entry(line: bytes) -> Entry:
    about, _, path = line.partition(b"\t")
    mode, _, name = about.decode("ascii", errors="replace").split(" ")
    return Entry(mode, name, os.fsdecode(path))


def _tree_id(entries: list[Entry], like: str) -> str:
    parts = (
        f"{entry.mode.lstrip('0')} ".encode() + os.fsencode(Path(entry.path).name) + b"\0" + bytes.fromhex(entry.id)
        for entry in entries
    )
    return _id(b"tree", b"".join(parts), like)


def _id(kind: bytes, content: bytes, like: str) -> str:
    """The id that git gives to an object, in the hash of another id.

    >>> _id(b"blob", b"", "0" * 40)
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    digest = hashlib.sha1(usedforsecurity=False) if len(like) == 40 else hashlib.sha256()
    digest.update(kind + b" %d\0" % len(content) + content)
    return digest.hexdigest()


def _differences(checkout: Path, entries: list[Entry], decides: tuple[str, ...]) -> list[str]:
    """What is changed, missing or added on disk, one sentence each, in the order of the paths."""
    committed = {entry.path: entry for entry in entries if entry.mode != "040000" and _is_in(entry.path, decides)}
    found = {path.relative_to(checkout).as_posix(): path for name in decides for path in files(checkout / name)}
    sentences = []
    for name in sorted(committed.keys() | found.keys()):
        if name not in found:
            sentences.append(f"{name} is missing")
        elif name not in committed:
            sentences.append(f"{name} is not in the commit")
        elif _id(b"blob", _content(found[name], committed[name].mode), committed[name].id) != committed[name].id:
            sentences.append(f"{name} was changed")
    return sentences


def _is_in(path: str, decides: tuple[str, ...]) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in decides)


def _content(path: Path, mode: str) -> bytes:
    """What git would hash: the content of a file, or where a link leads; nothing that has a hash for another kind."""
    if path.is_symlink() != (mode == SYMLINK) or mode == SUBMODULE:
        return b"another kind of entry\0" + mode.encode()
    return os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()


def files(path: Path) -> Iterator[Path]:
    """Every file at or below a path that Python, pytest or the engine could read; links are not followed.

    Of the caches, only compiled modules that Python uses without a look at their source.
    """
    if path.is_symlink() or path.is_file():
        yield path
    elif path.is_dir():
        for folder, names, files in os.walk(path, onerror=_raise):
            here = Path(folder)
            yield from (here / name for name in names if (here / name).is_symlink())
            if here.name == "__pycache__":
                yield from (here / name for name in files if name.endswith(".pyc") and _is_unchecked(here / name))
            else:
                yield from (here / name for name in files)
            names[:] = [name for name in names if not _is_cache(here / name)]


def _is_cache(folder: Path) -> bool:
    """Whether nothing is imported from a folder; compiled modules are looked at one by one."""
    metadata = folder.name.endswith(METADATA) and folder.parent.name == "src"
    return folder.is_symlink() or metadata or (folder.name in CACHES and folder.name != "__pycache__")


def _is_unchecked(module: Path) -> bool:
    """Whether Python loads a compiled module without comparing it with its source (PEP 552: hash-based, unchecked)."""
    with module.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "little") & 0b11 == 0b01


def _raise(error: OSError) -> None:
    raise error
