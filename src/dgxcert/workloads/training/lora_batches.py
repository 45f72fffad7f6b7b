"""LoRA's batches: rows of different lengths, padded as a data collator does it, or laid end to end.

Every batch of a set-up has rows of the same lengths, so that each step is the same work; within a batch they differ, as
texts do, since padding is a part of what is measured.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.workloads.models import text

if TYPE_CHECKING:
    import torch

BATCHES = 4
"""They come again and again, so that a loss can be compared with the one of the same rows before."""
IGNORED = -100
"""The label of what is not to be predicted: torch's cross entropy leaves it out."""
PADDING = 0
SEED = 17


@dataclass(frozen=True)
class Row:
    """One text: its token ids, and its class where it has one."""

    ids: tuple[int, ...]
    label: int | None = None


Batch = tuple[Row, ...]


def lengths(batch: int, longest: int) -> list[int]:
    """Tokens of each row of a batch: from the longest down to half of it, in even steps."""
    return [longest - place * (longest // 2) // max(1, batch - 1) for place in range(batch)]


def prose(batch: int, longest: int, vocabulary: int) -> tuple[Batch, ...]:
    """Batches of prose to be continued."""
    reader = text.tokenizer()
    end = reader.eos_token_id  # left out, since collators take it for padding
    stream = [token for row in text.rows(longest, vocabulary)["input_ids"] for token in row.tolist() if token != end]
    sizes, place, found = lengths(batch, longest), 0, []
    stream *= BATCHES * sum(sizes) // len(stream) + 1
    for _ in range(BATCHES):
        rows = []
        for size in sizes:
            rows.append(Row(tuple(stream[place : place + size])))
            place += size
        found.append(tuple(rows))
    return tuple(found)


def classified(batch: int, longest: int, vocabulary: int) -> tuple[Batch, ...]:
    """Batches of rows of two classes, each class with half of the words."""
    import torch

    generator, half = torch.Generator("cpu").manual_seed(SEED), vocabulary // 2
    found = []
    for _ in range(BATCHES):
        rows = []
        for place, size in enumerate(lengths(batch, longest)):
            ids = torch.randint(1, half, (size,), generator=generator) + (place % 2) * (half - 1)
            rows.append(Row(tuple(ids.tolist()), place % 2))
        found.append(tuple(rows))
    return tuple(found)


def row_lengths(batches: tuple[Batch, ...]) -> tuple[int, ...]:
    """Tokens of each row, which are the same in all batches."""
    found = {tuple(len(row.ids) for row in batch) for batch in batches}
    (same,) = found
    return same


def tokens(batch: Batch) -> int:
    """Real tokens of a batch, without padding."""
    return sum(len(row.ids) for row in batch)


def padded(rows: "Batch | list[Row]", width: int | None = None) -> "dict[str, torch.Tensor]":
    """What a collator makes of rows: `input_ids`, `attention_mask`, `labels`, padded to the longest or to `width`."""
    import torch

    widest = width or max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), widest), PADDING)
    mask = torch.zeros(len(rows), widest, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = torch.tensor(row.ids)
        mask[place, : len(row.ids)] = 1
    classes = [row.label for row in rows if row.label is not None]
    labels = torch.tensor(classes) if classes else ids.masked_fill(mask == 0, IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def packed(rows: Batch) -> "dict[str, torch.Tensor]":
    """The same rows end to end as one, (1, tokens): positions begin anew with each, and no row predicts the next."""
    import torch

    ids = torch.tensor([token for row in rows for token in row.ids])[None]
    positions = torch.cat([torch.arange(len(row.ids)) for row in rows])[None]
    return {"input_ids": ids, "position_ids": positions, "labels": ids.masked_fill(positions == 0, IGNORED)}


def on(device: Any, inputs: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The same on a device."""
    return {name: each.to(device.name) for name, each in inputs.items()}
