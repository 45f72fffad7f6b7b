"""What is parsed from strangers, driven by Hypothesis: documented errors alone, and nothing but what was said.

Each property takes one value that Hypothesis has made, and raises where it does not hold; the value shown is the
smallest one that was found.
"""

import base64
import json
import math
import string
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from attacks.attack import Attack, Harm, Try
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from pydantic import TypeAdapter, ValidationError
from suites import certified, example

from dgxcert.certificate import statement_text
from dgxcert.certificate.refusal import Refused
from dgxcert.certificate.ssh import allowed_signers, armor, key, revoked_keys, wire
from dgxcert.certificate.statement import PREDICATE_TYPE, STATEMENT_TYPE
from dgxcert.console import on_one_line, printable
from dgxcert.files import untrusted, yaml_document
from dgxcert.outcome import CannotStart
from dgxcert.profiles.day import Day
from dgxcert.record import event_text, journal
from dgxcert.record.chain import Chain
from dgxcert.redaction import scrubber
from dgxcert.runner.channel.seal import TO_SUPERVISOR, Forged, Seal

EXAMPLES, QUICK_EXAMPLES = 150, 8
ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIClhnB3O/SI0CaB5vQzekTlliJTOKXZfIn9i+5eq7cgJ"
LINE = f'"ada@lab,!eve@lab" namespaces="dgxcert-*",valid-after="20260101" ssh-ed25519 {ED25519} Ada'
KNOWN = "x7Qm2kLp-9Zr4"
PROSE = (
    *("the", "driver", "was", "restarted", "while", "model", "weights", "were", "read", "from", "cache", "password"),
    *("token", "tokens", "secret", "key", "authorization", "per", "second", "is", "needed", "given", "below", "their"),
    *("limit", "sign", "in", "again", "machine", "shared", "by", "two", "processes", "credentials", "of", "login"),
)
DAY: TypeAdapter[date] = TypeAdapter(Day)
VISIBLE = {"L", "M", "N", "P", "S"}
"""Kinds of Unicode characters that have ink."""


class Broken(Exception):
    """A property does not hold."""

    def __init__(self, why: str, harm: Harm = Harm.WRONG) -> None:
        super().__init__(why)
        self.harm = harm


class Property(NamedTuple):
    """What must hold for all values of a strategy."""

    name: str
    values: st.SearchStrategy[Any]
    holds: Callable[[Any], None]
    share: float = 1.0
    """How many of the usual number of examples: fewer where one takes long."""


def require(holds: bool, why: str, harm: Harm = Harm.WRONG) -> None:
    """Raise Broken where something does not hold."""
    if not holds:
        raise Broken(why, harm)


def require_sentence(error: Exception) -> None:
    """An error is one line of text that a person can read."""
    require(bool(str(error).strip()) and "\n" not in str(error) and len(str(error)) < 3000, f"no sentence: {error!a}")


# What is parsed, and how it is changed.

any_text = st.text(st.characters(), max_size=60)
some_bytes = st.binary(max_size=60)
numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([10**18, -(10**30), 10**400, 2**63, 1e308, -0.0, 5e-324])
)
scalars = st.one_of(st.none(), st.booleans(), numbers, any_text)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4))


