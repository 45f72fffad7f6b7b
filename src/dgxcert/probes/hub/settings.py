"""The Hub's settings in force here: endpoint, proxy, certificates, token, cache and the client's own switches.

Every name is read as huggingface_hub reads it, so that the diagnosis goes the way that a download would go.
"""

import os
import urllib.request
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dgxcert.container import hub_home, hub_token
from dgxcert.probes.hub import trust_store
from dgxcert.probes.hub.secrets import without_password

DEFAULT_ENDPOINT = "https://huggingface.co"
TRUE = {"1", "ON", "YES", "TRUE"}
"""What huggingface_hub takes for yes, in capitals."""
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
ESCAPED = "in a password, @ is written %40, / %2F, # %23, ? %3F and : %3A"


class Unusable(Exception):  # noqa: N818 (read as `raise Unusable`, beside the other outcomes of a step)
    """A setting that no download could work with; `cause` is its name in hub_causes."""

    def __init__(self, cause: str, found: str) -> None:
        super().__init__(found)
        self.cause = cause


@dataclass(frozen=True)
class Settings:
    """What a download from this environment would go by."""

    endpoint: str
    token: str = field(repr=False)
    token_source: str
    uses_requests: bool
    """Whether huggingface_hub is older than 1.0, which asks by requests."""
    xet_off: str
    """Why files do not come through Xet here; empty where they do."""

    @property
    def host(self) -> str:
        """Name of the Hub's host."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def is_mirror(self) -> bool:
        """Whether another Hub than the public one is asked."""
        return self.endpoint != DEFAULT_ENDPOINT

    @property
    def trust(self) -> tuple[str, ...]:
        """The variables by which this client is told what to trust, in its order."""
        return trust_store.REQUESTS if self.uses_requests else trust_store.HTTPX

    def words(self) -> str:
        """One line for a record; no secrets."""
        proxy = proxy_for(self.endpoint)
        way = f"through proxy {without_password(proxy)}" if proxy else "directly"
        token = f"token from {self.token_source}" if self.token else "no token"
        client = version("huggingface-hub") or "not installed"
        off = f", {self.xet_off}" if self.xet_off else ""
        trusts = f"trusts {trust_store.told(self.trust)}"
        return f"{without_password(self.endpoint)} {way}, {trusts}, {token}, huggingface_hub {client}{off}"


def offline_by_choice() -> str:
    """The variable that switches the Hub off; empty where none does. Only the first that is set counts."""
    name = next((name for name in OFFLINE if os.environ.get(name)), "")
    return name if name and is_yes(name) else ""


def is_yes(name: str) -> bool:
    """Whether a variable is set to what huggingface_hub takes for yes."""
    return os.environ.get(name, "").upper() in TRUE


def read() -> Settings:
    """Read the environment; raises Unusable for a setting that cannot work."""
    endpoint = os.environ.get("HF_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")
    if not _is_address(endpoint):
        shown = "an address with a password that cannot be read" if "@" in endpoint else repr(endpoint)
        raise Unusable("endpoint", f"HF_ENDPOINT is {shown}, which is no web address")
    _must_be_usable(proxy_for(endpoint))
    token, source = _token()
    uses_requests = version("huggingface-hub").startswith("0.")
    found = Settings(endpoint, token, source, uses_requests, _xet_off())
    for names in (found.trust, () if found.xet_off else trust_store.HTTPX):
        if wrong := trust_store.problem(names):
            raise Unusable("certificate-file", wrong)
    _must_be_writable(hub_home.cache())
    return found


def version(distribution: str) -> str:
    """The installed version of a distribution; empty where there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _must_be_usable(proxy: str) -> None:
    if proxy.startswith("socks"):
        raise Unusable("proxy-socks", "the proxy speaks SOCKS")
    if proxy and not _is_address(proxy):
        raise Unusable("proxy-address", f"the proxy's variable holds no web address; {ESCAPED}")


def _token() -> tuple[str, str]:
    if is_yes("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return "", ""
    try:
        token, source = hub_token.find()
    except OSError as error:
        raise Unusable("token-file", f"the token file {error.filename} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise Unusable("bad-token", "the token file holds no text") from error
    if not token.isascii():
        raise Unusable("bad-token", f"the token from {source} holds what no token holds, as curly quotes are")
    return token, source


def _must_be_writable(cache: Path) -> None:
    """A cache that belongs to somebody else lets every download fail, after it has come."""
    there = next((each for each in (cache, *cache.parents) if each.exists()), Path("/"))
    if not os.access(there, os.W_OK | os.X_OK):
        raise Unusable(
            "cache-locked", f"models are kept in {cache}, and {there} cannot be written by uid {os.getuid()}"
        )


def _xet_off() -> str:
    if is_yes("HF_HUB_DISABLE_XET"):
        return "Xet is switched off by HF_HUB_DISABLE_XET"
    return "" if version("hf-xet") else "hf-xet is not installed"


def proxy_for(url: str) -> str:
    """The proxy that a request for this address would go through; empty where it goes directly."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies_environment()
    if urllib.request.proxy_bypass_environment(parts.hostname or ""):  # type: ignore[attr-defined]  # typeshed lacks it
        return ""
    named = proxies.get(parts.scheme) or proxies.get("all") or ""
    return named if "://" in named or not named else f"http://{named}"


def credentials(url: str) -> str:
    """`user:password` of an address, as it was meant; empty where there is none."""
    return unquote(urlsplit(url).netloc.rpartition("@")[0])
