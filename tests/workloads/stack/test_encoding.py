"""Encoding: the fast tokenizer of this environment gives the known token ids."""

from dgxcert.workloads.stack import encoding


def test_fast_tokenizer_gives_the_known_ids() -> None:
    encoded = encoding.run()
    assert encoded.fast
    assert encoded.ids == encoded.known
