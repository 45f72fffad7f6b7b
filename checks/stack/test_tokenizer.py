"""Tokenizer: the fast implementation is used, and it gives the known token ids."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import encoding


@requirement(
    "TOKENIZERS-FAST",
    title="The fast tokenizer gives the known token ids",
    why="With other token ids than in its training a model generates nonsense; the slow tokenizer needs hours for a "
    "data set.",
    remedy=(
        "Print the versions, in `make shell`: "
        "python -c 'import tokenizers, transformers; print(tokenizers.__version__, transformers.__version__)'",
        *lockfile.RESTORE,
    ),
)
def test_fast_tokenizer_gives_the_known_token_ids(evidence):
    evidence.advise(*lockfile.advice())
    result = encoding.run()
    fast = evidence.record("fast tokenizer", result.fast, source=result.kind)
    source = f"tokenizer.json that ships with dgxcert: {encoding.SENTENCE}"
    ids = evidence.record("token ids", result.ids, source=source)
    decoded = evidence.record("decodes to the same text", result.read_back, source="decode of these ids")
    batch = f"{result.texts} texts in one batch and each alone"
    differing = evidence.record("texts with other ids in the batch", result.differing, source=batch)
    evidence.record("speed", result.tokens_per_s, unit="token/s", source=batch)
    assert fast.holds()
    assert ids == result.known
    assert decoded.holds()
    assert differing == 0
