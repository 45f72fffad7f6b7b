"""A list of allowed signers, line by line: whom a key is listed for, and which lines cannot be read. Pure.

The format is that of ALLOWED SIGNERS in ssh-keygen(1). What is read here finds lines and explains them; whether a line
lets a key sign, `ssh-keygen` decides, which is given that line alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dgxcert.certificate import bounds
from dgxcert.certificate.ssh import key as keys
from dgxcert.certificate.ssh.key import Key

BOM = "\ufeff"
TOKEN = re.compile(r'(?:"[^"]*"|[^\s"])+')
"""A field: options have blanks within quotes only."""
KEY_TYPE = re.compile(r"(?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+")
OPTION = re.compile(r'(?P<name>cert-authority)|(?P<valued>namespaces|valid-after|valid-before)="[^"]*"', re.I)
SAFE = re.compile(r"[A-Za-z0-9._+=/@:-]{1,255}")
"""A principal of an SSH certificate that is no pattern and needs no quotes."""


@dataclass(frozen=True)
class Line:
    """One line of the list: these principals may sign with this key."""

    number: int
    patterns: tuple[str, ...]
    options: str
    key: Key

    @property
    def authority(self) -> bool:
        """Whether its key certifies other keys, and signs nothing itself."""
        return any(match["name"] for match in OPTION.finditer(self.options))

    @property
    def who(self) -> str:
        """Its principals: `*@lab, not eve@lab`; "" where it only excludes some."""
        named = [each for each in self.patterns if not each.startswith("!")]
        excluded = [each.removeprefix("!") for each in self.patterns if each.startswith("!")]
        others = f", not {', '.join(excluded)}" if excluded else ""
        return f"{', '.join(named)}{others}" if named else ""

    def allows(self, principal: str) -> bool:
        """Whether a principal matches one of its patterns and none that it excludes, as ssh-keygen matches them.

        >>> line = parse("*@lab,!eve@lab ssh-ed25519 "
        ...     "AAAAC3NzaC1lZDI1NTE5AAAAIClhnB3O/SI0CaB5vQzekTlliJTOKXZfIn9i+5eq7cgJ", 1)
        >>> line.allows("ada@lab"), line.allows("eve@lab"), line.allows("ada@home")
        (True, False, False)
        """
        matching = [each for each in self.patterns if _matches(principal, each.removeprefix("!"))]
        return bool(matching) and not any(each.startswith("!") for each in matching)

    def alone(self, principal: str) -> str:
        """The line with one principal in place of its patterns."""
        key = f"{keys.name(self.key)} {keys.encoded(self.key)}"
        return " ".join(filter(None, (principal, self.options, key))) + "\n"


@dataclass(frozen=True)
class Unreadable:
    """A line of the list that cannot be read, and why."""

    number: int
    why: str


@dataclass(frozen=True)
class Signers:
    """All lines of a list."""

    lines: tuple[Line, ...]
    unreadable: tuple[Unreadable, ...]

    def of(self, key: Key) -> Iterator[Line]:
        """The lines that list a key, or the authority that has certified it."""
        for line in self.lines:
            by = key.certified.authority if key.certified and line.authority else key.blob
            if line.key.blob == by and line.authority == (key.certified is not None):
                yield line

    def near(self, key: Key) -> str:
        """What else the list says about a key that no line lets sign, as a sentence; "" where nothing."""
        for line in self.lines:
            if key.certified is None and line.authority and line.key.plain == key.plain:
                return f"line {line.number} lists it as an authority for other keys (cert-authority), not as a signer"
            if key.certified and not line.authority and line.key.plain == key.plain:
                return f"line {line.number} lists the key alone; it was signed with the SSH certificate of that key"
            if key.certified and not line.authority and line.key.blob == key.certified.authority:
                return f"line {line.number} lists the key that certified it without cert-authority"
        return ""


def read(text: str) -> Signers:
    """All lines of a list; comments and empty lines are none.

    >>> signers = read("# our lab\\nada@lab namespaces=\\"dgxcert-*\\" ssh-ed25519 "
    ...     "AAAAC3NzaC1lZDI1NTE5AAAAIClhnB3O/SI0CaB5vQzekTlliJTOKXZfIn9i+5eq7cgJ\\nnonsense\\n")
    >>> [line.who for line in signers.lines], signers.unreadable
    (['ada@lab'], (Unreadable(number=3, why='it has no key'),))
    """
    lines: list[Line] = []
    unreadable: list[Unreadable] = []
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip(" \t\r")
        if bare and not bare.startswith("#"):
            try:
                lines.append(parse(bare, number))
            except ValueError as error:
                unreadable.append(Unreadable(number, str(error)))
    return Signers(tuple(lines), tuple(unreadable))


def parse(line: str, number: int) -> Line:
    """One line. Raises ValueError, which says why, where it cannot be read.

    >>> parse("ada@lab ssh-ed25519", 1)
    Traceback (most recent call last):
    ValueError: it has no key
    """
    if len(line) > bounds.LINE_CHARS:
        raise ValueError(f"it has {len(line)} characters, and at most {bounds.LINE_CHARS} are read")
    if BOM in line:
        raise ValueError("it begins with a byte order mark (U+FEFF): save the file as UTF-8 without it")
    if not line.isprintable() and not line.replace("\t", " ").isprintable():
        raise ValueError("it has a character that does not print")
    fields = TOKEN.findall(line)
    at = next((at for at, word in enumerate(fields[:3]) if at and KEY_TYPE.fullmatch(word)), None)
    if at is None or len(fields) <= at + 1:
        raise ValueError(_no_key(fields))
    options = fields[1] if at == 2 else ""
    if options and (wrong := _wrong_option(options)):
        raise ValueError(wrong)
    key = keys.read(fields[at], fields[at + 1])
    if key.certified:
        raise ValueError("it lists an SSH certificate; list the key, or its authority with cert-authority")
    patterns = tuple(each for each in fields[0].strip('"').split(",") if each)
    if len(patterns) > bounds.PATTERNS:
        raise ValueError(f"it has {len(patterns)} principals, and at most {bounds.PATTERNS} are read")
    if not any(not each.startswith("!") for each in patterns):
        raise ValueError(f"it names nobody who may sign, only who may not: {fields[0]}")
    return Line(number, patterns, options, key)


def _no_key(fields: list[str]) -> str:
    if fields and KEY_TYPE.fullmatch(fields[0]):
        return "it begins with the key; write who signs with it before: ada@lab ssh-ed25519 AAAA..."
    return "it has no key"


def _wrong_option(options: str) -> str:
    """The first of the options, separated by commas outside quotes, that ssh-keygen does not know; "" where none is."""
    for option in re.findall(r'(?:"[^"]*"|[^,"])+', options):
        if unquoted := re.fullmatch(r"(namespaces|valid-after|valid-before)=([^\"]*)", option, re.IGNORECASE):
            return f'option {unquoted[1]} needs quotes: {unquoted[1]}="{unquoted[2]}"'
        if OPTION.fullmatch(option) is None:
            return f"option {option} is not one of cert-authority, namespaces, valid-after and valid-before"
    return ""


def _matches(text: str, pattern: str) -> bool:
    """Whether a pattern of `*` and `?` matches, as PATTERNS in ssh_config(5): no other character is special.

    >>> _matches("ada@lab", "a*a@l?b"), _matches("ada@lab", "[a]*")
    (True, False)
    """
    at, star, after = 0, -1, 0
    for_star = 0
    while at < len(text):
        if after < len(pattern) and pattern[after] == "*":
            star, for_star = after, at
            after += 1
        elif after < len(pattern) and pattern[after] in ("?", text[at]):
            at, after = at + 1, after + 1
        elif star >= 0:  # the last star takes one character more
            for_star += 1
            at, after = for_star, star + 1
        else:
            return False
    return not pattern[after:].strip("*")
