"""Training text: rows of tokens for LoRA, from prose and a tokenizer that ship with the package."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent / "data"
CORPUS = HERE / "corpus.txt"
TOKENIZER = HERE / "tokenizer.json"
END = "<eos>"
LEAST_ROWS = 64
"""The prose is repeated until it fills this number of rows."""


def tokenizer() -> Any:
    """The shipped byte-level BPE tokenizer, as transformers users load one."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER), eos_token=END, pad_token=END)


def rows(length: int, vocabulary: int) -> "Dataset":
    """A `datasets.Dataset` in torch format whose `input_ids` are packed rows of exactly `length` tokens.

    Raises ValueError where the tokenizer has more tokens than `vocabulary`.
    """
    import datasets

    tokenize = tokenizer()
    if len(tokenize) > vocabulary:
        raise ValueError(f"the tokenizer has {len(tokenize)} tokens, the model only {vocabulary}")
    paragraphs = CORPUS.read_text(encoding="utf-8").strip().split("\n\n")
    prose = datasets.Dataset.from_dict({"text": [" ".join(paragraph.split()) for paragraph in paragraphs]})
    tokens = prose.map(lambda batch: tokenize([text + END for text in batch["text"]]), batched=True)
    stream = [token for ids in tokens["input_ids"] for token in ids]
    stream *= LEAST_ROWS * length // len(stream) + 1
    packed = [stream[start : start + length] for start in range(0, len(stream) - length + 1, length)]
    return datasets.Dataset.from_dict({"input_ids": packed}).with_format("torch")