@st.composite
def changed(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes that were valid, with a few parts removed, repeated, replaced or inserted."""
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(whole)))
        end = min(begin + draw(st.integers(0, 12)), len(whole))
        own = whole[begin : end + 4]
        inserted = draw(st.one_of(st.binary(max_size=6), any_text.map(_encoded), st.just(own), st.just(b"")))
        whole = whole[:begin] + inserted + whole[end:]
    return whole


@st.composite
def replaced(draw: st.DrawFn, tree: Any) -> Any:
    """A tree of JSON with some leaf or branch replaced, removed or added."""
    if isinstance(tree, dict) and tree and draw(st.integers(0, 9)):
        name = draw(st.sampled_from(sorted(tree)))
        return {**tree, name: draw(replaced(tree[name]))}
    if isinstance(tree, list) and tree and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(tree) - 1))
        return [*tree[:at], draw(replaced(tree[at])), *tree[at + 1 :]]
    if isinstance(tree, dict) and draw(st.booleans()):
        return {**tree, draw(any_text): draw(scalars)}
    return draw(trees)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


# Signatures, keys and who may sign.

names = st.one_of(st.sampled_from([*key.FIELDS, *(f"{each}{key.CERTIFIED}" for each in key.FIELDS), ""]), any_text)
fields = st.lists(some_bytes, max_size=6)
blobs = st.builds(
    lambda kind, inner, rest: b"".join(map(wire.string, [_encoded(kind), *inner])) + rest,
    names,
    fields,
    st.one_of(st.just(b""), some_bytes),
)
signatures = st.builds(
    lambda *parts: armor.armored(armor.MAGIC + (1).to_bytes(4, "big") + b"".join(map(wire.string, parts))),
    st.one_of(st.just(base64.b64decode(ED25519)), blobs),
    any_text.map(_encoded),
    st.one_of(st.just(b""), some_bytes),
    st.sampled_from([b"sha512", b"sha256", b"", b"\xff"]),
    st.one_of(st.just(wire.string(b"ssh-ed25519") + wire.string(b"x" * 64)), blobs),
)


def of_armor(text: str) -> None:
    """An armor that is accepted is one that ssh-keygen writes for these very bytes."""
    try:
        found = armor.parse(text)
    except ValueError as error:
        require_sentence(error)
        return
    body = "".join(text.split("\n")[1:-2])
    require(armor.armored(base64.b64decode(body)) == text, "accepted, and another text has the same meaning")
    require(found.key.blob in base64.b64decode(body) and found.weakness is not None, "it has another key")


def of_wire(data: bytes) -> None:
    """What strings are read is what was written."""
    try:
        found = wire.strings(data)
    except ValueError as error:
        require_sentence(error)
        return
    require(b"".join(map(wire.string, found)) == data, "other strings were read than were written")


def of_key(blob: bytes) -> None:
    """A key is read whole, or not at all."""
    try:
        found = key.parse(blob)
    except ValueError as error:
        require_sentence(error)
        return
    require(found.blob == blob and key.read(key.name(found), key.encoded(found)) == found, "another key was read")
    if found.certified:
        key.day(found.certified.valid_after), key.day(found.certified.valid_before)


def of_signers(content: bytes) -> None:
    """Each line is one that reads the same when it is put to ssh-keygen alone, or has a reason why not."""
    signers = allowed_signers.read(content.decode("utf-8", errors="replace"))
    for line in signers.lines:
        alone = allowed_signers.parse(line.alone("signer").strip(), line.number)
        same = (alone.key, alone.options, alone.patterns) == (line.key, line.options, ("signer",))
        require(same and bool(line.who), "alone, the line says something else")
        require(not line.allows("eve@lab") or "!eve@lab" not in line.patterns, "it allows whom it excludes")
    for broken in signers.unreadable:
        require_sentence(ValueError(broken.why))


def of_revoked(content: bytes) -> None:
    """A list that is used names the key wherever one of its lines does."""
    mine = key.read("ssh-ed25519", ED25519)
    try:
        revoked = revoked_keys.lists(content, mine, Path("revoked"))
    except CannotStart as error:
        require_sentence(error)
        return
    own = [line.split()[:2] for line in content.decode("utf-8-sig").split("\n")]
    require(revoked or ["ssh-ed25519", ED25519] not in own, "a revoked key passes")


# Statements and other JSON and YAML.

MOMENT = "2026-11-26T12:00:00Z"
DIGEST = {"sha256": "0" * 64}
GPU = json.loads(certified.GPU.model_dump_json())
STATEMENT: dict[str, Any] = {
    "_type": STATEMENT_TYPE,
    "subject": [{"name": "run.json", "digest": DIGEST}, {"name": "records.jsonl", "digest": DIGEST}],
    "predicateType": PREDICATE_TYPE,
    "predicate": {
        "result": "PASSED",
        "configuration": [{"name": "profile", "digest": DIGEST}],
        "passedTests": ["GPU-PRESENT"],
        "warnedTests": [],
        "failedTests": [],
        "dgxcert": {
            "format": 1,
            "says": "CERTIFIED",
            "kind": "certificate",
            "run": "a",
            "verdict": "CERTIFIED",
            "counts": {"passed": 1},
            "tier": "standard",
            "weights": "random",
            "machine": dict.fromkeys(("product", "serial", "firmware", "operating_system", "driver", "cuda_driver"))
            | {"hostname": "spark-07", "kernel": "6.14", "gpus": [GPU]},
            "software": dict.fromkeys(("image", "image_id", "base", "base_digest", "stack", "lock_sha256"))
            | {"packages": {"torch": "2.13.0"}},
            "profile": "cpu",
            "profile_sha256": "0",
            "suite_version": "0.1.0",
            "suite_commit": None,
            "suite_sha256": "0",
            "evidence_sha256": "0",
            "waivers": [],
            "measured": MOMENT,
            "issued": MOMENT,
            "expires": MOMENT,
        },
    },
}


def of_statement(content: bytes) -> None:
    """A statement that is accepted says what every reader of JSON reads in it."""
    try:
        said = json.loads(statement_text.parse(content).text())
    except Refused as refusal:
        require_sentence(refusal)
        return
    require(_covers(said, json.loads(content)), "it says something else than its bytes")


def _covers(said: Any, read: Any) -> bool:
    """Whether all that is read is said alike; what is said may have defaults beside it."""
    if isinstance(read, dict) and isinstance(said, dict):
        return all(name in said and _covers(said[name], value) for name, value in read.items())
    if isinstance(read, list) and isinstance(said, list):
        return len(read) == len(said) and all(map(_covers, said, read))
    if isinstance(read, str) and isinstance(said, str) and read[:2] == said[:2] == "20":
        return read.replace("+00:00", "Z")[:19] == said[:19]
    return bool(said == read) and isinstance(said, bool) == isinstance(read, bool)


def of_json(content: str | bytes) -> None:
    """JSON is read as Python reads it, without what is no number."""
    try:
        found = untrusted.parse_json(content)
    except ValueError as error:
        require_sentence(error)
        return
    require(all(map(math.isfinite, _numbers(found))), "a number that is none")
    require(found == json.loads(content), "it was read as something else")


def _numbers(value: Any) -> Iterator[float]:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _numbers(item)
    if isinstance(value, int | float):
        yield float(value)


YAML = b"""base: &usual {limits: [0.1, 1e3, 'no'], on: ~}
again: *usual
more:
  <<: *usual
  text: |
    two
    lines
"""
yaml_texts = st.text(
    st.sampled_from("ab01 \n\t:-?,[]{}#&*!|>'\"%@`~.<=_+eExyn\\\x85\u2028\ufeff\U0001f600"), max_size=60
)


def of_yaml(text: str) -> None:
    """A document, or an error with its place."""
    try:
        document = yaml_document.parse(text, "Profile x")
    except CannotStart as error:
        require_sentence(error)
        require("line" in error.problem and "column" in error.problem, f"it has no place: {error.problem}")
        return
    require(all(map(math.isfinite, _numbers(document.content))), "a number that is none")
    document.at("a.b.0")


def of_tree_in_yaml(tree: Any) -> None:
    """JSON is YAML: what is accepted has its meaning. Python's `Infinity` and `NaN` are texts there."""
    text = json.dumps(tree, ensure_ascii=False)
    if "Infinity" in text or "NaN" in text:
        return
    try:
        found = yaml_document.parse(text, "Profile x").content
    except CannotStart as error:
        require_sentence(error)
        return
    require(json.dumps(found) == json.dumps(json.loads(text)), f"it was read as {found!a}")


def of_day(value: Any) -> None:
    """A day is a text of one form, and nothing else."""
    try:
        found = DAY.validate_python(value)
    except ValidationError:
        return
    require(value == (found.isoformat() if isinstance(value, str) else found), f"{value!a} was read as {found}")


# Records and the channel.

EVENTS = [json.loads(event_text.said(event)) for event in example.every_event()]
RECORD = [event_text.said(event).encode() for event in certified.events()]


def of_event(event: Any) -> None:
    """An event, or None; an event is written as it was read."""
    found = journal.parse(_json(event))
    if found is not None:
        require(journal.parse(event_text.said(found)) == found, "it is written as another event")
        require(event_text.redacted(found) is not None, "")


def of_chain(made: tuple[list[bytes], int, int, bytes]) -> None:
    """Of lines of which one was changed, those are read that were written, up to the change."""
    messages, at, much, inserted = made
    written = Chain()
    lines = [written.link(b'{"text":%s}' % message) for message in messages]
    content = b"\n".join(lines)
    at %= len(content)
    attacked = content[:at] + inserted + content[at + much :]
    links, read = Chain(), []
    for line in attacked.split(b"\n"):
        if (event := links.content(line)) is None:
            break
        read.append(event)
    whole = [b'{"text":%s}' % message for message in messages]
    require(read == whole[: len(read)], "a line is read that was not written")
    require(len(read) < len(whole) or attacked.startswith(content), "a change is not seen")


def of_record(made: tuple[int, int, bytes]) -> None:
    """Of a record of which a part was changed, all events are read that were written, those before a cut, or none."""
    chain = Chain()
    content = b"".join(chain.link(event) + b"\n" for event in RECORD)
    at, much, inserted = made
    at = len(content) - 1 - at % min(len(content), 5000)
    attacked = content[:at] + inserted + content[at + much :]
    try:
        read = journal.read_content(attacked, Path("records.jsonl"))
    except CannotStart as error:
        require_sentence(error)
        return
    whole = journal.read_content(content, Path("records.jsonl"))
    require(read == whole[: len(read)], "an event is read that was not written")


def of_seal(made: tuple[list[bytes], int, bytes]) -> None:
    """A line that is opened is the next one that was sealed, byte for byte."""
    messages, number, line = made
    mine, theirs = Seal("c0ffee", TO_SUPERVISOR), Seal("c0ffee", TO_SUPERVISOR)
    lines = [mine.sealed(message).removesuffix(b"\n") for message in messages]
    number %= len(lines)
    for message, sealed in list(zip(messages, lines, strict=True))[:number]:
        require(theirs.opened(sealed) == message, "another message was opened")
    for attacked in (line, *_variants(lines[number], line), *lines[:number], *lines[number + 1 :]):
        try:
            opened = theirs.opened(attacked)
        except Forged as error:
            require_sentence(error)
        else:
            raise Broken(f"{attacked!a} was opened as {opened!a}")
    require(theirs.opened(lines[number]) == messages[number], "what was sealed is refused")


def _variants(line: bytes, other: bytes) -> Iterator[bytes]:
    """The line in spellings of its own, and with another's bytes in it."""
    number, code, message = line.split(b" ", 2)
    yield from (b"0" + line, b" " + line, b"+" + line, line + b" ", number + b"  " + code + b" " + message)
    yield from (b" ".join((number, code.upper(), message + b".")), b" ".join((number, code)) + b"\t" + message)
    yield from ([b" ".join((number, code))] if not message else [line[:-1]])
    yield from ([line + other] if other else [])


# What is shown.


def of_printable(text: str) -> None:
    """Nothing hidden is left, what has ink survives, and what is shown stays as it is."""
    for shown, kept in ((printable(text), "\n"), (on_one_line(text), "")):
        require(printable(shown) == shown, f"it is not done at once: {shown!a}", Harm.ESCAPE)
        hidden = {char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}}
        require(hidden <= {kept, "\u200d", *PREPENDED}, f"raw {sorted(map(ascii, hidden))}", Harm.ESCAPE)
    if (
        all(unicodedata.category(char)[0] in VISIBLE and char.isprintable() for char in text)
        and not set(text) & IGNORED
    ):
        require(printable(text) == on_one_line(text) == text, "it was changed")


