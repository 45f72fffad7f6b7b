"""Encoding: token ids of the shipped fast tokenizer, of one known sentence and of many texts at once and one by one."""

import time
from dataclasses import dataclass

from dgxcert.probes.stack import intruder
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
"""Its token ids by the shipped tokenizer.json; letters of several bytes become one token per byte."""
COPIES = 64


@dataclass(frozen=True)
class Encoding:
    """Token ids of the sentence and of many texts, and the tokenizer's speed."""

    fast: bool
    """Whether it is a fast tokenizer, backed by the Rust library `tokenizers`."""
    kind: str
    """Its class and that of its backend."""
    ids: str
    known: str
    """What `ids` must be."""
    read_back: bool
    """Whether decoding the ids gives the sentence."""
    differing: int
    """Texts whose ids in a batch differ from their ids alone."""
    texts: int
    tokens_per_s: float


@intruder.named()
def run() -> Encoding:
    """Encode one known sentence, then the paragraphs of the shipped prose many times, in one batch and one by one."""
    import tokenizers

    tokenizer = text.tokenizer()
    ids = tokenizer(SENTENCE)["input_ids"]
    texts = text.CORPUS.read_text(encoding="utf-8").split("\n\n") * COPIES
    start = time.perf_counter()
    batch = tokenizer(texts)["input_ids"]
    took_s = time.perf_counter() - start
    alone = {paragraph: tokenizer(paragraph)["input_ids"] for paragraph in set(texts)}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return Encoding(
        fast=bool(tokenizer.is_fast) and isinstance(backend, tokenizers.Tokenizer),
        kind=f"{type(tokenizer).__name__} on {type(backend).__module__}.{type(backend).__name__}",
        ids=" ".join(map(str, ids)),
        known=" ".join(map(str, KNOWN)),
        read_back=tokenizer.decode(ids) == SENTENCE,
        differing=sum(row != alone[paragraph] for paragraph, row in zip(texts, batch, strict=True)),
        texts=len(texts),
        tokens_per_s=sum(map(len, batch)) / took_s,
    )
