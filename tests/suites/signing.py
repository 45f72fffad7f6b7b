"""Keys, signatures and refusals for tests of signed runs."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from needs import missing
from suites.example import finished

from dgxcert.certificate import signed_run
from dgxcert.certificate.refusal import Refused
from dgxcert.outcome import Outcome

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
FULL = finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free")


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    """Generate a key pair; the private key is at the path."""
    if shutil.which("ssh-keygen") is None:
        missing("ssh-keygen", "Run: sudo scripts/system-packages")
    arguments = ["-q", "-t", kind, "-N", passphrase, "-C", "of a test", "-f", str(path)]
    subprocess.run(["ssh-keygen", *arguments], check=True)
    return path


def allowed_signers(path: Path, *keys: Path, options: str = "") -> Path:
    """Write an allowed signers file in which these keys are ada@lab's."""
    lines = [f"ada@lab {options} {key.with_suffix('.pub').read_text(encoding='ascii')}" for key in keys]
    path.write_text("".join(lines), encoding="ascii")
    return path


def refusal(path: Path, allowed: Path, now: datetime = LATER, **more: object) -> str:
    """The problem that a signed file is refused for."""
    with pytest.raises(Refused) as raised:
        signed_run.verify(path, allowed, now, **more)  # type: ignore[arg-type]
    return raised.value.problem


def sign_as(path: Path, key: Path, namespace: str) -> None:
    """Sign a file again, for another namespace."""
    path.with_name(path.name + ".sig").unlink()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, path], check=True)
