"""Tokens with a mark of their maker, and words that only look like one."""

import base64
import random
import string

import pytest

from dgxcert.redaction import makers, scrubber

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
TOKENS = (
    ("github_pat_", 22, LETTERS),
    ("glptt-", 40, HEX),
    ("xapp-1-A", 60, LETTERS),
    ("sk-or-v1-", 64, HEX),
    ("sk-proj-", 90, LETTERS + "-_"),
    ("sk-ant-oat01-", 90, LETTERS + "-_"),
    ("dop_v1_", 64, HEX),
    ("dapi", 32, HEX),
    ("hvs.", 90, LETTERS),
    ("GOCSPX-", 28, LETTERS),
    ("shpat_", 32, HEX),
    ("AKIA", 16, string.ascii_uppercase),
    ("IQoJb3JpZ2luX2VjE", 300, LETTERS + "+/"),
    ("unknown_", 30, LETTERS),
)
HEALTHY = (
    "sha256:{hex}",
    "sha512-{base64}",
    "dgxcert/a.py,sha256={urlsafe},1234",
    "SHA256:{base64}",
    "pad-{hex}",
    "data:image/png;base64,{base64}",
    "torch-2.9.1+cu130-cp311-cp311-manylinux_2_28_aarch64.whl",
    "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF",
)


@pytest.mark.parametrize(("mark", "count", "letters"), TOKENS)
def test_a_marked_token_is_found_whole(mark: str, count: int, letters: str) -> None:
    dice = random.Random(mark)
    for _ in range(20):
        token = mark + "".join(dice.choices(letters, k=count - 1)) + ("7" if letters is HEX else "Z")
        left = scrubber.text(f"remote said: '{token}' is unknown")
        assert left == "remote said: '[secret]' is unknown"


@pytest.mark.parametrize("text", HEALTHY)
def test_what_only_looks_like_one_stays(text: str) -> None:
    dice = random.Random(text)
    for _ in range(200):
        raw = dice.randbytes(48)
        shown = text.format(
            hex=raw[:32].hex(), base64=base64.b64encode(raw).decode(), urlsafe=base64.urlsafe_b64encode(raw).decode()
        )
        assert scrubber.text(shown) == shown
        assert makers.spans(shown) == []
