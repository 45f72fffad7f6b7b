"""Config file: `dgxcert.toml`, or `[tool.dgxcert]` in pyproject.toml, in the working folder, gives defaults of options.

A key is an option without its dashes, so that each option keeps its one declaration, with its checks and its help:

    profile = "dgx-spark"
    results = "/data/dgxcert"

What is typed wins, and what a file gave to a run is a note of that run: no verdict depends on a file silently.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dgxcert import near_miss
from dgxcert.cli.options import require_plain
from dgxcert.console import on_one_line
from dgxcert.files import untrusted
from dgxcert.files.untrusted import UnfitError
from dgxcert.outcome import CannotStart

OWN, SHARED = "dgxcert.toml", "pyproject.toml"
"""A file of its own, or the table `[tool.dgxcert]` of a project's."""
SIGNERS = "allowed-signers"
KEYS = ("profile", "site", "results", "waivers", SIGNERS, "checks")
"""What a file may say: where things are and what the machine is, never how much of it is measured."""
AT_MOST = 64 * 1024
WITHOUT = ("stage", "-h", "--help", "--version")
"""Words with which no file is read: a child of a run works in a folder that other work may have written to."""


class Config(NamedTuple):
    """What a config file says, by key, and the file's name; empty where there is no file."""

    file: str = ""
    values: Mapping[str, str] = {}

    def described(self, keys: Sequence[str]) -> str:
        """What the file gave to a command, on one line; "" where that is nothing.

        >>> Config("dgxcert.toml", {"profile": "h200", "site": "site"}).described(["site"])
        "dgxcert.toml: site = 'site'"
        """
        given = ", ".join(f"{key} = {self.values[key]!r}" for key in KEYS if key in keys and key in self.values)
        return f"{self.file}: {given}" if given else ""

    def origin(self, message: str) -> str:
        """Where what a message complains about comes from, if it quotes what the file says; or "".

        >>> Config("dgxcert.toml", {"profile": "h20"}).origin("There is no profile 'h20'.")
        ' (profile is from dgxcert.toml)'
        """
        quoted = [key for key, value in self.values.items() if value in message]
        return f" ({' and '.join(quoted)} is from {self.file})" if quoted else ""

    def signers_for(self, words: Sequence[str]) -> str:
        """A line about whose signatures count because of the file, where a command that verifies does not name them.

        >>> Config("dgxcert.toml", {"allowed-signers": "signers"}).signers_for(["verify", "certificate.json"])
        'allowed signers: signers, by dgxcert.toml'
        """
        path, typed = self.values.get(SIGNERS), any(word.startswith(f"--{SIGNERS}") for word in words)
        verifies = words[:1] in (["verify"], ["drift"]) and not typed
        return f"allowed signers: {on_one_line(path)}, by {self.file}" if path and verifies else ""


def read(folder: Path, words: Sequence[str]) -> Config:
    """The config of a working folder, for a command of these typed words.

    Raises CannotStart for a file that cannot be read, is no TOML, has an unknown key or a value that is no text, and
    where both files say something: which of them counts must not be a guess.
    """
    if not words or words[0] in WITHOUT or words[-1] in WITHOUT:
        return Config()
    texts = {name: _text(folder / name) for name in (OWN, SHARED)}
    tables = {OWN: _parsed(texts[OWN], OWN), SHARED: _shared(texts[SHARED])}
    said = [name for name, table in tables.items() if table is not None]
    if len(said) > 1:
        raise CannotStart(
            f"both {OWN} and [tool.dgxcert] in {SHARED} are there.", "Move all settings into one of them."
        )
    if not said:
        return Config()
    name = said[0]
    return Config(name, parse(tables[name] or {}, name, texts[name]))


