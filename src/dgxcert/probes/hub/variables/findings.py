"""What is wrong with the variables that are set, as the installed clients read them; no secret is ever shown.

A finding is `fatal` where no download can work with it; the others are named beside the result.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, util

from dgxcert.probes.hub import secrets
from dgxcert.probes.hub.variables import known, proxies
from dgxcert.probes.hub.variables.known import Kind

TRUE = {"1", "ON", "YES", "TRUE"}
"""Values that the clients read as true, in upper case: ENV_VARS_TRUE_VALUES of huggingface_hub and datasets."""
FALSE = {"", "0", "OFF", "NO", "FALSE"}
"""Values with which a user means false; any other that is not in TRUE is a misunderstanding."""
SHORT_S = 5
"""A time limit under this is shorter than the client's own 10 s by so much that a slow moment ends a download."""
OVERRIDES = (
    ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    ("HF_HOME", "XDG_CACHE_HOME"),
    ("HF_ASSETS_CACHE", "HUGGINGFACE_ASSETS_CACHE"),
    ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""Pairs of which the first counts for the client where both are set."""
OURS = re.compile(r"HF_|HUGGING|TRANSFORMERS_")
OTHERS = re.compile(r"HF_(SPACE|SAGEMAKER|TASK|MODEL|INFERENCE|TOKEN_FILE$|DEEPSPEED|KERNELS|LEROBOT|MCP|AGENT)\w*")
"""Read by other programs: containers of inference servers, this suite itself."""
OF_OTHER_PROGRAMS = {
    *("HF_API_TOKEN", "HF_API_KEY", "HF_HUB_TOKEN", "HUGGINGFACE_TOKEN", "HUGGINGFACE_API_KEY"),
    *("HUGGINGFACEHUB_API_TOKEN", "HUGGING_FACE_TOKEN", "HUGGINGFACE_HUB_TOKEN"),
}
"""Names for a token that LangChain, LlamaIndex and others read, and the Hub's client does not."""
QUOTES = ("'", '"', "“", "”", "‘", "’")  # noqa: RUF001 (typographic quotes are what a copied command holds)


@dataclass(frozen=True)
class Finding:
    """One variable, its value as it may be shown, what the client makes of it, and the steps of a remedy."""

    variable: str
    shown: str
    meaning: str
    remedy: tuple[str, ...]
    fatal: bool = False
    cause: str = "variable"

    @property
    def summary(self) -> str:
        """In one sentence, with what to type."""
        return f"{self.variable}={self.shown}: {self.meaning} ({'; '.join(self.remedy)})"


@dataclass(frozen=True)
class Installed:
    """The versions that decide what is read; an empty one is not installed."""

    hub: str
    transformers: str = ""
    has: Callable[[str], bool] = lambda module: util.find_spec(module) is not None

    @property
    def uses_requests(self) -> bool:
        """Whether huggingface_hub is older than 1.0."""
        return self.hub.startswith("0.")


def installed() -> Installed:
    """The installed versions."""
    return Installed(_version("huggingface-hub"), _version("transformers"))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution) or ""
    except metadata.PackageNotFoundError:
        return ""


def read(environ: Mapping[str, str] = os.environ, client: Installed | None = None) -> tuple[Finding, ...]:
    """Everything that is noticed in an environment, fatal findings first.

    >>> client = Installed("0.36.2", "4.57.6", lambda module: False)
    >>> [finding.summary for finding in read({"HF_HUB_OFFLINE": "y"}, client)]
    ['HF_HUB_OFFLINE=y: the client reads it as false: true is 1, ON, YES or TRUE (unset HF_HUB_OFFLINE)']
    """
    client = client or installed()
    judges = (_values, _packages, _staging, _overridden, _not_read, _offline, _tokens)
    found = [finding for judge in judges for finding in judge(environ, client)]
    found += [
        Finding(name, shown(name, environ), meaning, remedy, fatal, cause)
        for name, meaning, remedy, fatal, cause in proxies.problems(environ, client.uses_requests, client.has)
    ]
    return tuple(sorted(found, key=lambda finding: not finding.fatal))


