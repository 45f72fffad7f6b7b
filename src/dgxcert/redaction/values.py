"""The secrets that this process can see: in its environment, and in the files where clients keep credentials.

Values are kept in memory only. What cannot be read is no secret of this process: it cannot leave it either.
"""

import base64
import binascii
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from dgxcert.files import untrusted

LARGEST_FILE = 256 * 1024
REREAD_S = 10.0
"""How long what was read is kept: a client may log in while a run is under way."""
SHORTEST, SHORTEST_PLAIN = 6, 8
"""Characters of a value with a digit or a sign, and of one of letters alone: shorter ones are words of any text."""

NAME = re.compile(
    r"(?:TOKENS?|SECRETS?|PASSWORDS?|PASSWD|PASSPHRASE|PASS|PWD|API_?KEYS?|KEYS?|CREDENTIALS?|CREDS?|AUTH|PAT|COOKIES?"
    r"|DSN|JWT|BEARER|SIGNATURE|ACCESS_?KEY_?ID|CONNECTION_?STRING|AUTH_?CONFIG|AUTHORIZATION)(?:_?(?:\d+|OLD|NEW|PROD|DEV))?$"
)
"""The end of the name of a variable that holds a secret: `HF_TOKEN`, `WANDB_API_KEY`, `TOKEN_2`."""
NOT_SECRET = {"PWD", "OLDPWD", "SSH_AUTH_SOCK"}
COMMON = frozenset(
    (
        *("password", "passwd", "changeme", "username", "anonymous", "localhost", "required", "disabled", "enabled"),
        *("undefined", "x-access-token", "oauth2", "certified", "rejected", "rehearsed", "inconclusive", "partial"),
        *("huggingface", "transformers", "container", "benchmark", "standard", "(not shown)", "[secret]"),
    )
)
"""Values that are also words of any report; a redaction would shred it and keep no secret."""

IN_A_FILE = re.compile(
    r"""(?ix)
    (?:token|passw(?:or)?d|passphrase|secret|secret[_-]?(?:access[_-]?)?key|api[_-]?key|access[_-]?key(?:[_-]?id)?
    | private[_-]?key|auth|authorization|credentials?|_key|pass|pwd) [\w-]{0,12}
    ["']? (?: \s* [=:] \s* | [ \t]+ | \s*\n\s* ) ["']?
    (?:authorization\s*:\s*)? (?:(?:bearer|basic|token)\s+)?
    (?P<value> (?<=["']) [^"'\n]+ | [^\s"',;{\[][^\s"',;]+ )
    """
)
"""A secret in a file of any of the usual formats: INI, TOML, YAML, JSON, netrc."""
IN_A_URL = re.compile(
    r"://(?P<user>[^\s/@:\"'<>]*):(?P<password>(?!\d{1,5}(?:/|$|\s))[^\s\"'<>]+)@|://(?P<only>[^\s/@:\"'<>]+)@"
)
PLACEHOLDERS = re.compile(r"[A-Z]+:[A-Z]+")
"""User and password of a URL that only shows how it is written: `http://USER:PASSWORD@PROXY:PORT`."""

