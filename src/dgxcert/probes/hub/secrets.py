"""What must not be said: tokens, passwords in addresses, and what signs an address."""

import contextlib
import re

from dgxcert.container import hub_token


def without_password(url: str) -> str:
    """An address without user, password and query, which may be secret."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].split('?')[0].rstrip('/')}"


def scrub(text: str, *secrets: str) -> str:
    """A text without tokens, passwords in addresses, signatures of signed addresses, and what steers a terminal."""
    with contextlib.suppress(OSError, UnicodeError):
        secrets = (*secrets, hub_token.find()[0])
    for secret in filter(None, secrets):
        text = text.replace(secret, "[secret]")
    text = re.sub(r"\bhf_(oauth_)?[A-Za-z0-9]{20,}", "[secret]", text)
    text = re.sub(r"//[^@\s]*@", "//[secret]@", text)
    text = re.sub(r"(/[^\s?'\"]*)\?[^\s'\")]+", r"\1?[left out]", text)
    return "".join(char if char.isprintable() else " " for char in text)
