"""Whose certificates the Hub's client believes: what it is told by variables, else certifi's authorities."""

import os
import ssl
from pathlib import Path

REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
HTTPX = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name them: huggingface_hub asks by requests up to 0.x, by httpx from 1 on; hf_xet reads HTTPX's."""


def told(names: tuple[str, ...]) -> str:
    """What is believed, in words."""
    return next((f"{os.environ[name]} ({name})" for name in names if os.environ.get(name)), "the usual authorities")


def problem(names: tuple[str, ...]) -> str:
    """What is wrong with what these variables name; empty where nothing is."""
    name = next((name for name in names if os.environ.get(name)), "")
    if not name or Path(os.environ[name]).is_dir():
        return ""
    try:
        ssl.create_default_context(cafile=os.environ[name])
    except OSError as error:  # ssl.SSLError is one
        return f"{name} names {os.environ[name]}, which holds no certificates: {error.strerror or error}"
    return ""


def context(names: tuple[str, ...], *, system: bool = False) -> ssl.SSLContext:
    """What a client believes: the first that is named, else certifi's, or the system's own for `system`."""
    named = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if named:
        folder = Path(named).is_dir()
        return ssl.create_default_context(cafile=None if folder else named, capath=named if folder else None)
    if system:
        return ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=certifi.where())
