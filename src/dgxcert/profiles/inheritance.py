"""Inheritance: the text of a profile's file, merged with the profiles that it extends.

`extends` names a profile that ships, a base in `base/`, or a .yaml file, whose path is relative to the extending file.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dgxcert import near_miss
from dgxcert.files import yaml_document
from dgxcert.files.yaml_document import Document, shown
from dgxcert.outcome import CannotStart

SHIPPED = Path(__file__).parent
BASES = SHIPPED / "base"
"""Profiles to extend that are none of their own: they are neither listed nor chosen."""

MOST_EXTENDED = 8
KEY = re.compile(r"(?:unknown|missing) key '([^']+)'|([^:]+)(?::|$)")
"""The key that a problem of `schema_errors` or of a profile begins with."""
NOT_INHERITED = ("name", "match", "certifies")
"""What a machine is called, recognised by and certified as is said by its own profile only."""
QUANTITIES = ("limits", "physical", "memory")
"""Sections of quantities, each of which is replaced whole: half of a limit and half of another make none."""


def is_file(name_or_path: str) -> bool:
    """Whether it is the path of a profile's file and not the name of a profile.

    >>> is_file("h200"), is_file("./mine.yaml")
    (False, True)
    """
    return Path(name_or_path).suffix in {".yaml", ".yml"}


def names_in(folder: Path) -> list[str]:
    """The profiles in a folder, by name."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read(path: Path, *, follow: bool = True) -> Document:
    """A profile's file; raises CannotStart where it cannot be read. Links are followed for a path that was typed."""
    return _with_keys(yaml_document.load(path, "Profile", follow=follow))


def parse(text: str, path: Path) -> Document:
    """The text of a profile's file; raises CannotStart where it is none.

    >>> parse("extends: h200", Path("mine.yaml")).content
    {'extends': 'h200'}
    """
    return _with_keys(yaml_document.parse(text, f"Profile {path}"))


def _with_keys(document: Document) -> Document:
    if not isinstance(document.content, dict):
        raise CannotStart(
            f"{document.at('')}: wanted keys and values, found {shown(document.content)}.",
            f"Start from one of: {', '.join(names_in(SHIPPED))}.",
        )
    return document


def chain(document: Document, path: Path) -> tuple[Document, ...]:
    """A profile's file and all that it extends, one after the other; `path` is where the first one is.

    Raises CannotStart for an `extends` that is unknown, leads back to its own file or out of the folder of the first
    file, and where more than MOST_EXTENDED files extend each other.
    """
    documents, paths = [document], [path]
    while (base := _base(documents[-1], paths[-1], first=path)) is not None:
        if base.resolve() in {each.resolve() for each in paths}:
            way = " extends ".join(str(each) for each in (*paths, base))
            raise CannotStart(f"{documents[-1].at('extends')}: {way}, which is a cycle.", "Remove one `extends`.")
        if len(paths) > MOST_EXTENDED:
            raise CannotStart(
                f"{document.at('extends')}: wanted at most {MOST_EXTENDED} files that extend each other, found more.",
                "Write what they say into fewer files.",
            )
        documents.append(_shipped(base) if _ships(base) else read(base, follow=False))
        paths.append(base)
    return tuple(documents)


def resolve(documents: tuple[Document, ...]) -> dict[str, Any]:
    """The keys of a profile and of all that it extends, which follows it.

    >>> resolve((Document("Profile a.yaml", {"extends": "b.yaml", "machine": "a"}, {}),
    ...          Document("Profile b.yaml", {"name": "b", "machine": "b", "summary": "of b"}, {})))
    {'machine': 'a', 'summary': 'of b'}
    """
    first, *extended = (
        {key: value for key, value in document.content.items() if key != "extends"} for document in documents
    )
    content: dict[str, Any] = {}
    for each in reversed(extended):
        content = merge(content, each)
        content = {key: value for key, value in content.items() if key not in NOT_INHERITED}
    return merge(content, first) if extended else first


def place(documents: tuple[Document, ...], problem: str) -> str:
    """The file, line and column that a problem is about, by the key that it names first.

    >>> one = Document("Profile a.yaml", {}, {"gpu": (3, 1)})
    >>> place((one, Document("Profile b.yaml", {}, {"gpu.count": (7, 3)})), "gpu.count: wanted a number")
    'Profile b.yaml, line 7, column 3, which Profile a.yaml extends'
    """
    found = KEY.match(problem)
    key = found.group(1) or found.group(2) if found else ""
    if problem.startswith("missing"):
        key = key.rpartition(".")[0]
    while key:
        for document in documents:
            if key in document.places:
                own = document is documents[0]
                return document.at(key) + ("" if own else f", which {documents[0].name} extends")
        key = key.rpartition(".")[0]
    return documents[0].at("")


def _base(document: Document, path: Path, first: Path) -> Path | None:
    """The file that `extends` means; None where nothing is extended."""
    extends, at = document.content.get("extends"), document.at("extends")
    if extends is None:
        return None
    known = [*names_in(SHIPPED), *names_in(BASES)]
    if not isinstance(extends, str):
        raise CannotStart(
            f"{at}: extends: wanted the name of a profile or the path of a .yaml file, found {shown(extends)}.",
            f"Name one of: {', '.join(known)}.",
        )
    if is_file(extends):
        return _inside(path.parent / extends, first, at)
    if extends not in known:
        raise CannotStart(
            f"{at}: extends: there is no profile {shown(extends)}.",
            f"{near_miss.sentence(extends, known)} A file of your own must end in .yaml.",
        )
    return (SHIPPED if extends in names_in(SHIPPED) else BASES) / f"{extends}.yaml"


def _inside(base: Path, first: Path, at: str) -> Path:
    """A file that is extended by its path. A profile of somebody else must not read what else its reader has."""
    if not base.resolve().is_relative_to(first.parent.resolve()):
        raise CannotStart(
            f"{at}: extends: wanted a file in the folder of {first} or below it, found {shown(str(base))}.",
            "Put the files into one folder.",
        )
    return base


@cache
def _shipped(path: Path) -> Document:
    """A file that ships, read once: most profiles extend the same ones. Nothing changes its content."""
    return read(path)


def _ships(path: Path) -> bool:
    return path.parent in (SHIPPED, BASES)


def merge(base: Mapping[str, Any], own: Mapping[str, Any], section: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `base` has, key by key replaced by what `own` gives; `null` removes a key.

    A quantity and the number of GPUs are replaced whole.

    >>> base = {"limits": {"spread": {"max": 0.1, "note": "of one card"}}, "workloads": {"load": {"size_mib": 1024}}}
    >>> own = {"limits": {"spread": {"max": 0.2}}, "workloads": {"transfer": {"size_mib": 64}}}
    >>> merge(base, own)
    {'limits': {'spread': {'max': 0.2}}, 'workloads': {'load': {'size_mib': 1024}, 'transfer': {'size_mib': 64}}}
    """
    merged = dict(base)
    for key, value in own.items():
        whole = (section and section[0] in QUANTITIES) or key == "gpu"
        if value is None and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict) and not whole:
            merged[key] = merge(merged[key], value, (*section, key))
        else:
            merged[key] = value
    return merged
