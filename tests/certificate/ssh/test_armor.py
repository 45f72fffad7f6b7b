"""A signature is read only as ssh-keygen formats it, although ssh-keygen itself accepts other formats."""

import base64
import struct
import subprocess
from pathlib import Path

import pytest
from suites.signing import refusal

from dgxcert.certificate.ssh import armor as ssh_armor

REFORMATTED = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "an empty line at the end": lambda text: text + "\n",
    "a leading blank": lambda text: " " + text,
    "a blank in the base64": lambda text: text[:100] + " " + text[100:],
    "longer lines": lambda text: text.replace("\n", "", 3).replace("SIGNATURE-----", "SIGNATURE-----\n", 1),
    "empty": lambda _: "",
    "not ASCII": lambda _: "µ",
}


@pytest.mark.parametrize("name", REFORMATTED)
def test_a_reformatted_signature_is_refused(copied: Path, allowed: Path, name: str) -> None:
    """ssh-keygen itself accepts most of these."""
    path = copied.with_name(copied.name + ".sig")
    path.write_bytes(REFORMATTED[name](path.read_text(encoding="ascii")).encode())
    assert "was changed" in refusal(copied, allowed)


def test_key_and_namespace_are_read(signed: Path, key: Path) -> None:
    armor = ssh_armor.parse(signed.with_name(signed.name + ".sig").read_text(encoding="ascii"))
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", key.with_suffix(".pub")], capture_output=True, text=True, check=True
    )
    assert armor.namespace == "dgxcert-certificate"
    assert armor.key.fingerprint == listed.stdout.split()[1]


@pytest.mark.parametrize(
    ("blob", "problem"),
    [
        (b"SSHSIG" + struct.pack(">I", 2), "not an SSH signature of version 1"),
        (b"SSHSIG" + struct.pack(">I", 1), "has 0 fields, expected 5"),
        (b"SSHSIG" + struct.pack(">II", 1, 9) + b"cut", "truncated"),
    ],
)
def test_what_is_not_a_signature_is_refused(blob: bytes, problem: str) -> None:
    encoded = base64.b64encode(blob).decode("ascii")
    with pytest.raises(ValueError, match=problem):
        ssh_armor.parse(f"{ssh_armor.BEGIN}\n{encoded}\n{ssh_armor.END}\n")
