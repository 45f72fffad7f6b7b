"""The Hub's settings: endpoint, proxy, certificates, token, cache and the client's switches, as the client reads them.

Every variable is interpreted as huggingface_hub interprets it, so that the diagnosis takes the route of a download.
"""

import os
import urllib.request
from dataclasses import dataclass, field
from importlib import metadata
from urllib.parse import unquote, urlsplit

from dgxcert.container import hub_token
from dgxcert.probes.hub import trust_store
from dgxcert.probes.hub.secrets import without_password
from dgxcert.probes.hub.variables import findings, netrc_file
from dgxcert.probes.hub.variables import proxies as proxies_of
from dgxcert.probes.hub.variables.findings import TRUE

DEFAULT_ENDPOINT = "https://huggingface.co"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
ESCAPES = "in a password, write @ as %40, / as %2F, # as %23, ? as %3F and : as %3A"


class InvalidSetting(Exception):  # noqa: N818 (read as `raise InvalidSetting`, beside the other outcomes of a step)
    """A setting with which no download can work; `cause` is a key of causes.CAUSES.

    `remedy` takes the place of the cause's own, where it names the variable.
    """

    def __init__(self, cause: str, message: str, remedy: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.cause = cause
        self.remedy = remedy


@dataclass(frozen=True)
class Settings:
    """What a download from this environment would use."""

    endpoint: str
    token: str = field(repr=False)
    token_source: str
    uses_requests: bool
    """Whether huggingface_hub is older than 1.0, which uses requests instead of httpx."""
    xet_disabled: str
    """Why files are not fetched through Xet; empty where they are."""
    netrc: netrc_file.Entry | None = field(default=None, repr=False)
    """The entry of a netrc file that the client sends in the token's place."""

    @property
    def authorization(self) -> str:
        """The header with which requests to the Hub are sent; empty without a token."""
        if self.netrc:
            return self.netrc.authorization
        return f"Bearer {self.token}" if self.token else ""

    @property
    def host(self) -> str:
        """Name of the Hub's host."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def is_mirror(self) -> bool:
        """Whether the endpoint is another one than the public Hub."""
        return self.endpoint != DEFAULT_ENDPOINT

    @property
    def ca_variables(self) -> tuple[str, ...]:
        """The variables that tell this client what to trust, in its order."""
        return trust_store.REQUESTS if self.uses_requests else trust_store.HTTPX

    @property
    def summary(self) -> str:
        """One line for a record, without secrets."""
        proxy = proxy_for(self.endpoint)
        route = f"through proxy {without_password(proxy)}" if proxy else "directly"
        token = f"token from {self.token_source}" if self.token else "no token"
        if self.netrc:
            token += f", but {self.netrc.path} is sent in its place"
        client = version("huggingface-hub") or "not installed"
        xet = f", {self.xet_disabled}" if self.xet_disabled else ""
        trusts = f"trusts {trust_store.description(self.ca_variables)}"
        return f"{without_password(self.endpoint)} {route}, {trusts}, {token}, huggingface_hub {client}{xet}"


def offline_variable() -> str:
    """The variable that switches the Hub off; empty where none does.

    Only the first variable that is set counts: HF_HUB_OFFLINE=0 overrides TRANSFORMERS_OFFLINE=1.
    """
    name = next((name for name in OFFLINE if os.environ.get(name)), "")
    return name if name and is_true(name) else ""


def is_true(name: str) -> bool:
    """Whether huggingface_hub reads the value of this variable as true."""
    return os.environ.get(name, "").upper() in TRUE


def read() -> Settings:
    """Read the environment. Raises InvalidSetting for a setting that cannot work."""
    for finding in findings.read():
        if finding.fatal:
            said = f"{finding.variable} is {finding.shown}: {finding.meaning}"
            raise InvalidSetting(finding.cause, said, finding.remedy)
    endpoint = os.environ.get("HF_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")
    if not _is_web_url(endpoint):
        # With an unescaped character in the password its end is ambiguous, so none of the URL is shown.
        shown = "a URL whose password cannot be parsed" if "@" in endpoint else repr(endpoint)
        raise InvalidSetting("endpoint", f"HF_ENDPOINT is {shown}, which is no http or https URL")
    _require_valid_proxy(proxy_for(endpoint))
    token, source = _token()
    uses_requests = version("huggingface-hub").startswith("0.")
    netrc = netrc_file.entry(urlsplit(endpoint).hostname or "") if uses_requests else None
    settings = Settings(endpoint, token, source, uses_requests, _xet_disabled(), netrc)
    _require_key_log()
    for variables in (settings.ca_variables, () if settings.xet_disabled else trust_store.HTTPX):
        if problem := trust_store.problem(variables):
            raise InvalidSetting("certificate-file", problem)
    return settings


def version(distribution: str) -> str:
    """The installed version of a distribution; empty where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _is_web_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _require_key_log() -> None:
    """Python writes keys of connections to SSLKEYLOGFILE, and connects nowhere else (ssl.create_default_context)."""
    name = "SSLKEYLOGFILE"
    path = os.environ.get(name, "")
    if not path:
        return
    folder = os.path.dirname(path) or "."
    writable = os.access(path, os.W_OK) if os.path.exists(path) else os.access(folder, os.W_OK)
    if not writable or os.path.isdir(path):
        message = f"{name} names {path}, which cannot be written, so that Python makes no TLS connection"
        raise InvalidSetting("variable", message, (f"unset {name}",))


def _require_valid_proxy(proxy: str) -> None:
    if proxy.startswith("socks"):
        raise InvalidSetting("proxy-socks", "the proxy is a SOCKS proxy")
    if proxy and not _is_web_url(proxy):
        raise InvalidSetting("proxy-url", f"the proxy variable holds no http or https URL; {ESCAPES}")


def _token() -> tuple[str, str]:
    """The token and its source; both empty where there is none, or where the client is told not to send it."""
    if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return "", ""
    try:
        token, source = hub_token.find()
    except OSError as error:
        raise InvalidSetting(
            "token-file", f"the token file {error.filename} cannot be read: {error.strerror}"
        ) from error
    except UnicodeError as error:
        raise InvalidSetting("bad-token", "the token file is not text") from error
    if not token.isascii():
        message = f"the token from {source} holds a character that is not ASCII, such as a curly quote"
        raise InvalidSetting("bad-token", message)
    return token, source


def _xet_disabled() -> str:
    if is_true("HF_HUB_DISABLE_XET"):
        return "Xet is switched off by HF_HUB_DISABLE_XET"
    return "" if version("hf-xet") else "hf-xet is not installed"


def proxy_for(url: str) -> str:
    """The proxy that a request for this URL goes through; empty without one, or where NO_PROXY names the host.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, {"https_proxy": "proxy.example:3128", "no_proxy": "localhost"}, clear=True):
    ...     proxy_for("https://huggingface.co"), proxy_for("https://localhost:8080")
    ('http://proxy.example:3128', '')
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies_environment()
    if urllib.request.proxy_bypass_environment(parts.hostname or ""):  # type: ignore[attr-defined]  # typeshed lacks it
        return ""
    if proxies_of.bypasses_all(os.environ) and not version("huggingface-hub").startswith("0."):
        return ""  # httpx finds `*` among other names as well, requests only alone
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    # The clients accept HTTPS_PROXY=proxy:3128.
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def credentials(url: str) -> str:
    """`user:password` of a URL, unquoted; empty where it names none.

    >>> credentials("http://me:pa%2F55@proxy.example:3128")
    'me:pa/55'
    """
    return unquote(urlsplit(url).netloc.rpartition("@")[0])
