"""Profiles, site profiles and waivers with changed bytes, lines and numbers: each is read or refused by name."""

import os
import random
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from attacks.attack import Attack, Harm, Try
from suites import site_profile
from suites.certified import KEYS, SPARK

from dgxcert.console import on_one_line
from dgxcert.outcome import CannotStart
from dgxcert.profiles import profile as profiles
from dgxcert.profiles import site, site_record, waivers

TODAY = date(2026, 11, 30)
WAIVER = "waivers:\n- requirement: DISK-SPACE\n  machine: spark-07\n  reason: r\n  who: Ada\n  until: 2027-01-31\n"
SNIPPETS = (
    *("\x00", "\x1b[2J", "\xff", "\t", "\r", "\u2028", "&a ", "*a", "!!int ", "!!python/object:os.x ", "<<: *a\n"),
    *("---\n", "...\n", "%YAML 3.0\n", "? ", "- ", ": ", "{", "}", "[", "]", "|\n", ">\n", "'", '"', '"\\e[2J"', "#"),
    *(".inf", ".nan", "1e400", "0x1F", "010", "1:30", "1_0", "yes", "null", "~", "2026-02-30", "9" * 5000, "[" * 2000),
    *("a" * 30_000, "limits:\n", "name: dgx-spark\n", "extends: cpu\n", "extends: /etc/passwd.yaml\n"),
    *("extends: ../../x.yaml\n", "certifies: true\n", "own: false\n", "site: {}\n"),
)
NUMBERS: dict[str, tuple[str, bool]] = {
    "nan": (".nan", True),
    "inf": (".inf", True),
    "-inf": ("-.inf", True),
    "negative": ("-5", True),
    "1e308": ("1e308", True),
    "400 digits": ("9" * 400, True),
    "subnormal": ("5e-324", True),
    "1e29": ("1e29", True),
    "true": ("true", True),
    "octal": ("010", True),
    "sexagesimal": ("1:30", True),
    "zero": ("0", False),
    "text": ("'12'", False),
    "nothing": ("~", False),
}
"""What a number is replaced by, and whether that must be refused wherever it stands."""


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Numbers one by one, then changes at random, then files that are none."""
    chance = random.Random(seed)
    yield from _numbers(chance, 12 if quick else 300)
    spark = (
        (profiles.SHIPPED / "dgx-spark.yaml").read_text(encoding="utf-8").replace("certifies: true", "certifies: no")
    )
    own = f"name: mine\n{spark}"
    tightened = site_profile.write(folder).read_text(encoding="utf-8")
    for number in range(12 if quick else 300):
        yield _tried(f"profile {number}", folder / "mine.yaml", _changed(own, chance), _load_profile)
    for number in range(40 if quick else 2000):
        yield _tried(f"waivers {number}", folder / "waivers.yaml", _changed(WAIVER, chance), _load_waivers)
    for number in range(8 if quick else 300):
        yield _tried(f"site profile {number}", folder / "dgx-spark.yaml", _changed(tightened, chance), _load_site)
    yield from _other_files(folder)


def _numbers(chance: random.Random, most: int) -> Iterator[Try]:
    """Each number of two profiles, replaced."""
    changes = []
    for name in ("dgx-spark", "cpu"):
        content = yaml.safe_load((profiles.SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
        changes += [(name, content, path, odd) for path in _paths(content) for odd in NUMBERS]
    chance.shuffle(changes)
    for name, content, path, odd in changes[:most]:
        value, must_be_refused = NUMBERS[odd]
        key = ".".join(map(str, path))
        text = yaml.safe_dump(_with(content, path, "REPLACED") | {"name": "mine"}).replace("REPLACED", value)
        found = _judged(f"{name}: {key}: {odd}", lambda text=text: profiles.parse(text, Path("mine.yaml")))
        refused = found.shown != "read"
        if found.harm is None and must_be_refused and not refused:
            found = Try(found.name, Harm.WRONG, "it was taken for a number")
        yield found


def _paths(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all numbers."""
    if isinstance(content, dict):
        return [found for key, value in content.items() for found in _paths(value, (*path, key))]
    if isinstance(content, list):
        return [found for key, value in enumerate(content) for found in _paths(value, (*path, key))]
    return [path] if isinstance(content, int | float) and not isinstance(content, bool) else []


