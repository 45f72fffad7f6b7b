"""The proxies of the caller: from variables, else from the Docker client's settings, as the client would pass them on.

A proxy's address may hold a password, so that a container gets it by hand-over and not as a variable that the engine
shows.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from dgxcert.files import untrusted

NAMES = {"HTTPS_PROXY": "httpsProxy", "NO_PROXY": "noProxy"}
"""Variables that a container gets, and the settings of config.json (docker-cli, docs/reference/commandline/cli)."""


def find(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The proxies by variable, without those that are not set.

    >>> find({"https_proxy": "http://proxy:3128"})["HTTPS_PROXY"]
    'http://proxy:3128'
    """
    default = _of_client(variables)
    found = {name: variables.get(name) or variables.get(name.lower()) or default.get(name, "") for name in NAMES}
    return {name: value for name, value in found.items() if value}


def _of_client(variables: Mapping[str, str]) -> dict[str, str]:
    folder = variables.get("DOCKER_CONFIG") or os.path.join(variables.get("HOME", ""), ".docker")
    try:
        text = untrusted.read_text(Path(folder) / "config.json", at_most=untrusted.MIB, follow=True)
    except OSError:
        return {}
    return parse(text)


def parse(config: str) -> dict[str, str]:
    """The proxies in the text of the client's config.json; empty where it has none or is no such text.

    >>> parse('{"proxies": {"default": {"httpsProxy": "http://proxy:3128", "noProxy": ""}}}')
    {'HTTPS_PROXY': 'http://proxy:3128'}
    """
    try:
        default = json.loads(config)["proxies"]["default"]
        return {name: str(default[key]) for name, key in NAMES.items() if default.get(key)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