def shown(name: str, environ: Mapping[str, str]) -> str:
    """The value of a variable without secrets, at most 80 characters of it."""
    kind, value = known.kinds().get(name), environ[name]
    if kind is Kind.SECRET or re.search(r"TOKEN$|KEY|SECRET|PASS", name):
        return "(not shown)" if value else "(empty)"
    if kind in (Kind.URL, Kind.PROXY):
        return secrets.without_password(value) or "(empty)"
    return secrets.scrub(value[:80]) or "(empty)"


def unset(*names: str) -> tuple[str, ...]:
    """The command that takes variables away.

    >>> unset("HF_HUB_OFFLINE")
    ('unset HF_HUB_OFFLINE',)
    """
    return (f"unset {' '.join(names)}",)


def _values(environ: Mapping[str, str], client: Installed) -> Iterator[Finding]:
    """Values that the client does not understand."""
    for name, kind in known.kinds().items():
        if name in environ and known.read_by(name, client.hub, client.transformers):
            value = environ[name]
            for meaning, fatal in _meanings(name, kind, value):
                cause = "bad-token" if kind is Kind.SECRET else "endpoint" if name == "HF_ENDPOINT" else "variable"
                yield Finding(name, shown(name, environ), meaning, _remedy(name, kind, value), fatal, cause)


def _remedy(name: str, kind: Kind, value: str) -> tuple[str, ...]:
    if kind is Kind.SECRET:
        return (f"Set it again without quotes: export {name}=TOKEN", *unset(name))
    if kind is Kind.WHOLE:
        return (*unset(name), f"export {name}=10")
    if kind in (Kind.URL, Kind.FOLDER, Kind.FILE) and _quoted(value):
        return (f"export {name}={secrets.without_password(value.strip(''.join(QUOTES)))}", *unset(name))
    return unset(name)


def _quoted(value: str) -> bool:
    return value.startswith(QUOTES) or value.endswith(QUOTES)


def _meanings(name: str, kind: Kind, value: str) -> Iterator[tuple[str, bool]]:
    """What the client makes of a value that its user meant otherwise, and whether no download works with it."""
    if kind in (Kind.WHOLE, Kind.NUMBER):
        yield from _number(name, kind, value)
    elif _quoted(value) and kind is not Kind.TEXT:
        fatal = name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
        curly = "curly quotes" if any(quote in value for quote in QUOTES[2:]) else "quotes"
        yield f"its {curly} are part of the value, as from a file for `docker run --env-file`", fatal
    elif kind is Kind.FLAG and value.upper() not in TRUE | FALSE:
        yield "the client reads it as false: true is 1, ON, YES or TRUE", False
    elif kind is Kind.URL and value != value.strip():
        yield "its blanks are part of the value", name == "HF_ENDPOINT"
    elif kind is Kind.FOLDER and not value:
        yield "it is empty, and the client takes it for the folder in which a program is started", False
    elif kind is Kind.FOLDER and "$" in os.path.expandvars(value):
        yield "it names a variable that is not set, which stays in the path as it is", False
    elif kind is Kind.FOLDER and not os.path.expandvars(value).startswith(("/", "~")):
        yield "it is no absolute path: each program keeps its files below the folder in which it is started", False


def _number(name: str, kind: Kind, value: str) -> Iterator[tuple[str, bool]]:
    package = "datasets" if name.startswith("HF_DATASETS") else "huggingface_hub"
    try:
        number = int(value) if kind is Kind.WHOLE else float(value)
    except ValueError:
        yield f"it is no {kind}, and with it `import {package}` fails", package == "huggingface_hub"
        return
    if name.endswith("_TIMEOUT") and number < 0:
        yield "a time limit below zero fails every request", True
    elif name.endswith("_TIMEOUT") and 0 < number < SHORT_S:
        yield f"the client waits {number:g} s in place of its own 10 s, so that a slow moment ends a download", False


def _packages(environ: Mapping[str, str], client: Installed) -> Iterator[Finding]:
    """Switches for a package that is not installed."""
    name = "HF_HUB_ENABLE_HF_TRANSFER"
    if environ.get(name, "").upper() not in TRUE:
        return
    if client.uses_requests and not client.has("hf_transfer"):
        meaning = "huggingface_hub then downloads with hf_transfer, which is not installed: every download fails"
        yield Finding(name, environ[name], meaning, (*unset(name), "pip install hf_transfer"), True)
    elif client.hub and not client.uses_requests:
        meaning = "this version of huggingface_hub does not use hf_transfer any more"
        yield Finding(name, environ[name], meaning, (*unset(name), "export HF_XET_HIGH_PERFORMANCE=1"))