PREPENDED = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Of category Cf, with ink: signs of numbers in Arabic, Syriac and Kaithi."""
IGNORED = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {
    chr(code)
    for span in ((0x180B, 0x1810), (0xFE00, 0xFE10), (0x13440, 0x13456), (0xE0100, 0xE01F0))
    for code in range(*span)
}
"""Characters that are letters or marks and are not seen (Default_Ignorable_Code_Point)."""
emoji = st.text(st.sampled_from("a1#\u200d\ufe0f\ufe0e\U0001f600\u2764\u00a9\x1b\n"), max_size=12)

secrets = st.builds(
    "".join,
    st.tuples(
        st.text(string.ascii_lowercase, min_size=4, max_size=6),
        st.text(string.digits, min_size=2, max_size=3),
        st.text(string.ascii_uppercase, min_size=4, max_size=6),
        st.text(string.digits, min_size=2, max_size=3),
        st.text(string.ascii_letters, min_size=2, max_size=4),
    ),
)
NAMING = ("HF_TOKEN=", "password: ", "--password ", '"api_key": "', "Authorization: Bearer ", "https://ada:")
foreign = st.one_of(
    st.text(st.characters(), min_size=4, max_size=12), st.text("a\u03a3\xdf\u0130\xe9/+&1", min_size=4, max_size=8)
).filter(lambda text: sum(map(str.isalnum, text)) > 3 and not set(text) & set("[]") and text == text.strip())
beside = st.one_of(any_text, st.text("a\u03a3 1%\\", max_size=3))


def of_scrubbed(text: str) -> None:
    """Any text is redacted, to a size that follows its own; a second look finds what is left quiet."""
    clean = scrubber.text(text)
    require(len(clean) <= 8 * len(text) + 8, f"{len(text)} characters became {len(clean)}")


def of_known(made: tuple[str, str, str]) -> None:
    """A secret that is known is never left, whatever it is made of and stands in."""
    before, secret, after = made
    held = f"q7Z{secret}"
    clean = scrubber.Scrubber(frozenset({held, KNOWN})).text(f"{before}{held}{after}")
    require(held not in clean, f"left: {clean!a}", Harm.LEAK)


def of_named(made: tuple[str, str, str, str]) -> None:
    """A secret after a name that says so is never left."""
    before, name, secret, after = made
    end = "@hub.example/x" if name.startswith("https") else '"' if name.endswith('"') else ""
    clean = scrubber.text(f"{before}\n{name}{secret}{end}\n{after}")
    require(secret not in clean, f"left: {clean!a}", Harm.LEAK)


def of_prose(words: list[str]) -> None:
    """A sentence without secrets stays as it is."""
    text = f"{' '.join(words)}.".capitalize()
    require(scrubber.text(text) == text, f"it became {scrubber.text(text)!a}")


positions = st.integers(0, 10**6)
PROPERTIES = (
    Property("armor", signatures, of_armor),
    Property(
        "armor, changed",
        signatures.flatmap(lambda text: changed(text.encode())).map(lambda raw: raw.decode("utf-8", "replace")),
        of_armor,
    ),
    Property("wire", st.one_of(some_bytes, fields.map(lambda each: b"".join(map(wire.string, each)))), of_wire),
    Property("keys", st.one_of(blobs, changed(base64.b64decode(ED25519))), of_key),
    Property("allowed signers", changed(f"# lab\n{LINE}\r\n\n{LINE}\n".encode()), of_signers),
    Property("revoked keys", changed(f"# left\nssh-ed25519 {ED25519} eve\n".encode()), of_revoked),
    Property("statement", replaced(STATEMENT).map(_json), of_statement),
    Property("statement, changed", changed(_json(STATEMENT)), of_statement),
    Property("JSON", st.one_of(any_text, some_bytes, trees.map(_json), changed(_json(STATEMENT))), of_json),
    Property(
        "YAML", st.one_of(any_text, yaml_texts, changed(YAML).map(lambda raw: raw.decode("utf-8", "replace"))), of_yaml
    ),
    Property("YAML of JSON", trees, of_tree_in_yaml),
    Property(
        "days",
        st.one_of(
            st.dates().map(str), st.dates(), st.datetimes(), scalars, st.text("0123456789-:TZ \n\u0661", max_size=12)
        ),
        of_day,
    ),
    Property("events", st.sampled_from(EVENTS).flatmap(replaced), of_event),
    Property(
        "chain",
        st.tuples(
            st.lists(st.integers().map(_json), min_size=1, max_size=5), positions, st.integers(0, 90), some_bytes
        ),
        of_chain,
    ),
    Property("record", st.tuples(positions, st.integers(0, 400), some_bytes), of_record, 0.2),
    Property(
        "seal",
        st.tuples(
            st.lists(st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"")), min_size=1, max_size=4),
            positions,
            some_bytes,
        ),
        of_seal,
    ),
    Property("printable", st.one_of(any_text, emoji), of_printable, 5),
    Property(
        "scrubber",
        st.one_of(any_text, st.text(st.sampled_from("hf_:/@=%\\\"' \nAa1-.tokenpswrd"), max_size=200)),
        of_scrubbed,
    ),
    Property("known secrets", st.tuples(beside, foreign, beside), of_known, 0.7),
    Property("named secrets", st.tuples(any_text, st.sampled_from(NAMING), secrets, any_text), of_named),
    Property("prose", st.lists(st.sampled_from(PROSE), min_size=1, max_size=30), of_prose),
)


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Each property, with values that depend on the seed alone; nothing is kept of them."""
    set_hypothesis_home_dir(folder / "hypothesis")
    for each in PROPERTIES:
        yield from _tried(each, seed, int((QUICK_EXAMPLES if quick else EXAMPLES) * each.share) + 1)


def _tried(each: Property, seed: int, examples: int) -> Iterator[Try]:
    seen: list[Any] = []

    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(each.values)
    def attacked(value: Any) -> None:
        seen.append(value)
        each.holds(value)

    try:
        attacked()
    except Broken as broken:
        yield Try(each.name, broken.harm, f"{broken}: {seen[-1]!a}"[:2000])
    except Exception as error:
        yield Try(each.name, Harm.TRACEBACK, f"{type(error).__name__}: {error}: {seen[-1:]!a}"[:2000])
    yield from (Try(each.name) for _ in seen)


ATTACK = Attack(
    "parsers", "what strangers write, as Hypothesis makes it: signatures, records, YAML, JSON, secrets", tries
)
