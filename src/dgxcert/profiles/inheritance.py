"""Inheritance: the text of a profile's file, merged with the profiles that it extends.

`extends` names a profile that ships, a base in `base/`, or a .yaml file, whose path is relative to the extending file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dgxcert.judgement.units import nearest
from dgxcert.outcome import CannotStart
from dgxcert.profiles.yaml_reader import StrictLoader

SHIPPED = Path(__file__).parent
BASES = SHIPPED / "base"
"""Profiles to extend that are none of their own: they are neither listed nor chosen."""

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


def read(path: Path) -> str:
    """The text of a profile's file; raises CannotStart where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"Profile {path} cannot be read: {error}.", "Check the path and its permissions.") from error


def resolve(text: str, path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a profile and of all that it extends; `path` names it in errors.

    Raises CannotStart for what is not YAML, and for an `extends` that is unknown or leads back to its own file.
    """
    content = _keys(text, path)
    base = _base(content, path)
    content.pop("extends", None)
    if base is None:
        return content
    chain = (*extended_by, path)
    if base.resolve() in {path.resolve() for path in chain}:
        way = " extends ".join(str(path) for path in (*chain, base))
        raise CannotStart(f"Profile {path}: extends: {way}, which is a cycle.", "Remove one `extends`.")
    inherited = resolve(read(base), base, chain)
    return merge({key: value for key, value in inherited.items() if key not in NOT_INHERITED}, content)


def described(text: str, path: Path) -> str:
    """A profile's file for an error message, with the user's own file that it extends, where the mistake may be.

    >>> described("extends: ./lab.yaml", Path("rack-7.yaml")), described("extends: h200", Path("rack-7.yaml"))
    ('Profile rack-7.yaml, which extends lab.yaml', 'Profile rack-7.yaml')
    """
    base = _base(_keys(text, path), path)
    shipped = base is None or base.parent in (SHIPPED, BASES)
    return f"Profile {path}" if shipped else f"Profile {path}, which extends {base}"


def _keys(text: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(text, Loader=StrictLoader)  # noqa: S506 (a SafeLoader that refuses more)
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise CannotStart(f"Profile {path} is not YAML: {message}.", "Correct that line.") from error
    if not isinstance(content, dict):
        raise CannotStart(f"Profile {path} holds no keys.", f"Start from one of: {', '.join(names_in(SHIPPED))}.")
    return content


def _base(content: dict[str, Any], path: Path) -> Path | None:
    """The file that `extends` means; None where nothing is extended."""
    extends = content.get("extends")
    if extends is None:
        return None
    known = [*names_in(SHIPPED), *names_in(BASES)]
    if not isinstance(extends, str):
        raise CannotStart(
            f"Profile {path}: extends: wanted the name of a profile or the path of a .yaml file, found {extends!r}.",
            f"Name one of: {', '.join(known)}.",
        )
    if is_file(extends):
        return path.parent / extends
    if extends not in known:
        raise CannotStart(
            f"Profile {path}: extends: there is no profile {extends!r}.",
            f"{nearest(extends, known).capitalize()} A file of your own must end in .yaml.",
        )
    return (SHIPPED if extends in names_in(SHIPPED) else BASES) / f"{extends}.yaml"


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
