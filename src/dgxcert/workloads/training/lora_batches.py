"""LoRA batches: rows of different lengths, padded as a data collator pads them, or packed end to end.

Every batch of a set-up has rows of the same lengths, so that each step is the same work; within a batch the lengths
differ, as texts do, since padding is part of what is measured.
"""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.workloads.models import text

if TYPE_CHECKING:
    import torch

BATCHES = 4
"""Distinct batches, which repeat, so that the loss of a batch can be compared with its own loss a cycle earlier."""
IGNORED = -100
"""The label that torch's cross entropy ignores."""
PADDING = 0
"""Token id of padding; the attention mask and IGNORED labels keep it out of every result."""
SEED = 17


@dataclass(frozen=True)
class Row:
    """One text: its token ids, and its class where it has one."""

    ids: tuple[int, ...]
    label: int | None = None


Batch = tuple[Row, ...]


def lengths(batch: int, longest: int) -> list[int]:
    """Tokens of each row of a batch: from the longest down to half of it, in even steps.

    >>> lengths(batch=4, longest=24)
    [24, 20, 16, 12]
    """
    return [longest - index * (longest // 2) // max(1, batch - 1) for index in range(batch)]


def prose(batch: int, longest: int, vocabulary: int, batches: int = BATCHES) -> tuple[Batch, ...]:
    """Batches of the shipped prose for a causal model; token ids are below `vocabulary`."""
    # Collators that mask padding by its token id would mask real end-of-text tokens too, so none is in the rows.
    eos = text.tokenizer().eos_token_id
    stream = [token for row in text.rows(longest, vocabulary)["input_ids"] for token in row.tolist() if token != eos]
    sizes = lengths(batch, longest)
    stream *= batches * sum(sizes) // len(stream) + 1
    tokens = iter(stream)
    return tuple(tuple(Row(tuple(itertools.islice(tokens, size))) for size in sizes) for _ in range(batches))


def classified(batch: int, longest: int, vocabulary: int) -> tuple[Batch, ...]:
    """Batches of random rows of two classes; each class uses its own half of the vocabulary."""
    import torch

    generator, half = torch.Generator("cpu").manual_seed(SEED), vocabulary // 2
    batches = []
    for _ in range(BATCHES):
        rows = []
        for index, length in enumerate(lengths(batch, longest)):
            label = index % 2
            ids = torch.randint(1, half, (length,), generator=generator) + label * (half - 1)
            rows.append(Row(tuple(ids.tolist()), label))
        batches.append(tuple(rows))
    return tuple(batches)


def row_lengths(batches: tuple[Batch, ...]) -> tuple[int, ...]:
    """Tokens of each row, which are the same in all batches.

    >>> row_lengths(((Row((1, 2, 3)), Row((4, 5))), (Row((6, 7, 8)), Row((9, 1)))))
    (3, 2)
    """
    (lengths_of_all,) = {tuple(len(row.ids) for row in batch) for batch in batches}
    return lengths_of_all


def tokens(batch: Batch) -> int:
    """Real tokens of a batch, without padding.

    >>> tokens((Row((1, 2, 3)), Row((4, 5))))
    5
    """
    return sum(len(row.ids) for row in batch)


def padded(rows: "Batch | list[Row]", width: int | None = None) -> "dict[str, torch.Tensor]":
    """Collate rows: `input_ids` and `attention_mask` of shape (rows, width), and `labels`.

    Rows are padded on the right to `width`, or to the longest. Labels are classes of shape (rows), or the token ids
    with padding IGNORED.

    >>> inputs = padded([Row((5, 6, 7)), Row((8,))])
    >>> inputs["input_ids"].tolist(), inputs["attention_mask"].tolist()
    ([[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    >>> inputs["labels"].tolist()
    [[5, 6, 7], [8, -100, -100]]
    """
    import torch

    width = width or max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), PADDING)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        mask[index, : len(row.ids)] = 1
    classes = [row.label for row in rows if row.label is not None]
    labels = torch.tensor(classes) if classes else ids.masked_fill(mask == 0, IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def packed(rows: Batch) -> "dict[str, torch.Tensor]":
    """Pack rows end to end into one: `input_ids`, `position_ids` and `labels` of shape (1, tokens).

    Positions restart with each row, and the first label of each row is IGNORED: the last token of one row must not
    predict the first of the next.

    >>> inputs = packed((Row((5, 6, 7)), Row((8, 9))))
    >>> inputs["position_ids"].tolist(), inputs["labels"].tolist()
    ([[0, 1, 2, 0, 1]], [[-100, 6, 7, -100, 9]])
    """
    import torch

    ids = torch.tensor([token for row in rows for token in row.ids])[None]
    positions = torch.cat([torch.arange(len(row.ids)) for row in rows])[None]
    return {"input_ids": ids, "position_ids": positions, "labels": ids.masked_fill(positions == 0, IGNORED)}


def to_device(device: Any, inputs: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """A copy of a batch on a device."""
    return {name: values.to(device.name) for name, values in inputs.items()}
