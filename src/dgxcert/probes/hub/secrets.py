"""Texts about the Hub without secrets: those of the scrubber, and each query of a URL, which may be a signature."""

import re

from dgxcert.redaction.scrubber import Scrubber


def without_password(url: str) -> str:
    """A URL without user, password and query, each of which may be secret.

    >>> without_password("https://me:pass/word@hub.example/models?sig=1")
    'https://hub.example/models'
    """
    # A password may hold "/" and "?" unescaped, so that urlsplit would cut inside it and keep a part of it.
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].split('?')[0].rstrip('/')}"


def scrub(text: str, *secrets: str) -> str:
    """A text without `secrets`, other secrets, queries of URLs and control characters.

    >>> scrub("GET https://me:pa55@cdn.example/xorb?X-Amz-Signature=8f1 for hf_" + 34 * "a")
    'GET https://[secret]@cdn.example/xorb?[removed] for [secret]'
    """
    text = Scrubber(frozenset(filter(None, secrets))).text(text)
    text = re.sub(r"(/[^\s?'\"]*)\?[^\s'\")]+", r"\1?[removed]", text)
    # An answer from the network may hold escape sequences, which would be executed by the user's terminal.
    return "".join(char if char.isprintable() else " " for char in text)
