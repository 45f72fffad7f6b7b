"""Remove what dgxcert made on this machine: `make uninstall`. Lists it with sizes first, and asks. Needs only Python.

Made by dgxcert, and nothing else is touched: environments with the stamp of `scripts/setup.py`, images whose id the
builder kept, the stand-in base image, and the container, network and volume of its compose project. Results,
certificates, baselines, site profiles, keys and the checkout stay.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import setup

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from dgxcert.container import engine  # noqa: E402 (the folder has just been named)
from dgxcert.outcome import CannotStart  # noqa: E402

PROJECT = "dgxcert"
"""The name of the compose project, which its containers, network and volume carry as a label."""
STANDIN, LABEL_STANDIN = "dgxcert-standin", "org.dgxcert.standin"
"""The stand-in for the base image, by the name and the label that `container/standin/build.py` gives it."""
OF_PROJECT = "com.docker.compose.project"
OURS = {
    "container": re.compile("-[0-9]+-[0-9]+|[-_](cpu|gpu)[-_]run[-_].+"),
    "network": re.compile("_default"),
    "volume": re.compile("_cache"),
}
"""How names go on that a run and `compose.yaml` give: any project in a folder `dgxcert` has the name of ours."""
SIZES_S = 120.0
"""How long the engine may add up the size of a volume: it looks at every file."""
REMOVE_S = 600.0
CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache")


@dataclass(frozen=True)
class Item:
    """One thing that can be removed. `remove` returns why that failed, or ""."""

    group: str
    name: str
    size_bytes: int | None
    remove: Callable[[], str]

    def line(self) -> str:
        """What it is, on one line.

        >>> Item("volume", "dgxcert_cache", 2_160_000_000, str).line()
        '  volume       2.2 GB  dgxcert_cache'
        """
        return f"  {self.group:<11} {size(self.size_bytes):>8}  {self.name}"


def main() -> None:
    """List what there is, ask, and remove what was agreed to; exit code 1 where something could not be removed."""
    options = _options()
    items = [*environments(Path(options.venv).absolute()), *tool_caches()]
    try:
        items += engine_items()
    except CannotStart as error:
        print(f"Images and volume are not listed: {error}\n")
    if not items:
        print("Nothing is left here that dgxcert made.")
        return
    print("Made by dgxcert:", *(item.line() for item in items), sep="\n")
    print(STAY)
    problems: list[str] = []
    for group, of_group in _grouped(items):
        if _agreed(group, yes=options.yes):
            problems += _remove(of_group)
    for problem in problems:
        print(f"uninstall: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", default=".venv", help="an environment that may lie elsewhere than in this checkout")
    parser.add_argument("--yes", action="store_true", help="remove everything that is listed, without a question")
    return parser.parse_args()


def _grouped(items: Iterable[Item]) -> list[tuple[str, list[Item]]]:
    """The items by what is asked about at once, in the order in which they can be removed."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    return list(groups.items())


STAY = """
These stay: results with their certificates, baselines, site profiles, waivers, keys and this checkout; and images that
others made, as the base image. `docker image ls` lists those.
"""
QUESTIONS = {
    "environment": "Remove the environment, with all that was installed in it?",
    "caches": "Remove the caches of tools?",
    "container": "Remove the stopped containers?",
    "image": "Remove the images?",
    "network": "Remove the network?",
    "volume": "Remove the volume? It holds the models, data sets and kernels of every user of this engine.",
}


