r"""A secret in whatever spelling: URL, JSON, HTML and shell escapes, repr, hexadecimal, base64, broken over lines.

Each character may be spelled on its own, so that a mixture of spellings, or one within another, is found as well.
"""

import base64
import functools
import html
import re
from urllib.parse import unquote_to_bytes

BREAK = (
    r"(?:[ \t]*(?:\\{0,4}[rn]|=?\r?\n)[ \t>|#*]{0,40}(?:(?-i:E) {3}\s{0,40})?"
    r"|\x1b\[[0-9;]{0,20}[mK]|[\x00\u200b\u200c\u200d\ufeff\xad])?"
)
"""Between two characters: a line break with indentation or pytest's `E`, the code of a colour, what has no width."""
NO_INK = bytes(range(33)) + b"+\"'`\\|>=#*\x7f"
"""Bytes that spellings add; without them, and with their case folded, a text and a secret are compared first."""
ESCAPE = re.compile(rb"\\{1,8}(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]{1,6})\}|([0-3][0-7]{2}))")
COLOUR = re.compile(rb"\x1b\[[0-9;]{0,20}[mK]|\xe2\x80[\x8b-\x8d]|\xef\xbb\xbf|\xc2\xad|\\{1,8}[rn]|(?<=\n)e {3}")
LATIN = re.compile(rb"\\{1,8}x([89a-f][0-9a-f])")
"""How `ascii` writes a character of Latin-1; `repr` of bytes writes a byte of UTF-8 in the same way."""
HEXADECIMAL = re.compile(rb"[0-9a-f]{2}(?::|-|,\s?0x)[0-9a-f]{2}(?::|-|,\s?0x)[0-9a-f]{2}")
FEWEST = 8
"""Characters of an encoded secret, below which it may be chance."""


@functools.lru_cache(maxsize=512)
def pattern(secret: str) -> re.Pattern[str]:
    r"""What finds a secret in a text.

    >>> spellings = "pa55/wd+x", "pa55%2Fwd%2bx", r"pa55\/wd\u002bx", "pa55&#x2F;wd&#43;x", "pa5\n  5/wd+x"
    >>> all(pattern("pa55/wd+x").search(text) for text in spellings)
    True
    """
    spelled = BREAK.join(_character(char) for char in secret)
    encoded = [BREAK.join(map(_base64_character, run)) + "={0,2}" for run in _base64(secret)]
    digits = secret.encode("utf-8", "surrogatepass").hex()
    encoded.append(r"(?:,?\s?0x|[: -])?".join(digits[at : at + 2] for at in range(0, len(digits), 2)))
    return re.compile("|".join([spelled, *encoded]), re.IGNORECASE)


@functools.lru_cache(maxsize=512)
def needles(secret: str) -> tuple[bytes, ...]:
    """What `skeleton` leaves of a secret in each of its spellings."""
    encoded = secret.casefold().encode("utf-8", "surrogatepass")
    digits = secret.encode("utf-8", "surrogatepass").hex().encode()
    runs = [run.encode() for run in _base64(secret)]
    urlsafe = [run.translate(bytes.maketrans(b"+/", b"-_")) for run in runs]
    return tuple({_bare(each) for each in (encoded, digits, *runs, *urlsafe)} - {b""})


def skeleton(text: str) -> bytes:
    """A text as the comparison sees it: every escape undone, without ink-free bytes, its case folded."""
    text = text.casefold()  # unlike `lower`, the same wherever a character stands
    raw = text.encode("utf-8", "surrogatepass")
    forms = [raw]
    if b"&" in raw:
        raw = html.unescape(html.unescape(text)).encode("utf-8", "surrogatepass")
        forms.append(raw)
    if b"\\" in raw or b"\x1b" in raw or b"\xe2" in raw or b"\xc2" in raw or b"\ne   " in raw:
        raw = COLOUR.sub(b"", raw)
        if LATIN.search(raw):
            forms.append(ESCAPE.sub(_unescaped, LATIN.sub(_latin, raw)))
        raw = ESCAPE.sub(_unescaped, raw)
        forms.append(raw)
    for _ in range(3):
        if b"%" in raw:
            raw = unquote_to_bytes(raw)
            forms.append(raw)
    if HEXADECIMAL.search(raw):
        forms.append(re.sub(rb"0x|[:,-]", b"", raw))
    return b"\xff".join(map(_bare, forms))


def _unescaped(match: re.Match[bytes]) -> bytes:
    byte, *points, octal = match.groups()
    if byte:
        return bytes.fromhex(byte.decode())
    if octal:
        return bytes([int(octal, 8)])
    point = int(next(filter(None, points)), 16)
    return chr(point).casefold().encode("utf-8", "surrogatepass") if point < 0x110000 else b""


def _latin(match: re.Match[bytes]) -> bytes:
    return chr(int(match.group(1), 16)).casefold().encode()


def _bare(raw: bytes) -> bytes:
    return raw.translate(None, NO_INK).lower()


def _character(char: str) -> str:
    """All spellings of one character."""
    spellings = [re.escape(char)]
    raw = char.encode("utf-8", "surrogatepass")
    spellings.append("".join(rf"%(?:25)*{byte:02x}" for byte in raw))
    spellings.append("".join(rf"\\{{1,8}}x{byte:02x}" for byte in raw))
    spellings.append("".join(rf"\\{{1,8}}{byte:03o}" for byte in raw))
    if "\x80" <= char <= "\xff":
        spellings.append(rf"\\{{1,8}}x{ord(char):02x}")
    spellings += [rf"\\{{1,8}}u\{{?0*{ord(char):x}\}}?", rf"&(?:amp;)*#(?:0*{ord(char)}|x0*{ord(char):x});"]
    if (named := html.escape(char)) != char:
        spellings.append("&(?:amp;)*" + re.escape(named[1:]))
    if char == " ":
        spellings.append(r"\+")
    if not char.isalnum():
        spellings.append(r"\\{1,8}" + re.escape({"\n": "n", "\r": "r", "\t": "t"}.get(char, char)))
    if char == "'":
        spellings += [r"'\\{1,8}''", r"'\"'\"'"]
    return f"(?:{'|'.join(spellings)})"


def _base64(secret: str) -> list[str]:
    """What base64 makes of a secret at each of its three offsets, without the characters that its neighbours change."""
    raw = secret.encode("utf-8", "surrogatepass")
    runs = []
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        run = whole[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        runs += [run] if len(run) >= FEWEST else []
    return runs


def _base64_character(char: str) -> str:
    return {"+": r"(?:[-+]|%2b)", "/": r"(?:[/_]|%2f|\\+/)"}.get(char, char)
