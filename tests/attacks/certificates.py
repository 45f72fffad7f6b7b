"""Certificates: changed bytes, statements written by hand and signed by a listed key, files planted in the folder."""

import json
import os
import random
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attacks.attack import Attack, Harm, Try, dgxcert, judged
from attacks.signed_example import Document, Example, attempt, covering, made, sign, verified

from dgxcert.certificate import statement_text

BYTES, QUICK_BYTES = 1200, 60
TEXTS, QUICK_TEXTS = 6000, 400
OURS: tuple[str, ...] = ("predicate", "dgxcert")


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """All attacks on one signed run."""
    chance = random.Random(seed)
    with made(folder) as example:
        whole = example.certificate.read_bytes()
        yield attempt("as it was signed", lambda: verified(example, example.certificate), accepted=True)
        yield from _texts(whole, chance, QUICK_TEXTS if quick else TEXTS)
        yield from _bytes(example, chance, QUICK_BYTES if quick else BYTES)
        yield from _forgeries(example, FORGED[:: 12 if quick else 1])
        yield from _mixed(example)
        yield from _planted(example, PLANTED[:: 6 if quick else 1])
        if not quick:
            yield from _commands(example)


def changed(content: bytes, chance: random.Random) -> bytes:
    """The content with a small change, of the kinds that damage and forgers make."""
    at, other = sorted((chance.randrange(len(content)), chance.randrange(len(content))))
    lines = content.split(b"\n")
    line = chance.randrange(len(lines))
    made_of: list[Callable[[], bytes]] = [
        lambda: content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :],
        lambda: content[:at] + bytes([chance.randrange(256)]) + content[at:],
        lambda: content[:at] + content[at + 1 :],
        lambda: content[:at] + content[other:],
        lambda: content[:at],
        lambda: content[:at] + content[at:other] * 2 + content[other:],
        lambda: content[:at] + content[at : at + 1].swapcase() + content[at + 1 :],
        lambda: b"\n".join([*lines[:line], lines[line], *lines[line:]]),
        lambda: b"\n".join([*lines[:line], *lines[line + 1 :]]),
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content + chance.choice([b"\n", b" ", b"\0", b"\x1a", content]),
        lambda: chance.choice([b"\xef\xbb\xbf", b" ", b"\n"]) + content,
        lambda: re.sub(rb"[0-9]+", lambda m: chance.choice([m[0], m[0] + b"0", b"-1", b"1e999", b"NaN"]), content),
        lambda: content.replace(b"{", chance.choice([b'{"_type":1,', b'{"kind":"report",', b"{{", b"[{"]), 1),
        lambda: content.decode("latin-1").encode("utf-16"),
    ]
    new = chance.choice(made_of)()
    return changed(content, chance) if new == content else new


def _texts(whole: bytes, chance: random.Random, count: int) -> Iterator[Try]:
    """The text of a statement alone: it is read or refused, in one sentence."""
    for number in range(count):
        text = whole
        for _ in range(chance.randrange(1, 4)):
            text = changed(text or b"{}", chance)
        yield attempt(f"statement text {number}", lambda text=text: statement_text.parse(text), accepted=None)


def _bytes(example: Example, chance: random.Random, count: int) -> Iterator[Try]:
    """One file of the signed run changed, signature and statement above all: nothing is accepted."""
    path = example.copy()
    files = [path, path.with_name(path.name + ".sig"), *(p for p in sorted(path.parent.rglob("*")) if p.is_file())]
    for number in range(count):
        file = files[number % 2] if number % 4 < 3 else chance.choice(files)
        before = file.read_bytes()
        file.write_bytes(changed(before, chance))
        yield attempt(f"{file.name} {number}", lambda: verified(example, path))
        file.write_bytes(before)


Change = Callable[[Document], object]


def field(*place: str, to: object) -> Change:
    """Set one field."""

    def change(document: Document) -> None:
        inner: Any = document
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = to

    return change


def ours(*place: str, to: object) -> Change:
    """Set one field of dgxcert's own."""
    return field(*OURS, *place, to=to)


def subject(name: str) -> Change:
    """Name one file more."""
    return lambda document: document["subject"].append({"name": name, "digest": {"sha256": "0" * 64}})