def parse(table: Mapping[str, Any], name: str, text: str = "") -> dict[str, str]:
    """The settings in a table of a file called `name`, of which `text` is the content. Raises CannotStart.

    >>> parse({"profile": "h200"}, "dgxcert.toml")
    {'profile': 'h200'}
    >>> parse({"profil": "h200"}, "dgxcert.toml", 'profil = "h200"')
    Traceback (most recent call last):
    dgxcert.outcome.CannotStart: dgxcert.toml, line 1: there is no setting 'profil'; did you mean 'profile'?
    """
    for key, value in table.items():
        where = f"{name}{_line(text, key)}"
        if key not in KEYS:
            raise CannotStart(f"{where}: there is no setting {on_one_line(key)[:60]!r}; {near_miss.hint(key, KEYS)}")
        if not isinstance(value, str) or not value:
            raise CannotStart(
                f"{where}: {key}: wanted a text in quotes, found {on_one_line(repr(value))[:60]}.",
                f'Write it as: {key} = "…"; or leave the line out.',
            )
        try:
            require_plain([value])
        except CannotStart as error:
            raise CannotStart(f"{where}: {key}: {error.problem}", *error.remedy) from error
    return dict(table)


def default_map(config: Config, commands: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The defaults that a config gives to each command, for click's `default_map`: by command, then by parameter."""
    return {
        name: {
            parameter.name: config.values[key]
            for parameter in command.params
            for key in KEYS
            if f"--{key}" in parameter.opts and key in config.values
        }
        for name, command in commands.items()
    }


def used(context: Any, without: Sequence[str] = ()) -> str:
    """What of the config file counts for the command of a context: nothing of what was typed, and none of `without`."""
    settings = context.find_root().obj
    from_file = [key for key in KEYS if key not in without and is_default(context, key.replace("-", "_"))]
    return settings.described(from_file) if isinstance(settings, Config) else ""


def is_default(context: Any, parameter: str) -> bool:
    """Whether the value of a parameter is what a config file says."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "DEFAULT_MAP"


def _text(path: Path) -> str:
    """The text of a file, "" where there is none. Raises CannotStart where it is not to be trusted, or unreadable."""
    try:
        text = untrusted.read_text(path, AT_MOST, follow=True)
        status = os.stat(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if path.name == SHARED and isinstance(error, UnfitError):
            return ""  # some project's, which need not fit dgxcert's limits
        raise CannotStart(f"{path.name} cannot be read: {error.strerror}.", "Fix or remove it.") from error
    trusted = {0, os.geteuid(), int(os.environ.get("SUDO_UID", "0") or 0)}
    if _says_something(path.name, text) and (status.st_uid not in trusted or status.st_mode & stat.S_IWOTH):
        # A stranger's folder must not choose whose signature is believed.
        raise CannotStart(
            f"{path.name} here belongs to another user, or others may write to it: it does not count.",
            f"Make it yours: sudo chown {os.geteuid()} {path.name} && chmod o-w {path.name}; or use another folder.",
        )
    return text


def _says_something(name: str, text: str) -> bool:
    return name == OWN or "dgxcert" in text


def _parsed(text: str, name: str) -> dict[str, Any] | None:
    """The content of a TOML file, None where it is empty or missing."""
    if not text.strip():
        return None
    try:
        return untrusted.parse_toml(text)
    except ValueError as error:
        raise CannotStart(
            f"{name} is not TOML: {on_one_line(str(error))[:200]}.", 'A setting is written as: profile = "dgx-spark"'
        ) from error


def _shared(text: str) -> dict[str, Any] | None:
    """The table of dgxcert in a pyproject.toml, None where it has none."""
    if not re.search(r"tool\b.*\bdgxcert", text):
        return None  # other projects' files are not judged
    tool = (_parsed(text, SHARED) or {}).get("tool")
    table = tool.get("dgxcert") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise CannotStart(f"{SHARED}: tool.dgxcert: wanted a table of settings.", "Begin it with [tool.dgxcert].")
    return table


def _line(text: str, key: str) -> str:
    r"""Where a key stands in a text of TOML.

    >>> _line('[tool.dgxcert]\nprofil = "h200"', "profil")
    ', line 2'
    """
    pattern = re.compile(rf"^\s*[\"']?{re.escape(key)}[\"']?\s*[=.]")
    numbers = [number for number, line in enumerate(text.splitlines(), start=1) if pattern.match(line)]
    return f", line {numbers[-1]}" if numbers else ""
