"""Encoding: the shipped tokenizer is the fast one, gives the token ids that it is known to give, and many texts at once
give what each gives alone."""

import time
from dataclasses import dataclass

from dgxcert.workloads.models import text

SENTENCE = "A Spark generates 17 tokens per second; Größe: 3 µm."
KNOWN: tuple[int, ...] = (
    33,
    433,
    80,
    292,
    75,
    314,
    269,
    264,
    267,
    270,
    221,
    17,
    23,
    498,
    291,
    264,
    820,
    27,
    221,
    39,
    82,
    128,
    115,
    128,
)
KNOWN += (254, 69, 26, 221, 19, 221, 127, 114, 77, 14)
"""Its token ids by the shipped tokenizer.json, worked out once; multi-byte letters fall apart into bytes."""
COPIES = 64


@dataclass(frozen=True)
class Encoding:
    """What the tokenizer gives for the sentence and for many texts, and how fast."""

    fast: bool
    kind: str
    ids: str
    known: str
    read_back: bool
    differing: int
    """Texts that give other ids among many than alone."""
    texts: int
    tokens_per_s: float


def run() -> Encoding:
    """Encode one known sentence, then the shipped prose many times over, together and one by one."""
    import tokenizers

    tokenizer = text.tokenizer()
    ids = tokenizer(SENTENCE)["input_ids"]
    texts = text.CORPUS.read_text(encoding="utf-8").split("\n\n") * COPIES
    begun = time.perf_counter()
    together = tokenizer(texts)["input_ids"]
    took_s = time.perf_counter() - begun
    alone = {each: tokenizer(each)["input_ids"] for each in set(texts)}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return Encoding(
        fast=bool(tokenizer.is_fast) and isinstance(backend, tokenizers.Tokenizer),
        kind=f"{type(tokenizer).__name__} on {type(backend).__module__}.{type(backend).__name__}",
        ids=" ".join(map(str, ids)),
        known=" ".join(map(str, KNOWN)),
        read_back=tokenizer.decode(ids) == SENTENCE,
        differing=sum(found != alone[each] for each, found in zip(texts, together, strict=True)),
        texts=len(texts),
        tokens_per_s=sum(map(len, together)) / took_s,
    )