DATES = (
    *("2027-01-01T00:00:00", "2027-01-01", "2027-13-01T00:00:00Z", "2027-02-30T00:00:00Z", "tomorrow", "", 1e12, 0, -1),
    *("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "2027-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", None),
    *(
        "1999-01-01T00:00:00Z",
        "1795459212",
        "2027-01-01T00:00:00z",
        "\uff12\uff10\uff12\uff17-01-01T00:00:00Z",
        ["2027"],
        True,
    ),
)
NAMES = (
    *("../allowed_signers", "/etc/hostname", "./run.json", "logs/../run.json", "run.json/", "logs//x", "", ".", ".."),
    *("RUN.JSON", "run.json", "a\0b", "a\x1b[2Jb", "a\u202eb", "a\u200bb", "e\u0301.txt", "a\\b", "a" * 5000, "\n"),
    *("certificate.json", "certificate.json.sig", "missing.txt", "logs", "a/" * 100 + "b"),
)
TEXT_FIELDS = (
    *(("says",), ("run",), ("tier",), ("weights",), ("profile",), ("profile_sha256",), ("suite_version",)),
    *(("suite_commit",), ("suite_sha256",), ("evidence_sha256",), ("machine", "hostname"), ("machine", "serial")),
    *(("machine", "driver"), ("machine", "firmware"), ("software", "image_id"), ("software", "lock_sha256")),
)
WAIVER = {"requirement": "DISK-SPACE", "machine": "spark-07", "reason": "NFS", "who": "eve", "until": "2027-01-31"}
FORGED: list[tuple[str, Change]] = [
    *((f"{name} {date!r:.30}", ours(name, to=date)) for name in ("measured", "issued", "expires") for date in DATES),
    *((f"covers {name!r:.30}", subject(name)) for name in NAMES),
    *(
        (f"{'.'.join(place)} {text!r:.30}", ours(*place, to=text))
        for place in TEXT_FIELDS
        for text in ("another", "x\x1b[2J\nVERIFIED", "x" * 5000, "spark\u201107", None, 1, [], {})
    ),
    *((f"verdict {verdict}", ours("verdict", to=verdict)) for verdict in ("REJECTED", "PARTIAL", "certified", "")),
    *((f"format {version!r}", ours("format", to=version)) for version in (0, 2, 1.0, True, "1", None, 10**30)),
    *((f"_type {kind!r}", field("_type", to=kind)) for kind in ("https://in-toto.io/Statement/v2", None, 1, {})),
    ("predicateType", field("predicateType", to="https://in-toto.io/attestation/test-result/v0.2")),
    ("kind", ours("kind", to="report")),
    ("a field more", ours("approved", to=True)),
    ("a field more outside", field("approved", to=True)),
    ("a waiver that nothing uses", ours("waivers", to=[WAIVER])),
    ("a thousand waivers", ours("waivers", to=[WAIVER] * 1000)),
    ("counts", ours("counts", to={"passed": 1})),
    ("counts beyond numbers", ours("counts", to={"passed": 10**18})),
    ("limits", ours("limits", to={"measured": 999, "published": 0, "derived": 0})),
    ("gpus", ours("machine", "gpus", to=[])),
    ("packages", ours("software", "packages", to={"torch": "9.9"})),
    ("no subjects", field("subject", to=[])),
    ("result", field("predicate", "result", to="WARNED")),
    ("configuration", field("predicate", "configuration", to=[])),
    ("passed", field("predicate", "passedTests", to=[])),
    ("failed", field("predicate", "failedTests", to=["DISK-SPACE"])),
    ("no predicate", field("predicate", to=None)),
    ("a list", lambda document: document.clear()),
]


def _forgeries(example: Example, forged: list[tuple[str, Change]]) -> Iterator[Try]:
    """What the holder of a listed key may write by hand, and the same by a key that no list has."""
    path = example.copy()
    for name, change in forged:
        document = example.document()
        change(document)
        path.write_text(json.dumps(document), encoding="utf-8")
        sign(path, example.key)
        yield attempt(f"signed: {name}", lambda: verified(example, path))
    for text in _texts_by_hand(example):
        path.write_bytes(text)
        sign(path, example.key)
        yield attempt(f"signed by hand: {text[:40]!r}", lambda: verified(example, path))
    path.write_bytes(example.certificate.read_bytes())
    sign(path, example.stranger)
    yield attempt("the same by a key that is not listed", lambda: verified(example, path))
    for namespace in ("dgxcert-report", "git", "file", "dgxcert-certificate "):
        sign(path, example.key, namespace)
        yield attempt(f"namespace {namespace!r}", lambda: verified(example, path))


def _texts_by_hand(example: Example) -> Iterator[bytes]:
    whole = example.certificate.read_text(encoding="utf-8")
    for old, new in (
        ('"verdict": "CERTIFIED"', '"verdict": "REJECTED", "verdict": "CERTIFIED"'),
        ('"verdict": "CERTIFIED"', '"verdict": "CERTIFIED", "verd\\u0069ct": "CERTIFIED"'),
        ('"_type"', '"_type": "https://in-toto.io/Statement/v1", "_type"'),
        ('"format": 1', '"format": 1e0'),
        ('"format": 1', f'"format": {"1" * 5000}'),
        ('"index": 0', '"index": NaN'),
        ('"index": 0', '"index": 1e400'),
        ('"memory_gib": null', '"memory_gib": Infinity'),
        ('"hostname": "', '"hostname": "\\ud800'),
        ('"hostname": "spark-07"', '"hostname": ' + "[" * 5000 + "]" * 5000),
    ):
        if old in whole:
            yield whole.replace(old, new, 1).encode()
    yield from (b"", b"[]", b"null", b"1", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b" " * 4_000_000, b"\xff" * 99)
    yield from (b"{}" * 2, whole.encode("utf-16"), b"\xef\xbb\xbf" + whole.encode(), whole.encode() + b"{}")


def _mixed(example: Example) -> Iterator[Try]:
    """Parts of different certificates: an older signature, another run's evidence."""
    path = example.copy()
    old = path.with_name(path.name + ".sig").read_bytes()
    document = example.document()
    document["predicate"]["dgxcert"]["issued"] = "2026-11-27T12:00:00Z"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    path.with_name(path.name + ".sig").write_bytes(old)
    yield attempt("the signature of an older statement", lambda: verified(example, path))
    yield attempt("read without its time", lambda: verified(example, path, machine="spark-08"))
    path = example.copy()
    run = path.parent / "run.json"
    run.write_text(run.read_text(encoding="utf-8").replace("spark-07", "spark-08"), encoding="utf-8")
    path.write_text(json.dumps(covering(example.document(), path.parent)), encoding="utf-8")
    sign(path, example.key)
    yield attempt("a run.json of another machine, signed", lambda: verified(example, path))
    path = example.copy()
    record = path.parent / "records.jsonl"
    record.write_text(record.read_text(encoding="utf-8").replace('"min":', '"min":0.5,"max":', 1), encoding="utf-8")
    path.write_text(json.dumps(covering(example.document(), path.parent)), encoding="utf-8")
    sign(path, example.key)
    yield attempt("a record with another profile, signed", lambda: verified(example, path))


Plant = Callable[[Path], str]
"""Puts something into a run folder and returns what must be named; "" where the certificate must be refused."""


def _instead(name: str, make: Callable[[Path], object]) -> tuple[str, Plant]:
    def plant(run: Path) -> str:
        kept = (run / name).rename(run.parent / "kept")
        make(run / name)
        del kept
        return ""

    return f"{make.__name__.strip('_')} in place of {name}", plant


def _beside(name: str, make: Callable[[Path], object], shown: str = "") -> tuple[str, Plant]:
    def plant(run: Path) -> str:
        (run / name).parent.mkdir(exist_ok=True)
        make(run / name)
        return shown or name

    return f"{make.__name__.strip('_')} {name!r} beside", plant


def _file(path: Path) -> None:
    path.write_text("CERTIFIED\n", encoding="utf-8")


def _link(path: Path) -> None:
    kept = path.parent.parent / "kept"
    path.symlink_to(kept if kept.exists() else "/etc/hostname")


def _hard_link(path: Path) -> None:
    outside = Path(*path.parts[: path.parts.index("copy")]) / "kept"
    if not outside.exists():
        outside.write_text("outside", encoding="utf-8")
    os.link(outside, path)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**13)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made_of:
            made_of.bind(path.name)
    finally:
        os.chdir(here)


