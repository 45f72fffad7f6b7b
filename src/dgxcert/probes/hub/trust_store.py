"""The certificate authorities that the Hub's clients trust: those that a variable names, else certifi's."""

import os
import re
import ssl
from pathlib import Path

# huggingface_hub uses requests up to 0.x and httpx from 1.0 on, and each reads variables of its own and ignores the
# other's. hf_xet, which is written in Rust, reads those of httpx whatever the version of huggingface_hub.
REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name the authorities for requests, in its order."""
HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""How OpenSSL finds a certificate in a folder: `openssl rehash` makes the links."""
HTTPX = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name the authorities for httpx and hf_xet, in their order."""


def description(variables: tuple[str, ...]) -> str:
    """What is trusted, like `/etc/company-ca.pem (SSL_CERT_FILE)`."""
    named = (f"{os.environ[name]} ({name})" for name in variables if os.environ.get(name))
    return next(named, "the default authorities")


def problem(variables: tuple[str, ...]) -> str:
    """What is wrong with the file or folder that these variables name; empty where nothing is."""
    name = next((name for name in variables if os.environ.get(name)), "")
    if not name:
        return ""
    if Path(os.environ[name]).is_dir():
        hashed = any(HASHED.fullmatch(entry) for entry in os.listdir(os.environ[name]))
        return "" if hashed else f"{name} names {os.environ[name]}, which holds no certificate under its hash"
    try:
        ssl.create_default_context(cafile=os.environ[name])
    except OSError as error:  # ssl.SSLError is one
        return f"{name} names {os.environ[name]}, which holds no certificates: {error.strerror or error}"
    return ""


def ssl_context(variables: tuple[str, ...], *, system: bool = False) -> ssl.SSLContext:
    """A context that trusts what the first variable set names, else certifi's authorities.

    With `system` the operating system's authorities take the place of certifi's, as in hf_xet.
    """
    path = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    if path:
        is_folder = Path(path).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    if system:
        return ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=certifi.where())
