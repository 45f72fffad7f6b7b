"""Lists of signers, revoked keys and armor: what is accepted is what ssh-keygen accepts of the whole list, too."""

import base64
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

from attacks.attack import Attack, Harm, Try
from attacks.certificates import changed
from attacks.signed_example import LATER, NAMESPACE, Example, attempt, made, new_key, public, sign, verified

from dgxcert.certificate.refusal import Refused
from dgxcert.certificate.ssh import allowed_signers, armor, key, revoked_keys
from dgxcert.certificate.ssh import signature as ssh_signature
from dgxcert.certificate.ssh.signature import Signer
from dgxcert.outcome import CannotStart

LINES, QUICK_LINES = 8000, 500
LISTS, QUICK_LISTS = 700, 25
ENDLESS = "/dev/zero"


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """All attacks on what tells whose signature it is."""
    chance = random.Random(seed)
    with made(folder) as example:
        yield from _parsers(example, chance, QUICK_LINES if quick else LINES)
        yield from _lists(example, chance, QUICK_LISTS if quick else LISTS)
        yield from _said(example)
        yield from _unfit(example, folder)
        yield from _revoked(example, folder, chance, 10 if quick else 200)
        if not quick:
            yield from _weak_keys(example, folder)
            yield from _authorities(example, folder)


def _parsers(example: Example, chance: random.Random, count: int) -> Iterator[Try]:
    """The readers of lines, armor, keys and revoked keys: a value, or a ValueError with a sentence."""
    line = example.allowed.read_bytes().strip()
    signature = example.certificate.with_name(example.certificate.name + ".sig").read_bytes()
    blob = base64.b64decode(line.split()[-1])
    for number in range(count):
        kind = number % 4
        content = changed([line, signature, blob, line][kind], chance)
        try:
            text = content.decode("utf-8", errors="replace")
            if kind == 0:
                allowed_signers.parse(text, 1)
            elif kind == 1:
                armor.parse(text)
            elif kind == 2:
                key.parse(content)
            else:
                revoked_keys.lists(content, key.parse(blob), Path("revoked"))
        except (ValueError, CannotStart) as error:
            yield Try(f"parser {number}") if str(error).strip() else Try(f"parser {number}", Harm.WRONG, "no reason")
        except Exception as error:
            yield Try(f"parser {number}", Harm.TRACEBACK, f"{type(error).__name__}: {error}: {content[:200]!r}")
        else:
            yield Try(f"parser {number}")


def _asked(example: Example, content: bytes) -> Signer:
    """Who signed by a list of this content; only the signature is verified, which is quick."""
    example.place.joinpath("list").write_bytes(content)
    statement = example.certificate.read_bytes()
    return ssh_signature.verify(example.certificate, statement, example.place / "list", (NAMESPACE,), LATER)[0]


def _by_ssh_keygen(example: Example, principal: str) -> bool:
    """Whether ssh-keygen accepts the signature by the same list, whoever it may be that signed."""
    sig = str(example.certificate) + ".sig"
    listing = str(example.place / "list")
    words = ["ssh-keygen", "-Y", "verify", "-f", listing, "-I", principal, "-n", NAMESPACE, "-s", sig]
    with example.certificate.open("rb") as statement:
        return subprocess.run(words, stdin=statement, capture_output=True, check=False).returncode == 0


def _lists(example: Example, chance: random.Random, count: int) -> Iterator[Try]:
    """Changed lists: whoever is named as the signer, ssh-keygen accepts by the unchanged whole."""
    ours, other = public(example.key), public(example.stranger)
    for number in range(count):
        options = chance.choice(
            ["", 'namespaces="dgxcert-*" ', 'namespaces="git" ', 'valid-before="20200101" ', "junk "]
        )
        who = chance.choice(["ada@lab", "*@lab", "!ada@lab", "*,!eve@lab", "a?a@lab", "ada@lab,eve@lab"])
        lines = [f"{who} {options}{ours}", f"eve@lab {other}", "# a comment", "", f"bob@lab {ours}x", "junk"]
        chance.shuffle(lines)
        content = "\n".join(lines[: chance.randrange(1, 7)]).encode()
        if number % 2:
            content = changed(content or b"#", chance)
        yield _compared(example, f"list {number}", content)


def _compared(example: Example, name: str, content: bytes) -> Try:
    found: list[Signer] = []
    came = attempt(name, lambda: found.append(_asked(example, content)), accepted=None)
    if not found:
        return came
    principal = found[0].principal.split(" or ")[0].split(",")[0].replace("*", "x").replace("?", "x")
    return came if _by_ssh_keygen(example, principal) else Try(name, Harm.WRONG, f"{found[0]} by {content!r}")