NAMED_FILES = (
    *("NETRC", "PIP_CONFIG_FILE", "UV_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "KUBECONFIG"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "REGISTRY_AUTH_FILE", "HF_STORED_TOKENS_PATH", "PGPASSFILE"),
    *("NPM_CONFIG_USERCONFIG",),
)
"""Variables that name a file with credentials."""
FILES_OF_HOME = (
    *(".netrc", "_netrc", ".pip/pip.conf", ".pypirc", ".npmrc", ".docker/config.json", ".dockercfg", ".ngc/config"),
    *(".git-credentials", ".gitconfig", ".aws/credentials", ".aws/config", ".azure/accessTokens.json", ".my.cnf"),
    *(".kaggle/kaggle.json", ".kube/config", ".wgetrc", ".curlrc", ".local/share/uv/credentials/credentials.toml"),
)
FILES_OF_CONFIG = (
    *("pip/pip.conf", "uv/uv.toml", "git/credentials", "git/config", "gh/hosts.yml", "glab-cli/config.yml"),
    *("containers/auth.json", "gcloud/application_default_credentials.json", "rclone/rclone.conf"),
    *("kaggle/kaggle.json", "wandb/settings"),
)
FILES_OF_MACHINE = (
    *("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "/etc/uv/uv.toml", "/etc/apt/auth.conf", "/run/secrets/pip.conf"),
)


def current() -> frozenset[str]:
    """The secrets of this process as of now.

    >>> "x7Qm2kLp" in current()
    False
    """
    return _known.current()


class _Known:
    """What was read last, until the environment changes or REREAD_S have passed."""

    def __init__(self) -> None:
        self._environment: dict[str, str] = {}
        self._read_at = 0.0
        self._values: frozenset[str] = frozenset()

    def current(self) -> frozenset[str]:
        environment, now = dict(os.environ), time.monotonic()
        if environment != self._environment or now - self._read_at > REREAD_S or not self._read_at:
            self._values = read(environment)
            self._environment, self._read_at = environment, now
        return self._values


_known = _Known()


def read(environment: Mapping[str, str]) -> frozenset[str]:
    """The secrets in an environment and in the files of the clients that would be started in it.

    >>> sorted(read({"HOME": "/nonexistent", "HTTPS_PROXY": "http://ada:x7Qm2kLp@proxy.example:3128"}))
    ['ada:x7Qm2kLp', 'x7Qm2kLp']
    """
    found = {value.strip() for value in (*_of_variables(environment), *_of_files(environment))}
    found |= {unquote(value) for value in found if "%" in value}
    return frozenset(value for value in found if is_worth_hiding(value))


def is_worth_hiding(value: str) -> bool:
    """Whether a value is long and rare enough that its redaction hides it and shreds nothing else.

    >>> [is_worth_hiding(value) for value in ("1", "true", "changeme", "pa55wd", "hunter2hunter2", "/run/user/1000")]
    [False, False, False, True, True, False]
    """
    if (
        len(value) < SHORTEST
        or value.lower() in COMMON
        or re.fullmatch(r"[\d.,:]{1,9}|(?:~|\.{1,2})?(?:/[\w. +-]+)+/?", value)
    ):
        return False
    return len(value) >= SHORTEST_PLAIN or not value.isalpha()


def _of_variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if NAME.search(re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).upper()) and name not in NOT_SECRET:
            yield value
            yield value.replace("\r", "").replace("\n", "")  # as the Hub's client sends a token
            if value.lstrip().startswith("{"):
                yield from in_text(value)
        if "@" in value:
            yield from _of_urls(value)
            if name.lower().endswith("_proxy") and "://" not in value:
                yield from _of_urls(f"://{value}")


def _of_urls(text: str) -> Iterator[str]:
    for match in IN_A_URL.finditer(text):
        user, password, only = match.group("user", "password", "only")
        if not PLACEHOLDERS.fullmatch(f"{user}:{password}"):
            yield from (password, f"{user}:{password}") if password else (only,)


def _of_files(environment: Mapping[str, str]) -> Iterator[str]:
    for path in _token_files(environment):
        yield from _text(path).split()
    for path in _credential_files(environment):
        yield from in_text(_text(path))


def in_text(text: str) -> Iterator[str]:
    """The secrets in the text of a credentials file, by their names; those of Docker are decoded as well.

    >>> sorted(in_text("machine hub.example login ada password x7Qm2kLp"))
    ['x7Qm2kLp']
    >>> sorted(in_text('{"auths": {"nvcr.io": {"auth": "JG9hdXRodG9rZW46eDdRbTJrTHA="}}}'))
    ['$oauthtoken:x7Qm2kLp', 'JG9hdXRodG9rZW46eDdRbTJrTHA=', 'x7Qm2kLp']
    """
    yield from _of_urls(text)
    for match in IN_A_FILE.finditer(text):
        value = match.group("value")
        yield value
        if "\\" in value:
            try:
                yield str(json.loads(f'"{value}"'))
            except ValueError:
                yield value.replace("\\", "")
        yield from _decoded(value)


def _decoded(value: str) -> Iterator[str]:
    """`user:password` and the password of a value in base64, as in config.json of Docker."""
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return
    if colon and user.isprintable():
        yield from (f"{user}:{password}", password)


def _text(path: Path) -> str:
    """A file's text; empty where it cannot be read: then no secret of it can leave this process."""
    try:
        return untrusted.read_bytes(path, LARGEST_FILE, follow=True).decode("utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def _token_files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Files that hold a token and nothing else."""
    places = _Places(environment)
    yield from filter(None, map(places.named, ("HF_TOKEN_PATH", "HF_TOKEN_FILE")))
    yield from (places.hub / "token", places.cache / "huggingface" / "token", places.home / ".huggingface" / "token")
    try:
        yield from sorted(Path("/run/secrets").glob("*token*"))
    except OSError:
        return


def _credential_files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Files that name their secrets."""
    places = _Places(environment)
    yield from filter(None, map(places.named, NAMED_FILES))
    yield from (places.hub / "stored_tokens", Path(sys.prefix, "pip.conf"))
    yield from ((docker / "config.json",) if (docker := places.named("DOCKER_CONFIG")) else ())
    yield from (places.home / name for name in FILES_OF_HOME)
    yield from (places.config / name for name in FILES_OF_CONFIG)
    yield from map(Path, FILES_OF_MACHINE)


class _Places:
    """Where an environment's clients look for their files."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.home = Path(environment.get("HOME") or os.path.expanduser("~"))
        self.config = self.named("XDG_CONFIG_HOME") or self.home / ".config"
        self.cache = self.named("XDG_CACHE_HOME") or self.home / ".cache"
        self.hub = self.named("HF_HOME") or self.cache / "huggingface"

    def named(self, variable: str) -> Path | None:
        """The path that a variable names, if it does."""
        value = self._environment.get(variable)
        return Path(value.replace("~", str(self.home), 1) if value.startswith("~") else value) if value else None