def _staging(environ: Mapping[str, str], _: Installed) -> Iterator[Finding]:
    name = "HUGGINGFACE_CO_STAGING"
    if environ.get(name, "").upper() in TRUE:
        meaning = "the client then uses https://hub-ci.huggingface.co, which has no models, whatever HF_ENDPOINT says"
        yield Finding(name, environ[name], meaning, unset(name), True)


def _overridden(environ: Mapping[str, str], _: Installed) -> Iterator[Finding]:
    """Variables that another one overrides."""
    for winner, loser in OVERRIDES:
        if environ.get(winner) and environ.get(loser) and environ[winner] != environ[loser]:
            if winner == "HF_HOME" and environ["HF_HOME"].startswith(environ["XDG_CACHE_HOME"]):
                continue
            yield Finding(loser, shown(loser, environ), f"{winner} overrides it", unset(loser))


def _not_read(environ: Mapping[str, str], client: Installed) -> Iterator[Finding]:
    """Variables that no installed version reads, and names that look like one that is read."""
    kinds = known.kinds()
    for name in sorted(name for name in environ if environ[name] and OURS.match(name)):
        if name in kinds:
            if not known.read_by(name, client.hub, client.transformers):
                yield Finding(name, shown(name, environ), "no installed version reads it", unset(name))
        elif name in OF_OTHER_PROGRAMS:
            meaning = "the Hub's client does not read it: its own variable is HF_TOKEN"
            yield Finding(name, "(not shown)", meaning, (f'export HF_TOKEN="${name}"',))
        elif not OTHERS.fullmatch(name) and (near := difflib.get_close_matches(name, kinds, 1, 0.85)):
            meaning = f"no client reads it; {near[0]} is one that is read"
            shown_value = shown(name, environ) if kinds[near[0]] is not Kind.SECRET else "(not shown)"
            yield Finding(name, shown_value, meaning, (f'export {near[0]}="${name}"; unset {name}',))


def _offline(environ: Mapping[str, str], _: Installed) -> Iterator[Finding]:
    """Switches that disagree: HF_HUB_OFFLINE counts before TRANSFORMERS_OFFLINE, HF_DATASETS_OFFLINE for datasets."""

    def on(name: str) -> bool:
        return environ.get(name, "").upper() in TRUE

    hub = environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE") or ""
    if environ.get("HF_HUB_OFFLINE") and environ.get("TRANSFORMERS_OFFLINE"):
        name = "TRANSFORMERS_OFFLINE"
        if on("HF_HUB_OFFLINE") != on(name):
            yield Finding(name, shown(name, environ), "HF_HUB_OFFLINE overrides it", unset(name))
    name = "HF_DATASETS_OFFLINE"
    if name in environ and on(name) != (hub.upper() in TRUE):
        state = "off, though models are downloaded" if on(name) else "on, though it is switched off for models"
        yield Finding(name, shown(name, environ), f"for data sets the Hub is switched {state}", unset(name))


def _tokens(environ: Mapping[str, str], client: Installed) -> Iterator[Finding]:
    """Tokens that are not sent, or that are no token of the Hub."""
    names = [name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if environ.get(name, "").strip()]
    if names and environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in TRUE:
        name = "HF_HUB_DISABLE_IMPLICIT_TOKEN"
        yield Finding(name, environ[name], f"{names[0]} is set, and is not sent by itself", unset(name))
    for name in names:
        if not _quoted(environ[name]) and not environ[name].strip().startswith(("hf_", "api_org_")):
            meaning = "it does not begin with hf_, as a token of the Hub does"
            yield Finding(name, "(not shown)", meaning, unset(name))
            return
    name = "HF_OIDC_RESOURCE"
    if environ.get(name) and client.hub and not client.uses_requests:
        meaning = "the client gets a token of its own with it, whatever HF_TOKEN says"
        yield Finding(name, shown(name, environ), meaning, unset(name))
