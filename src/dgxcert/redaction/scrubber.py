"""The one scrubber: text, JSON and trees of values without secrets, each replaced by `[secret]`.

Three ways, one after the other: the values that this process can see, in any spelling; what its place tells to be
secret; and the formats of known tokens.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dgxcert.redaction import grammar, library, spelling, values
from dgxcert.redaction.grammar import MARK

SECRET_NAME = re.compile(
    r"\s*(?:[\w.-]*(?:token|passw(?:or)?d|passphrase|secret|secret_access_key|api[_-]?key|access[_-]?key|private[_-]?key)s?(?:_\d+|_old)?"
    r"|[\w-]*authorization|auth|pass|pwd|cookie|set-cookie|credentials?|[A-Z0-9_]+_KEY)\s*",
    re.IGNORECASE,
)
"""The name of a member of an object whose strings are secret."""
NAMING, VALUE = ("name", "Name", "variable", "header"), "value"
"""Members of an object that say what another is, as a list of variables has them."""
DEEPEST = 100
"""Levels of an object that are walked into; what is deeper is redacted whole."""


@dataclass
class Scrubber:
    """Redacts, and counts what it has redacted. `known` are values beside those that this process can see.

    With `anywhere` the values of this process are left out: then the same text gives the same on each machine.

    >>> Scrubber(frozenset({"x7Qm2kLp"})).text("GET /models?q=x7Qm%32kLp HTTP/1.1")
    'GET /models?q=[secret] HTTP/1.1'
    """

    known: frozenset[str] = frozenset()
    count: int = field(default=0)
    anywhere: bool = False
    public: frozenset[str] = frozenset()
    """Words that a text is made of, such as the names of its members: what is a part of one is no secret."""

    def text(self, text: str) -> str:
        """Redact a text of any length; lines stay lines."""
        return self._text(text, self.secrets_in(text))

    def _text(self, text: str, secrets: list[str]) -> str:
        if len(text) < values.SHORTEST:
            return text
        for secret in secrets:
            text, found = spelling.pattern(secret).subn(MARK, text)
            self.count += found
        text, found = grammar.redact(text)
        self.count += found
        return self._without_formats(text)

    def json(self, text: str) -> str:
        r"""Redact JSON, or lines of JSON, which stay JSON; lines that are none are redacted as text.

        Unchanged, byte for byte, where nothing is secret.

        >>> Scrubber().json('{"env": {"HF_TOKEN": ["x7Q"]}, "token_count": 5}')
        '{"env": {"HF_TOKEN": ["[secret]"]}, "token_count": 5}'
        """
        try:
            return self._json(text)
        except (ValueError, RecursionError):
            return "".join(self._line(line) for line in text.splitlines(keepends=True))

    def _value(self, value: Any, secrets: list[str], secret: bool = False, depth: int = 0) -> Any:
        """Redact every string of a tree of lists and objects, names too; all of them under a name that says so."""
        if isinstance(value, str):
            return self._marked(value) if secret and value else self._text(value, secrets)
        if isinstance(value, dict | list | tuple) and depth > DEEPEST:
            return self._marked("")
        if isinstance(value, list | tuple):
            headers = len(value) == 2 and isinstance(value[0], str) and is_secret_name(value[0])
            return [
                self._value(item, secrets, secret or (headers and at == 1), depth + 1) for at, item in enumerate(value)
            ]
        if isinstance(value, dict):
            named = any(is_secret_name(value.get(name)) for name in NAMING)
            return {
                self._text(name, secrets): self._value(
                    item, secrets, secret or is_secret_name(name) or (named and name.lower() == VALUE), depth + 1
                )
                for name, item in value.items()
            }
        return value

    def _json(self, text: str) -> str:
        parsed, before = json.loads(text), self.count
        redacted = self._value(parsed, self.secrets_in(text))
        if self.count == before:
            return text
        compact = '": ' not in text[:200]
        separators = (",", ":") if compact else None
        indented = text.lstrip()[:2] in ("{\n", "[\n")
        end = text[len(text.rstrip()) :]
        return json.dumps(redacted, ensure_ascii=False, separators=separators, indent=1 if indented else None) + end

    def _line(self, line: str) -> str:
        try:
            return self._json(line)
        except (ValueError, RecursionError):
            return self.text(line)

    def _marked(self, value: str) -> str:
        if value == MARK:
            return value
        self.count += 1
        return MARK

    def secrets_in(self, text: str) -> list[str]:
        """Those of the known secrets that a text may have, the longest first."""
        values_here = self.known if self.anywhere else values.current() | self.known
        known = sorted(filter(self._is_secret, values_here), key=len, reverse=True)
        skeleton = spelling.skeleton(text) if known else b""
        return [secret for secret in known if any(needle in skeleton for needle in spelling.needles(secret))]

    def _is_secret(self, value: str) -> bool:
        return not any(value.lower() in word for word in self.public)

    def _without_formats(self, text: str) -> str:
        if not library.LONG_WORD.search(text):
            return text
        try:
            spans = library.spans(text)
        except library.Missing:
            return text
        for begin, end, _ in reversed(spans):
            text = text[:begin] + MARK + text[end:]
        self.count += len(spans)
        return text


def is_secret_name(name: object) -> bool:
    """Whether a name says that what it names is secret.

    >>> is_secret_name("HF_TOKEN"), is_secret_name("token_count")
    (True, False)
    """
    return isinstance(name, str) and SECRET_NAME.fullmatch(name) is not None


def text(line: str) -> str:
    """A text without secrets, for whoever does not count: `text(str(error))`."""
    return Scrubber().text(line)


def json_text(line: str) -> str:
    """A line of JSON without secrets."""
    return Scrubber().json(line)


def kinds(content: str, known: Iterable[str] = ()) -> list[str]:
    """The kinds of secret in a text that should have none, never the secrets themselves.

    >>> kinds("HF_TOKEN=x7Qm2kLp"), kinds("HF_TOKEN=[secret]")
    (['a value after a name that says it is secret'], [])
    """
    scrubber = Scrubber(frozenset(known))
    certain = any(spelling.pattern(secret).search(content) for secret in scrubber.secrets_in(content))
    found = ["a secret of this machine or its user"] if certain else []
    if grammar.redact(content)[1]:
        found.append("a value after a name that says it is secret")
    return sorted({*found, *(kind for _, _, kind in library.spans(content))})
