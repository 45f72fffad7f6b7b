"""Padding: a real tokenizer's input_ids and attention_mask, and that a model's answer does not depend on padding."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads import numerics
from dgxcert.workloads.models import encoders, text

if TYPE_CHECKING:
    import torch

Side = Literal["right", "left"]

TEXTS = (
    "A short one.",
    "For each token every weight is read from memory once, and nothing can make this faster.",
    "A smaller weight, four bits instead of sixteen, means less to read and a faster answer, since most of the time "
    "one of three things runs out: memory, bandwidth or arithmetic.",
)
SIZES = {"layers": 2, "hidden": 64, "heads": 4, "intermediate": 128}
SIGHT = 30.0
"""Without the mask the difference must be so many tolerances, or else this looks at nothing."""


@dataclass(frozen=True)
class Padded:
    """`misplaced` counts tokens and marks that are not where they must be.

    The differences are the largest between the logits of a text alone and in a padded batch, at its real positions,
    in standard deviations of the logits: with the attention mask, and, as a control, without it.
    """

    misplaced: int
    places: int
    with_mask: float
    without_mask: float

    def require_sight(self) -> None:
        """Raise Inconclusive where even ignoring the mask barely shows: what cannot see a fault proves nothing."""
        tolerance = numerics.path_tolerance("fp32").max or 0.0
        if self.without_mask < SIGHT * tolerance:
            raise Inconclusive(
                f"leaving out the mask changed the logits by no more than {self.without_mask:.2g} of their deviation, "
                "so this model is blind to padding",
                "Run it again; if it stays blind, report it with the run folder.",
            )


def compare(device: Device, side: Side) -> Padded:
    """Pad on the right, as encoders are fed, or on the left, as decoders are, and compare with each text alone."""
    import torch

    reader = text.tokenizer()
    reader.padding_side = side
    batch = reader(list(TEXTS), padding=True, return_tensors="pt")
    alone = [reader(each)["input_ids"] for each in TEXTS]
    ids, mask = batch["input_ids"], batch["attention_mask"]
    wanted_ids, wanted_mask = _by_hand(alone, side, reader.pad_token_id)
    misplaced = int((ids != wanted_ids).sum() + (mask != wanted_mask).sum())
    model = _model(device, side, len(reader))
    with torch.no_grad(), numerics.exact_products():
        single = [_logits(model, device, row[None], torch.ones_like(row[None]))[0] for row in map(torch.tensor, alone)]
        masked = _logits(model, device, ids, mask)
        blind = _logits(model, device, ids, mask, attends_to=torch.ones_like(mask))
    real = [row.bool() for row in wanted_mask]
    return Padded(misplaced, 2 * ids.numel(), _largest(masked, single, real), _largest(blind, single, real))


def _by_hand(alone: list[list[int]], side: Side, pad: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """What ids and mask must be, of shape (texts, longest)."""
    import torch

    longest = max(map(len, alone))
    ids, mask = [], []
    for row in alone:
        fill = longest - len(row)
        ids.append([*row, *[pad] * fill] if side == "right" else [*[pad] * fill, *row])
        mask.append([1] * len(row) + [0] * fill if side == "right" else [0] * fill + [1] * len(row))
    return torch.tensor(ids), torch.tensor(mask)


def _model(device: Device, side: Side, vocabulary: int) -> Any:
    """DistilBERT for the right side, a Llama for the left."""
    if side == "right":
        config = encoders.distilbert(vocabulary, **SIZES, initializer_range=encoders.SPREAD)
        return encoders.build(device, "DistilBertForMaskedLM", config)
    from transformers import LlamaConfig

    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(
        vocab_size=vocabulary, intermediate_size=128, initializer_range=encoders.SPREAD, use_cache=False, **sizes
    )
    return encoders.build(device, "LlamaForCausalLM", config)


def _logits(
    model: Any, device: Device, ids: "torch.Tensor", mask: "torch.Tensor", attends_to: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """Logits on the CPU. A decoder counts positions from the first real token, as `generate` does."""
    places = {} if model.config.model_type == "distilbert" else {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    inputs = {"input_ids": ids, "attention_mask": mask if attends_to is None else attends_to, **places}
    found: torch.Tensor = model(**{name: each.to(device.name) for name, each in inputs.items()}).logits
    return found.double().cpu()


def _largest(batch: "torch.Tensor", single: "list[torch.Tensor]", real: "list[torch.Tensor]") -> float:
    """The largest difference of any text; raises Wrong for logits that are not finite numbers."""
    pairs = [(row[keep], alone) for row, alone, keep in zip(batch, single, real, strict=True)]
    for found, alone in pairs:
        numerics.relative_error(found, alone)
    return max(float((found - alone).abs().max() / alone.std()) for found, alone in pairs)
