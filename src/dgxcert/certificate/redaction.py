"""Redaction: text without tokens, user names and home paths, each replaced by a mark such as `[secret]`. Pure."""

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
    | (?<=://)[^/@\s"']{1,200}(?=@)                       # user and password in a URL
    | (?<=[?&]X-Amz-Signature=)[0-9a-f]+ | (?<=[?&]Signature=)[\w~%-]+
    """,
    re.VERBOSE | re.DOTALL,
)
NAME = r"[\w-]*(?:token|passw(?:or)?d|passphrase|secret|secret_access_key|api_?key)"
SECRET_NAME = re.compile(NAME, re.IGNORECASE)
NAMED_SECRETS = re.compile(
    rf"""
    (?<![\w-])({NAME}["']?\s*[=:]\s*["'])(?!<[|/])[^"'\n]{{6,}}(?=["'])   # token="...", "token": "..."
    | (?<![\w-])({NAME}["']?\s*[=:]\s*)(?!<[|/]|[\s\[{{("'])[^\s,;"']{{6,}} # HF_TOKEN=..., password: ...
    | (--{NAME}\s+)(?!-)[^\s"']{{6,}}                                 # --token ...
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Values that are secret by their name, whatever they look like. `</s>` and `<|pad|>` are tokens of a tokenizer."""
HOME_FOLDERS = re.compile(r"(/home/|/Users/|\\Users\\)([A-Za-z_][\w.-]*)")
SHARED_ACCOUNTS = {
    "root",
    "ubuntu",
    "nvidia",
    "dgx",
    "user",
    "admin",
    "debian",
    "runner",
    "lab",
    "test",
    "nobody",
    "spark",
}
"""Account names of no person, which are also ordinary words of a log: `nvidia` must stay readable."""


@dataclass
class Redaction:
    """Names to redact, and the number of replacements so far.

    >>> redaction = Redaction(users=frozenset({"lovelace"}))
    >>> redaction.text("HF_TOKEN=hf_abcdefghijklmnop, /home/grace/models, run by lovelace")
    'HF_TOKEN=[secret], /home/[user]/models, run by [user]'
    >>> redaction.count
    3
    """

    users: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    homes: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    count: int = field(default=0)

    def text(self, text: str) -> str:
        """Redact plain text."""
        for token in filter(None, self.tokens):
            text = self._replace(re.escape(token), SECRET, text)
        text = self._replace(SECRETS, SECRET, text)
        text = self._replace(NAMED_SECRETS, lambda match: next(filter(None, match.groups())) + SECRET, text)
        for home in sorted(self.homes, key=len, reverse=True):
            text = self._replace(rf"{re.escape(home)}(?![\w.-])", HOME, text)
        text = self._replace(HOME_FOLDERS, lambda match: match.group(1) + USER, text)
        for names, mark in ((self.users - SHARED_ACCOUNTS, USER), (self.hosts, HOST)):
            for name in sorted(names, key=len, reverse=True):
                text = self._replace(rf"(?<![\w]){re.escape(name)}(?![\w])", mark, text)
        return text

    def lines_of_json(self, text: str) -> str:
        r"""Redact the strings of JSON or JSON lines; text that is neither is redacted as plain text.

        In the file, `\nlovelace` has an `n` before the name, which plain text would take for one word.

        >>> print(Redaction(users=frozenset({"lovelace"})).lines_of_json(r'{"log": "started by\nlovelace"}'))
        {
         "log": "started by\n[user]"
        }
        <BLANKLINE>
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
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self._named(name, item) for name, item in value.items()}
        return value

    def _named(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and value and SECRET_NAME.fullmatch(name):
            self.count += 1
            return SECRET
        return self._value(value)

    def _replace(
        self, pattern: "str | re.Pattern[str]", mark: "str | Callable[[re.Match[str]], str]", text: str
    ) -> str:
        text, count = re.subn(pattern, mark, text)
        self.count += count
        return text


def users_in(texts: Iterable[str]) -> set[str]:
    """User names in the home paths of some texts.

    >>> users_in(["open /home/grace/x: permission denied"])
    {'grace'}
    """
    return {match.group(2).rstrip(".") for text in texts for match in HOME_FOLDERS.finditer(text)}