KINDS = (_link, _hard_link, _dangling, _endless, _fifo, _folder, _socket, _sparse)
COVERED = (
    "run.json",
    "records.jsonl",
    "report.html",
    "logs/container-1.log",
    "certificate.json",
    "certificate.json.sig",
)
PLANTED: list[tuple[str, Plant]] = [
    *(_instead(name, kind) for kind in KINDS for name in COVERED if kind is not _hard_link or name in COVERED[:4]),
    *(_beside(f"logs/more-{kind.__name__}", kind) for kind in KINDS if kind is not _folder),
    *(_beside(name, _file) for name in ("notes.txt", "report.html.bak", ".hidden", "more/deep.txt", "-rf", "*")),
    _beside("a\x1b[2Jb", _file, "a\\x1b[2Jb"),
    _beside("a\nVERIFIED", _file, "a\\nVERIFIED"),
    _beside("a\u202eb", _file, "a\\u202eb"),
    _beside("signed-report.json", _file),
    _beside("Notes.txt", _file),
]


def _planted(example: Example, plants: list[tuple[str, Plant]]) -> Iterator[Try]:
    for name, plant in plants:
        path = example.copy()
        (path.parent.parent / "kept").unlink(missing_ok=True)
        wanted = plant(path.parent)
        named: list[str] = []
        yield attempt(
            name,
            lambda path=path, named=named: named.extend(verified(example, path).uncovered),
            accepted=bool(wanted),
        )
        if wanted and not any(each == wanted or each.startswith(f"{wanted} (") for each in named):
            yield Try(f"{name}: named", Harm.WRONG, f"{wanted} is not among {named}")


def _commands(example: Example) -> Iterator[Try]:
    """Whole commands on what has no end."""
    signers = ("--allowed-signers", str(example.allowed))
    for kind in (_fifo, _endless, _folder, _sparse):
        for name, words in (
            ("certificate.json", ("verify", *signers)),
            ("certificate.json.sig", ("verify", *signers)),
            ("certificate.json", ("drift",)),
        ):
            path = example.copy()
            (path.parent / name).unlink()
            kind(path.parent / name)
            ended = dgxcert(words[0], path, *words[1:], folder=example.place)
            yield judged(f"{words[0]} with {kind.__name__} as {name}", ended, allowed=(1, 3))


ATTACK = Attack(
    "certificates",
    "changed bytes of statement, signature and evidence; statements by a listed key, by another, of an older run; "
    "links, FIFOs and sparse files among the evidence",
    tries,
)
