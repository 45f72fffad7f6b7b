"""Tokenizer: the fast one, and it gives the token ids that it is known to give."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import encoding


@requirement(
    "TOKENIZERS-FAST",
    why="Other token ids than the model was trained on give nonsense; the slow tokenizer makes a data set take hours.",
    remedy=(
        "Look: python -c 'import tokenizers, transformers; print(tokenizers.__version__, transformers.__version__)'",
        "Install the stack as it is pinned: make clean setup; or use the container: make validate",
    ),
    takes_s=2,
)
def test_the_tokenizer_is_the_fast_one_and_right(evidence):
    evidence.advise(*lockfile.advice("tokenizers", "transformers"))
    found = encoding.run()
    fast = evidence.record("fast tokenizer", found.fast, source=found.kind)
    ids = evidence.record("token ids", found.ids, source=f"tokenizer.json that ships with dgxcert: {encoding.SENTENCE}")
    back = evidence.record("reads back as it was", found.read_back, source="decode of these ids")
    how = f"{found.texts} texts at once and each alone"
    differing = evidence.record("texts with other ids among many", found.differing, source=how)
    evidence.record("speed", found.tokens_per_s, unit="token/s", source=how)
    assert fast.holds()
    assert ids == found.known
    assert back.holds()
    assert differing == 0