def _said(example: Example) -> Iterator[Try]:
    """What each kind of list must be told about, and in which words."""
    ours, other = public(example.key), public(example.stranger)
    future, past = 'valid-after="20990101"', 'valid-before="20200101"'
    for name, content, words in (
        ("another's", f"eve@lab {other}", "does not list"),
        ("empty", "", "does not list"),
        ("only excluded", f"!ada@lab {ours}", "names nobody who may sign"),
        ("another namespace", f'ada@lab namespaces="git" {ours}', "its namespaces are without"),
        ("expired", f"ada@lab {past} {ours}", "not valid at this time"),
        ("not yet", f"ada@lab {future} {ours}", "not valid at this time"),
        ("an authority", f"ada@lab cert-authority {ours}", "as an authority for other keys"),
        ("an option", f"ada@lab no-touch-required {ours}", "option no-touch-required is not one of"),
        ("an option twice", f'ada@lab namespaces="dgxcert-*",namespaces="x" {ours}', "multiple"),
        ("a date that is none", f'ada@lab valid-after="soon" {ours}', "valid-after"),
        ("a byte order mark", f"\ufeffada@lab {ours}", "byte order mark"),
        ("the key first", ours, "it begins with the key"),
        ("no key", "ada@lab", "it has no key"),
        ("junk", "junk junk junk", "is not an allowed signers file"),
        ("a broken key", f"ada@lab {ours[:-8]}", "line 1"),
        ("another type", f"ada@lab ssh-rsa {ours.split()[1]}", "its key is of type ssh-ed25519, not ssh-rsa"),
        ("a colour", f"\x1b[31mada@lab {ours}", "does not print"),
        ("sixty times", f"ada@lab {ours}\n" * 60, "60 times"),
        ("a line without end", f"{'a' * 100_000} {ours}", "characters, and at most"),
    ):
        yield _refused_as(example, name, content.encode(), words)
    for name, content, principal in (
        ("CRLF", f"ada@lab {ours}\r\n", "ada@lab"),
        ("a comment after", f"ada@lab {ours} Ada's laptop\n# end", "ada@lab"),
        ("listed for two", f"ada@lab {ours}\nbob@lab {ours}", "ada@lab or bob@lab"),
        ("one line expired", f"ada@lab {past} {ours}\nbob@lab {ours}", "bob@lab"),
        ("one line for git", f'ada@lab namespaces="git" {ours}\nbob@lab {ours}', "bob@lab"),
        ("all but one", f"*@lab,!eve@lab {ours}", "*@lab, not eve@lab"),
        ("junk beside", f"junk\nada@lab {ours}", "ada@lab"),
        ("capitals", f'ada@lab NAMESPACES="dgxcert-*" {ours}', "ada@lab"),
    ):
        found: list[Signer] = []
        yield attempt(
            name, lambda content=content, found=found: found.append(_asked(example, content.encode())), accepted=True
        )
        if found and found[0].principal != principal:
            yield Try(name, Harm.WRONG, f"{found[0]}")


def _refused_as(example: Example, name: str, content: bytes, words: str) -> Try:
    try:
        _asked(example, content)
    except (Refused, CannotStart) as refusal:
        return Try(name) if words in str(refusal) else Try(name, Harm.WRONG, f"{words!r} is not in: {refusal}")
    except Exception as error:
        return Try(name, Harm.TRACEBACK, repr(error))
    return Try(name, Harm.WRONG, "it was accepted")


def _unfit(example: Example, folder: Path) -> Iterator[Try]:
    """Lists and revoked keys that are no files, have no end, or are no text."""
    os.mkfifo(folder / "fifo")
    with (folder / "huge").open("wb") as file:
        file.truncate(10**8)
    (folder / "latin-1").write_bytes(b"ada@lab caf\xe9 ssh-ed25519 AAAA\n")
    (folder / "dangling").symlink_to("nowhere")
    for name in ("fifo", "huge", "latin-1", "dangling", "none", "run", ENDLESS):
        path = folder / name
        yield attempt(f"signers: {name}", lambda path=path: verified(example, example.certificate, allowed=path))
        yield attempt(f"revoked: {name}", lambda path=path: verified(example, example.certificate, revoked=path))


