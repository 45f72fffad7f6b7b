"""Redaction: what leaves the lab says nothing of who works there: no tokens, no user names, no home paths. Pure.

What is taken out is marked, so that nobody takes a gap for a finding.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

SECRET, USER, HOST, HOME = "[secret]", "[user]", "[host]", "~"

SECRETS = re.compile(
    r"""
    \bhf_(?:oauth_)?[A-Za-z0-9]{16,}                      # Hugging Face
    | \bnvapi-[\w-]{16,}                                  # NVIDIA NGC
    | \bgh[opsur]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} # GitHub
    | \bglpat-[\w-]{16,}                                  # GitLab
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                       # AWS
    | \bsk-[A-Za-z0-9_-]{20,}                             # OpenAI and others
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<=Bearer\ )[\w.~+/-]{8,}=* | (?<=bearer\ )[\w.~+/-]{8,}=* | (?<=Basic\ )[\w+/-]{8,}=*
    | (?<=://)[^/@\s"']{1,200}(?=@)                       # user and password in an address
    | (?<=[?&]X-Amz-Signature=)[0-9a-f]+ | (?<=[?&]Signature=)[\w~%-]+
    """,
    re.VERBOSE | re.DOTALL,
)
NAME = r"[\w-]*(?:token|passw(?:or)?d|passphrase|secret|secret_access_key|api_?key)"
SECRET_NAME = re.compile(NAME, re.IGNORECASE)
NAMED = re.compile(
    rf"""
    (?<![\w-])({NAME}["']?\s*[=:]\s*["'])(?!<[|/])[^"'\n]{{6,}}(?=["'])   # token="...", "token": "..."
    | (?<![\w-])({NAME}["']?\s*[=:]\s*)(?!<[|/]|[\s\[{{("'])[^\s,;"']{{6,}} # HF_TOKEN=..., password: ...
    | (--{NAME}\s+)(?!-)[^\s"']{{6,}}                                 # --token ...
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What is called a secret, whatever it looks like."""
HOMES = re.compile(r"(/home/|/Users/|\\Users\\)([A-Za-z_][\w.-]*)")
NOBODYS = {"root", "ubuntu", "nvidia", "dgx", "user", "admin", "debian", "runner", "lab", "test", "nobody", "spark"}
"""Accounts that name nobody, and that are words of their own in a log."""


@dataclass
class Redaction:
    """What to take out, and how often that was done."""

    users: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    homes: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    taken_out: int = field(default=0)

    def text(self, text: str) -> str:
        """A text without them."""
        for token in filter(None, self.tokens):
            text = self._all(re.escape(token), SECRET, text)
        text = self._all(SECRETS, SECRET, text)
        text = self._all(NAMED, lambda found: next(filter(None, found.groups())) + SECRET, text)
        for home in sorted(self.homes, key=len, reverse=True):
            text = self._all(rf"{re.escape(home)}(?![\w.-])", HOME, text)
        text = self._all(HOMES, lambda found: found.group(1) + USER, text)
        for names, mark in ((self.users - NOBODYS, USER), (self.hosts, HOST)):
            for name in sorted(names, key=len, reverse=True):
                text = self._all(rf"(?<![\w]){re.escape(name)}(?![\w])", mark, text)
        return text

    def lines_of_json(self, text: str) -> str:
        """The same of JSON, whole or line by line: inside strings, where an escaped line end hides where a word begins.

        What is no JSON is treated as text.
        """
        try:
            return json.dumps(self._value(json.loads(text)), indent=1, ensure_ascii=False) + "\n"
        except ValueError:
            return "".join(self._line(line) for line in text.splitlines(keepends=True))

    def _line(self, line: str) -> str:
        try:
            return json.dumps(self._value(json.loads(line)), ensure_ascii=False) + "\n"
        except ValueError:
            return self.text(line)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self._named(name, each) for name, each in value.items()}
        return value

    def _named(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and value and SECRET_NAME.fullmatch(name):
            self.taken_out += 1
            return SECRET
        return self._value(value)

    def _all(self, pattern: "str | re.Pattern[str]", mark: "str | Callable[[re.Match[str]], str]", text: str) -> str:
        text, count = re.subn(pattern, mark, text)
        self.taken_out += count
        return text


def users_in(texts: Iterable[str]) -> set[str]:
    """Names of the home folders that texts speak of."""
    return {found.group(2).rstrip(".") for text in texts for found in HOMES.finditer(text)}
