"""pip's settings of package sources, as an image build needs them: without any that name local files."""

import ast
import configparser
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command

SOURCE_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
SECTIONS = ("global", "install", ":env:")
"""Later sections override earlier ones, as in pip."""
AUTHORITY_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class PipSettings:
    """`config` is the text of a pip.conf, `authority` the path of a file with CA certificates; either may be empty."""

    config: str
    authority: str


def read() -> PipSettings:
    """The settings of the user who builds, from all of pip's files and variables."""
    listed = command.run([sys.executable, "-m", "pip", "config", "list"], timeout_s=30)
    settings = parse(listed.stdout)
    candidates = [
        os.environ.get(AUTHORITY_VARIABLES[0]),
        settings.get("cert"),
        *map(os.environ.get, AUTHORITY_VARIABLES[1:]),
    ]
    authority = next((path for path in candidates if path and Path(path).is_file()), "")
    return PipSettings(config(settings), authority)


def parse(listing: str) -> dict[str, str]:
    """The settings from the output of `pip config list`.

    >>> parse("global.index-url='https://pypi.example/simple'\\n:env:.proxy='http://proxy:3128'\\n")
    {'index-url': 'https://pypi.example/simple', 'proxy': 'http://proxy:3128'}
    """
    sections: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        name, is_setting, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if is_setting and value[:1] in {"'", '"'}:
            sections.setdefault(section, {})[key.removeprefix("default-")] = str(ast.literal_eval(value))
    return {key: value for section in SECTIONS for key, value in sections.get(section, {}).items()}


def config(settings: dict[str, str]) -> str:
    """A pip.conf with the settings of package sources; empty where there are none."""
    kept = {name: _reachable(settings[name]) for name in SOURCE_OPTIONS if name in settings}
    kept = {name: value for name, value in kept.items() if value}
    if not kept:
        return ""
    parser = configparser.RawConfigParser()  # raw: `%` in a URL is no interpolation
    parser["global"] = kept
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _reachable(value: str) -> str:
    """A value without paths and file URLs, which a build in the engine cannot read."""
    return " ".join(word for word in value.split() if not word.startswith(("file:", "/")))
