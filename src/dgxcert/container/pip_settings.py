"""pip's settings about where packages come from: all that a build needs of them, and nothing that names local files."""

import ast
import configparser
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command

ABOUT_SOURCES = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
SECTIONS = ("global", "install", ":env:")
"""In the order in which pip lets one override the other."""
AUTHORITIES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class PipSettings:
    """`config` is the text of a pip.conf, `authority` a file of certificates; either may be empty."""

    config: str
    authority: str


def read() -> PipSettings:
    """The settings of whoever builds, whichever of pip's files and variables they stand in."""
    listed = command.run([sys.executable, "-m", "pip", "config", "list"], timeout_s=30)
    settings = parse(listed.stdout)
    candidates = [os.environ.get(AUTHORITIES[0]), settings.get("cert"), *map(os.environ.get, AUTHORITIES[1:])]
    authority = next((path for path in candidates if path and Path(path).is_file()), "")
    return PipSettings(config(settings), authority)


def parse(listing: str) -> dict[str, str]:
    """What `pip config list` prints, lines like `global.index-url='https://packages'`, as one set of settings."""
    found: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        name, is_setting, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if is_setting and value[:1] in {"'", '"'}:
            found.setdefault(section, {})[key.removeprefix("default-")] = str(ast.literal_eval(value))
    return {key: value for section in SECTIONS for key, value in found.get(section, {}).items()}


def config(settings: dict[str, str]) -> str:
    """A pip.conf with the settings about sources; empty where there are none."""
    kept = {name: _reachable(settings[name]) for name in ABOUT_SOURCES if name in settings}
    kept = {name: value for name, value in kept.items() if value}
    if not kept:
        return ""
    made = configparser.RawConfigParser()
    made["global"] = kept
    text = io.StringIO()
    made.write(text)
    return text.getvalue()


def _reachable(value: str) -> str:
    """Without the words that name this machine's own disk, which a build does not see."""
    return " ".join(word for word in value.split() if not word.startswith(("file:", "/")))
