"""A signed run to attack, in a folder of its own, and how what came of an attempt to verify it is judged."""

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

from attacks.attack import Harm, Missing, Try
from suites import certified

from dgxcert import report
from dgxcert.certificate import signed_run
from dgxcert.certificate.refusal import Refused
from dgxcert.certificate.signed_run import Verified
from dgxcert.certificate.statement import combined_digest
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
LIMIT_S = 20
NAMESPACE = "dgxcert-certificate"
Document = dict[str, Any]


class Late(BaseException):
    """An attempt took longer than LIMIT_S; no `except Exception` stops it."""


@dataclass(frozen=True)
class Example:
    """A certificate in its run folder, its key, a key that no list has, and the list of allowed signers."""

    place: Path
    certificate: Path
    key: Path
    stranger: Path
    allowed: Path

    def copy(self) -> Path:
        """The certificate in a fresh copy of its run folder."""
        shutil.rmtree(self.place / "copy", ignore_errors=True)
        return shutil.copytree(self.certificate.parent, self.place / "copy") / self.certificate.name

    def document(self) -> Document:
        """The statement, to be changed."""
        document: Document = json.loads(self.certificate.read_text(encoding="utf-8"))
        return document


@contextlib.contextmanager
def made(place: Path) -> Iterator[Example]:
    """A certificate of this checkout, taken for an unmodified clone. Raises Missing without ssh-keygen."""
    if shutil.which("ssh-keygen") is None:
        raise Missing("there is no ssh-keygen")
    mine, every = certified.ours(), certified.catalogue()
    with (
        mock.patch.object(suite, "identity", return_value=mine),
        mock.patch.object(suite, "collect", return_value=every),
        mock.patch.object(report, "write_all", return_value=[]),  # drawing takes seconds and is not attacked here
    ):
        key, stranger = new_key(place / "ada"), new_key(place / "eve")
        allowed = place / "allowed_signers"
        allowed.write_text(f"ada@lab {public(key)}\n", encoding="ascii")
        run = certified.folder(place / "run")
        (run / "report.html").write_text("<p>CERTIFIED</p>\n", encoding="utf-8")
        yield Example(place, signed_run.sign(run, key, 365, NOW, lambda _: None), key, stranger, allowed)


def new_key(path: Path, *words: str) -> Path:
    """A key pair; without words an Ed25519 one."""
    kind = words or ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-C", "attack", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    """Type and base64 of the public half of a key."""
    return " ".join(key.with_suffix(".pub").read_text(encoding="ascii").split()[:2])


def sign(path: Path, key: Path, namespace: str = NAMESPACE) -> None:
    """Sign a file as it is, whatever it says."""
    path.with_name(path.name + ".sig").unlink(missing_ok=True)
    words = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(path)]
    subprocess.run(words, check=True, capture_output=True)


def covering(document: Document, folder: Path) -> Document:
    """The statement with the digests of the files as they are: what a signer of forged evidence writes."""
    digests = {
        each["name"]: hashlib.sha256((folder / each["name"]).read_bytes()).hexdigest() for each in document["subject"]
    }
    document["subject"] = [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()]
    document["predicate"]["dgxcert"]["evidence_sha256"] = combined_digest(digests)
    return document


def attempt(name: str, act: Callable[[], object], *, accepted: bool | None = False) -> Try:
    """What came of an attempt that must be refused; `accepted`: that must succeed, None: that may.

    Anything but a refusal in one line is a traceback, and more than LIMIT_S a hang.
    """
    before = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        act()
    except (Refused, CannotStart) as refusal:
        shown = str(refusal)
        if accepted:
            return Try(name, Harm.WRONG, f"refused: {shown}")
        one_line = "\n" not in shown and len(shown) < 3000
        return Try(name) if one_line else Try(name, Harm.WRONG, f"not one line: {shown[:3000]}")
    except Late:
        return Try(name, Harm.HANG)
    except Exception:
        return Try(name, Harm.TRACEBACK, traceback.format_exc()[-1500:])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return Try(name, Harm.WRONG, "it was accepted") if accepted is False else Try(name)


def verified(example: Example, path: Path, **more: Any) -> Verified:
    """Verify a file with the example's list, a month after it was signed."""
    return signed_run.verify(path, more.pop("allowed", example.allowed), more.pop("now", LATER), **more)


def _late(number: int, frame: FrameType | None) -> None:
    raise Late
