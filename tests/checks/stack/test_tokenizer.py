"""Tokenizer: it must be the fast one, and give the known ids, decoded and in a batch."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.workloads.stack import encoding

CHECK = check_file.load("stack/test_tokenizer").test_fast_tokenizer_gives_the_known_token_ids
HEALTHY = encoding.Encoding(True, "fast", "1 2", "1 2", True, 0, 64, 1e5)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"fast": False}, "fast tokenizer"),
        ({"ids": "1 3"}, "token ids"),
        ({"read_back": False}, "decodes to the same text"),
        ({"differing": 1}, "texts with other ids in the batch"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], change: dict[str, object], fault: str | None
) -> None:
    monkeypatch.setattr(encoding, "run", lambda *_: dataclasses.replace(HEALTHY, **change))
    judge(CHECK, fault)
