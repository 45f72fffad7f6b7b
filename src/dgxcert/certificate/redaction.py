"""Redaction of a bundle: beside secrets also user names, home paths and host names, each replaced by a mark."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dgxcert.redaction.grammar import MARK
from dgxcert.redaction.scrubber import Scrubber

USER, HOST, HOME = "[user]", "[host]", "~"

MOST_PASSES = 4
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
    count: int = field(default=0)

    def text(self, text: str) -> str:
        """Redact plain text."""
        return self._without_names(self._without_secrets(text))

    def _without_secrets(self, text: str, *, json: bool = False) -> str:
        """Redact until nothing shows: what stood beside a secret may look like one once that is gone."""
        for _ in range(MOST_PASSES):
            scrubber = Scrubber()
            text = scrubber.json(text) if json else scrubber.text(text)
            self.count += scrubber.count
            if not scrubber.count:
                break
        return text

    def _without_names(self, text: str) -> str:
        for home in sorted(self.homes, key=len, reverse=True):
            text = self._replace(rf"{re.escape(home)}(?![\w.-])", HOME, text)
        text = self._replace(HOME_FOLDERS, lambda match: match.group(1) + USER, text)
        for names, mark in ((self.users - SHARED_ACCOUNTS, USER), (self.hosts, HOST)):
            for name in sorted(names, key=len, reverse=True):
                # A line end that a program printed as `\\n` ends a word as well.
                text = self._replace(rf"(?:(?<!\w)|(?<=\\[nrt])){re.escape(name)}(?!\w)", mark, text)
        return text

    def shows_names(self, text: str) -> bool:
        """Whether a text that was redacted still has a user name, a home path or a host name.

        >>> Redaction(users=frozenset({"lovelace"})).shows_names("run by [user]")
        False
        """
        for mark in (USER, HOST, MARK):  # which may be names themselves
            text = text.replace(mark, " ")
        seen = Redaction(self.users, self.hosts, self.homes)
        seen._without_names(text)
        return seen.count > 0

    def lines_of_json(self, text: str) -> str:
        r"""Redact the strings of JSON or JSON lines; text that is neither is redacted as plain text.

        In the file, `\nlovelace` has an `n` before the name, which plain text would take for one word.

        >>> print(Redaction(users=frozenset({"lovelace"})).lines_of_json(r'{"log": "started by\nlovelace"}'))
        {
         "log": "started by\n[user]"
        }
        <BLANKLINE>
        """
        text = self._without_secrets(text, json=True)
        try:
            text = json.dumps(self._value(json.loads(text)), indent=1, ensure_ascii=False) + "\n"
        except (ValueError, RecursionError):
            text = "".join(self._line(line) for line in text.splitlines(keepends=True))
        return self._without_secrets(text)

    def _line(self, line: str) -> str:
        try:
            return json.dumps(self._value(json.loads(line)), ensure_ascii=False) + "\n"
        except (ValueError, RecursionError):
            return self._without_names(line)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._without_names(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {self._without_names(name): self._value(item) for name, item in value.items()}
        return value

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