def _with(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with one value replaced."""
    if not path:
        return value
    first, *rest = path
    copied = content.copy()
    copied[first] = _with(content[first], tuple(rest), value)
    return copied


def _changed(text: str, chance: random.Random) -> bytes:
    """A text with one to three changes."""
    content = text.encode()
    for _ in range(chance.randint(1, 3)):
        at, lines = chance.randrange(len(content) + 1), content.split(b"\n")
        match chance.randrange(7):
            case 0:
                content = content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
            case 1:
                content = content[:at] + content[at + chance.randrange(1, 200) :]
            case 2:
                content = content[:at] + chance.choice(SNIPPETS).encode() + content[at:]
            case 3:
                line = chance.randrange(len(lines))
                content = b"\n".join([*lines[:line], lines[line], *lines[line:]])
            case 4:
                line = chance.randrange(len(lines))
                content = b"\n".join([*lines[:line], b"  " + lines[line], *lines[line + 1 :]])
            case 5:
                content = content[:at]
            case 6:
                line = chance.randrange(len(lines))
                key, colon, _ = lines[line].partition(b":")
                changed = key + colon + b" " + chance.choice(SNIPPETS).encode()
                content = b"\n".join([*lines[:line], changed, *lines[line + 1 :]])
    return content


def _tried(name: str, path: Path, content: bytes, load: Callable[[Path], object]) -> Try:
    path.write_bytes(content)
    return _judged(name, lambda: load(path))


def _judged(name: str, load: Callable[[], object]) -> Try:
    """A file is read, or refused in one printable sentence; anything else is a bug."""
    try:
        load()
    except CannotStart as error:
        shown = str(error)
        fits = shown == on_one_line(shown) and len(shown) < 2000
        return Try(name, None if fits else Harm.WRONG, shown)
    except AssertionError as error:
        return Try(name, Harm.WRONG, str(error))
    except Exception as error:
        return Try(name, Harm.TRACEBACK, f"{type(error).__name__}: {error}")
    return Try(name, None, "read")


def _load_profile(path: Path) -> None:
    profile = profiles.load(str(path))
    assert profile.own
    assert not profile.certifies, "somebody else's profile certifies"
    assert profile.name not in profiles.names(), "it has the name of one that ships"


def _load_waivers(path: Path) -> None:
    for waiver in waivers.load(path, KEYS, SPARK, TODAY):
        assert waiver.until >= TODAY
        assert waiver.requirement in KEYS


def _load_site(path: Path) -> None:
    tightened = site.apply(site_profile.SPARK, path)
    for name, shipped in site_profile.SPARK.limits.items():
        if tightened.limits[name] != shipped:
            assert not site_record.problem(shipped, tightened.limits[name]), f"{name} became looser"


def _other_files(folder: Path) -> Iterator[Try]:
    """What is no file, or one of another kind."""
    place = folder / "others"
    place.mkdir()
    os.mkfifo(place / "fifo.yaml")
    (place / "folder.yaml").mkdir()
    for name, target in (("device", "/dev/zero"), ("loop", "loop.yaml"), ("gone", "nowhere")):
        (place / f"{name}.yaml").symlink_to(target)
    (place / "long.yaml").write_text("a: 1\n" * 2_000_000)
    (place / "utf16.yaml").write_bytes("name: x".encode("utf-16"))
    (place / "nul.yaml").write_bytes(b"name: a\x00b")
    (place / "away.yaml").write_text("extends: ../../../../etc/passwd.yaml\n")
    (place / "into.yaml").write_text("extends: fifo.yaml\n")
    (place / "link.yaml").symlink_to("/etc/hostname")
    (place / "by_link.yaml").write_text("extends: link.yaml\n")
    for number in range(50):
        (place / f"chain{number}.yaml").write_text(f"extends: chain{number + 1}.yaml\n")
    loads = (_load_profile, _load_waivers, _load_site)
    for path in sorted(place.glob("*.yaml")):
        if path.stem.startswith("chain") and path.stem != "chain0":
            continue
        for load in loads:
            found = _judged(f"{path.stem}, {load.__name__}", lambda path=path, load=load: load(path))
            yield Try(found.name, Harm.WRONG, "it was read") if found.shown == "read" else found


ATTACK = Attack(
    "profiles, waivers", "numbers, bytes and lines changed; FIFOs, devices, links, chains, 10 MB, UTF-16", tries
)