def _agreed(group: str, *, yes: bool) -> bool:
    """Whether the user wants a group removed; no terminal to ask on is a no."""
    if yes:
        return True
    try:
        return input(f"{QUESTIONS[group]} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print("no (no answer; YES=1 answers all)")
        return False


def _remove(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        problem = item.remove()
        if problem:
            yield f"{item.group} {item.name} stays: {problem}"
        else:
            print(f"removed: {item.group} {item.name}")


def environments(elsewhere: Path) -> list[Item]:
    """The environments that `make setup` made: those in this checkout, and one that lies elsewhere."""
    folders = {path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink()}
    if elsewhere.is_dir() and not elsewhere.is_symlink():
        folders.add(elsewhere)
    return [_tree("environment", path) for path in sorted(folders) if setup._is_ours(path)]


def tool_caches() -> list[Item]:
    """The caches that the tests and the linters leave in the checkout."""
    return [_tree("caches", path) for name in CACHES if (path := ROOT / name).is_dir() and not path.is_symlink()]


def _tree(group: str, path: Path) -> Item:
    def remove() -> str:
        try:
            shutil.rmtree(path)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return ""

    return Item(group, str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path), _size(path), remove)


def engine_items() -> list[Item]:
    """What the engine holds of ours. Raises CannotStart where it does not answer, or a run is in progress."""
    containers = _json_lines("ps", "--all", "--filter", f"label={OF_PROJECT}={PROJECT}", "--format", "{{json .}}")
    containers = [each for each in containers if _is_ours("container", each["Names"])]
    running = [each["Names"] for each in containers if each["State"] == "running"]
    if running:
        raise CannotStart(f"a container of dgxcert is running: {', '.join(running)}.", "Wait for its run to end.")
    return [
        *(_by_engine("container", each["Names"], None, "rm", each["ID"]) for each in containers),
        *images(),
        *(_by_engine("network", name, None, "network", "rm", name) for name in _named("network")),
        *(_by_engine("volume", name, _volume_size(name), "volume", "rm", name) for name in _named("volume")),
    ]


def images() -> list[Item]:
    """The images that the builder made here, each by its id, and the stand-in for the base image."""
    built = {build["id"] for build in _builds()}
    names: dict[str, list[str]] = {}
    for each in _json_lines("image", "ls", "--no-trunc", "--format", "{{json .}}"):
        if each["ID"] in built or (each["Repository"] == STANDIN and _label(each["ID"], LABEL_STANDIN)):
            known = names.setdefault(each["ID"], [])
            known += [f"{each['Repository']}:{each['Tag']}"] if each["Repository"] != "<none>" else []
    # The stand-in last: an engine removes no image on which another stands.
    return [_image(key, names[key]) for key in sorted(names, key=lambda key: key not in built)]


def _image(key: str, names: list[str]) -> Item:
    shown = f"{', '.join(names) or 'without a name'} ({key.removeprefix('sha256:')[:12]})"
    found = engine.run("image", "inspect", "--format", "{{.Size}}", key).stdout.strip()

    def remove() -> str:
        return _problem("image", "rm", *(names or [key])) or _forget(key)

    return Item("image", shown, int(found) if found.isdigit() else None, remove)


def _label(image: str, name: str) -> str:
    template = f'{{{{index .Config.Labels "{name}"}}}}'
    return engine.run("image", "inspect", "--format", template, image).stdout.strip()


def _builds_file() -> Path:
    """Where the builder keeps the ids of its images: `container/builds.py`, which needs packages that may be gone."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "dgxcert" / "images.json"


def _builds() -> list[dict[str, Any]]:
    try:
        builds = json.loads(_builds_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [build for build in builds if isinstance(build, dict) and isinstance(build.get("id"), str)]


def _forget(image: str) -> str:
    """Take an image out of the builder's list; the file and its folder go with the last one."""
    rest = [build for build in _builds() if build["id"] != image]
    path = _builds_file()
    try:
        if rest:
            path.write_text(json.dumps(rest, indent=1) + "\n", encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _named(kind: str) -> list[str]:
    """The networks or volumes of the compose project that are ours."""
    listed = _json_lines(kind, "ls", "--filter", f"label={OF_PROJECT}={PROJECT}", "--format", "{{json .}}")
    return sorted(each["Name"] for each in listed if _is_ours(kind, each["Name"]))


def _is_ours(kind: str, name: str) -> bool:
    return name.startswith(PROJECT) and OURS[kind].fullmatch(name.removeprefix(PROJECT)) is not None


def _volume_size(name: str) -> int | None:
    listed = engine.run("system", "df", "--verbose", "--format", "{{json .Volumes}}", timeout_s=SIZES_S)
    try:
        sizes = {each["Name"]: each["Size"] for each in json.loads(listed.stdout)}
    except (ValueError, TypeError, KeyError):
        return None
    return parse_size(sizes.get(name, ""))


def parse_size(text: str) -> int | None:
    """Bytes of a size as the engine writes it; None for anything else.

    >>> parse_size("12.34GB"), parse_size("0B"), parse_size("N/A")
    (12340000000, 0, None)
    """
    units = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}
    for unit, factor in units.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return round(float(number) * factor)
    return None


def _by_engine(group: str, name: str, size_bytes: int | None, *command: str) -> Item:
    return Item(group, name, size_bytes, lambda: _problem(*command))


def _problem(*command: str) -> str:
    """Why the engine did not do it, or ""; nothing is forced."""
    done = engine.run(*command, timeout_s=REMOVE_S)
    return "" if done.returncode == 0 else done.complaint


def _json_lines(*command: str) -> list[dict[str, Any]]:
    """What the engine lists. Raises CannotStart where it does not answer."""
    done = engine.run(*command)
    if done.returncode != 0:
        raise CannotStart(f"the engine does not answer: {done.complaint}.", "Ask it: docker version")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def _size(folder: Path) -> int:
    """Bytes on the disk of all files in a folder."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += 512 * os.lstat(os.path.join(place, name)).st_blocks
            except OSError:
                continue  # it is gone meanwhile
    return total


def size(bytes_: int | None) -> str:
    """A size for people.

    >>> size(2_160_000_000), size(312), size(None)
    ('2.2 GB', '0 MB', '')
    """
    if bytes_ is None:
        return ""
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.0f} MB"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nuninstall: interrupted; what was not said to be removed is still there")