def _revoked(example: Example, folder: Path, chance: random.Random, count: int) -> Iterator[Try]:
    """Revoked keys: nothing damaged is taken for a list that revokes nothing, or that revokes this key."""
    ours, other, path = public(example.key), public(example.stranger), folder / "revoked"
    krls = {}
    for name, public_key in (("ours", example.key), ("other", example.stranger)):
        subprocess.run(["ssh-keygen", "-q", "-k", "-f", folder / name, public_key.with_suffix(".pub")], check=True)
        krls[name] = (folder / name).read_bytes()
    for name, content, words in (
        ("ours", ours.encode(), "revokes the key"),
        ("ours among others", f"# left\n{other}\r\n{ours} Ada\n".encode(), "revokes the key"),
        ("a list of ours", krls["ours"], "revokes the key"),
        ("junk", b"junk", "is not a public key"),
        ("junk after", f"{other}\njunk".encode(), "line 2 is not a public key"),
        ("empty", b"", "is empty"),
        ("a fingerprint", b"SHA256:abc", "it is a fingerprint"),
        ("a specification", b"serial: 1-10", "specification"),
        ("bytes", bytes(range(128, 256)), "neither text in UTF-8 nor"),
        ("a list cut short", krls["ours"][:-30], "damaged key revocation list"),
        ("the beginning of a list", krls["other"][:12], "damaged key revocation list"),
    ):
        path.write_bytes(content)
        try:
            verified(example, example.certificate, revoked=path)
        except (Refused, CannotStart) as refusal:
            yield Try(f"revoked: {name}") if words in str(refusal) else Try(name, Harm.WRONG, str(refusal))
        else:
            yield Try(f"revoked: {name}", Harm.WRONG, "it was accepted")
    for number in range(count):
        path.write_bytes(changed(krls["ours"] if number % 2 else ours.encode(), chance))
        yield attempt(f"revoked {number}", lambda: verified(example, example.certificate, revoked=path), accepted=None)
    for content in (other.encode(), krls["other"], b"# none\n"):
        path.write_bytes(content)
        yield attempt("revoked: others", lambda: verified(example, example.certificate, revoked=path), accepted=True)


def _weak_keys(example: Example, folder: Path) -> Iterator[Try]:
    """Keys that ssh-keygen accepts, and whose signatures prove little."""
    for name, words in (("rsa", ("-t", "rsa", "-b", "1024")), ("dsa", ("-t", "dsa"))):
        try:
            weak = new_key(folder / name, *words)
        except subprocess.CalledProcessError:
            continue  # this OpenSSH makes none of them
        path = example.copy()
        sign(path, weak)
        listed = folder / f"{name}-list"
        listed.write_text(f"ada@lab {public(weak)}\n", encoding="ascii")
        yield attempt(f"a key of {name}", lambda path=path, listed=listed: verified(example, path, allowed=listed))


def _authorities(example: Example, folder: Path) -> Iterator[Try]:
    """SSH certificates: only one for a user, in its time, for a principal that the list gives the authority."""
    authority, stranger = new_key(folder / "ca"), example.stranger
    listed = folder / "authorities"
    listed.write_text(f"*@lab,!bob@lab cert-authority {public(authority)}\n", encoding="ascii")
    for name, by, words, accepted in (
        ("for ada", authority, ("-n", "ada@lab"), True),
        ("for eve and ada", authority, ("-n", "eve@other,ada@lab"), True),
        ("for another", authority, ("-n", "eve@other"), False),
        ("for the excluded", authority, ("-n", "bob@lab"), False),
        ("for a pattern", authority, ("-n", "*@lab"), False),
        ("for nobody", authority, (), False),
        ("expired", authority, ("-n", "ada@lab", "-V", "20200101:20210101"), False),
        ("not yet", authority, ("-n", "ada@lab", "-V", "20990101:21000101"), False),
        ("for a host", authority, ("-n", "ada@lab", "-h"), False),
        ("restricted", authority, ("-n", "ada@lab", "-O", "source-address=10.0.0.0/8"), False),
        ("of another authority", stranger, ("-n", "ada@lab"), False),
    ):
        path = example.copy()
        _sign_certified(path, folder, by, words)
        yield attempt(
            f"SSH certificate {name}",
            lambda path=path: verified(example, path, allowed=listed),
            accepted=accepted,
        )
    path = example.copy()
    certificate = _sign_certified(path, folder, authority, ("-n", "ada@lab"))
    for name, line in (
        ("without cert-authority", f"*@lab {public(authority)}"),
        ("the certificate itself", f"ada@lab {certificate}"),
        ("the key alone", f"ada@lab {public(folder / 'user')}"),
    ):
        listed.write_text(line + "\n", encoding="ascii")
        yield attempt(f"listed: {name}", lambda: verified(example, path, allowed=listed))


def _sign_certified(path: Path, folder: Path, by: Path, words: tuple[str, ...]) -> str:
    """Sign with a key that an authority has certified, which only an agent does; the certificate as text."""
    user = folder / "user"
    if not user.exists():
        new_key(user)
    subprocess.run(["ssh-keygen", "-q", "-s", by, "-I", "of a test", *words, f"{user}.pub"], check=True)
    path.with_name(path.name + ".sig").unlink(missing_ok=True)
    script = 'ssh-add -q "$1" && exec ssh-keygen -q -Y sign -f "$1-cert.pub" -n "$2" "$3"'
    words_of_agent = ["ssh-agent", "sh", "-c", script, "-", str(user), NAMESPACE, str(path)]
    subprocess.run(words_of_agent, check=True, capture_output=True)
    return " ".join(Path(f"{user}-cert.pub").read_text(encoding="ascii").split()[:2])


ATTACK = Attack(
    "signers",
    "lists of signers compared with ssh-keygen, SSH certificates, weak keys, revoked keys and damaged lists of them",
    tries,
)
