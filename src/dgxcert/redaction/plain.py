"""Whether a value that stands where a secret may stand is one, and not a number, a path, a word or code."""

import re

SHORTEST, SHORTEST_RANDOM = 6, 8
CONSTANTS = re.compile(r"[A-Z]{2,}(?:_[A-Z]{2,})*(?: +[A-Z]{2,}(?:_[A-Z]{2,})*)*")
"""Names of variables in the place of a value: `HF_TOKEN=YOUR_TOKEN`."""
CODE = re.compile(r"[A-Za-z_]*[._][A-Za-z_.]*(?:\[.*)?")
"""Names of a program, as in the lines of a traceback: `tokens = model.generate(`."""
PROSE = re.compile(r"[a-z]{1,14}[.:]?|[A-Z]?[a-z]{1,14}[.:]")
PLAIN = re.compile(
    r"""
    [-+]?[\d.,_:]+\s*[a-z%]{0,6}(?:/\w+)?     # a number with its unit
    | </?\w{1,20}>? | <[|\uff5c].* | \[[A-Z_]{2,12}\]  # a token of a tokenizer
    | <(?:\\u[0-9a-f]{4}).*
    | \[(?:secret|user|host)\].*
    | (?:[0-9a-f]{2}:){7,}[0-9a-f]{2}           # a fingerprint
    | (?:hf|sk|ghp|nvapi)[_-](?:\.{2,}|x{3,}|\*{3,}|\u2026|\\u2026).*
    | [$(*%{\u2026].* | \.{2,}.* | x{3,}       # a variable, a placeholder
    | (?:~|\.{1,2})?(?:/[\w.:-]+)+/?           # a path
    | none | null | true | false | your[-_]\w.*
    | (?:(?:not|un)\s?)?(?:required|missing|set|unset|given|known|found|valid|optional|expected|invalid|read|shown)\b.*
    """,
    re.VERBOSE | re.IGNORECASE,
)


FOLDED = {0x130: "i", 0x131: "i", 0x17F: "s", 0x212A: "k"}
"""Letters beside those of ASCII that `re.IGNORECASE` takes for one of ASCII."""


def folded(text: str) -> str:
    r"""A text in which a word in lower case shows wherever an expression that ignores case finds it.

    >>> folded("HF_TO\N{KELVIN SIGN}EN")
    'hf_token'
    """
    return text.lower() if text.isascii() else text.translate(FOLDED).lower()


def is_any(value: str, _: bool = False) -> bool:
    """Whether there is one: its place leaves no doubt."""
    return value not in ("PASSWORD", "password", "[secret]")


def is_value(value: str, quoted: bool = False) -> bool:
    """Whether it is a value after a name that says "secret".

    >>> [is_value(value) for value in ("x7Qm2k", "1234567", "</s>", "/run/secrets/token", "model.generate")]
    [True, False, False, False, False]
    """
    if len(value) < SHORTEST or PLAIN.fullmatch(value) or CONSTANTS.fullmatch(value):
        return False
    return quoted or not (PROSE.fullmatch(value) or CODE.fullmatch(value))


def is_random(value: str, quoted: bool = False) -> bool:
    """Whether it has letters and digits, as what was generated does, after a name that has other meanings too."""
    if len(value) < SHORTEST_RANDOM or re.search(r"\s", value):
        return False
    return is_value(value, quoted) and bool(re.search(r"\d", value)) and bool(re.search(r"[A-Za-z]", value))


def is_very_random(value: str, quoted: bool = False) -> bool:
    """Whether it can hardly be anything else: digits and both cases, no dots, in the middle of prose."""
    return is_random(value, quoted) and mixes(value) and re.fullmatch(r"[\w+/=~!@$%^*-]+", value) is not None


def mixes(word: str) -> bool:
    """Whether a word has digits and letters of both cases."""
    return all(re.search(kind, word) for kind in ("[a-z]", "[A-Z]", r"\d"))
