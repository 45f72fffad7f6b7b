"""Padding: a real tokenizer's input_ids and attention_mask, and logits with padding against logits without."""

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
MIN_SENSITIVITY = 30.0
"""The difference without the mask, in tolerances: a model that hardly reacts to padding would prove nothing."""


@dataclass(frozen=True)
class PaddingResult:
    """A padded batch, compared with each of its texts alone.

    Differences are the largest of a logit at a real token, in standard deviations of the logits.
    """

    wrong_values: int
    """Values of input_ids and attention_mask that are not what they must be."""
    values: int
    """How many there are of both."""
    with_mask: float
    """Difference with the attention mask."""
    without_mask: float
    """Difference without it: the control."""

    def require_sensitivity(self) -> None:
        """Raise Inconclusive where a model that ignores the mask would hardly differ either."""
        tolerance = numerics.path_tolerance("fp32").max or 0.0
        if self.without_mask < MIN_SENSITIVITY * tolerance:
            raise Inconclusive(
                f"without the mask the logits changed by only {self.without_mask:.2g} of their deviation: "
                "this model is insensitive to padding",
                "Run the check again; if it stays insensitive, report it with the run folder.",
            )


def compare(device: Device, side: Side) -> PaddingResult:
    """Pad on the right, as for encoders, or on the left, as for decoders, and compare with each text alone."""
    import torch

    tokenizer = text.tokenizer()
    tokenizer.padding_side = side
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    rows = [tokenizer(sentence)["input_ids"] for sentence in TEXTS]
    ids, mask = batch["input_ids"], batch["attention_mask"]
    expected_ids, expected_mask = pad(rows, side, tokenizer.pad_token_id)
    wrong_values = int((ids != expected_ids).sum() + (mask != expected_mask).sum())
    model = _model(device, side, len(tokenizer))
    with torch.no_grad(), numerics.exact_matmul():
        alone = [_logits(model, device, row[None], torch.ones_like(row[None]))[0] for row in map(torch.tensor, rows)]
        masked = _logits(model, device, ids, mask)
        unmasked = _logits(model, device, ids, mask, attends_to=torch.ones_like(mask))
    real = [row.bool() for row in expected_mask]
    differences = _largest_difference(masked, alone, real), _largest_difference(unmasked, alone, real)
    return PaddingResult(wrong_values, 2 * ids.numel(), *differences)


def pad(rows: list[list[int]], side: Side, pad_token_id: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """The expected input_ids and attention_mask of token ids, each of shape (texts, longest).

    >>> ids, mask = pad([[7, 8, 9], [5]], "left", pad_token_id=0)
    >>> ids.tolist(), mask.tolist()
    ([[7, 8, 9], [0, 0, 5]], [[1, 1, 1], [0, 0, 1]])
    """
    import torch

    longest = max(map(len, rows))
    ids, mask = [], []
    for row in rows:
        fill = longest - len(row)
        padding = [pad_token_id] * fill
        ids.append([*row, *padding] if side == "right" else [*padding, *row])
        mask.append([1] * len(row) + [0] * fill if side == "right" else [0] * fill + [1] * len(row))
    return torch.tensor(ids), torch.tensor(mask)


def _model(device: Device, side: Side, vocabulary: int) -> Any:
    """A DistilBERT for padding on the right, a Llama for padding on the left, both small and with random weights."""
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
    """Logits in fp64 on the CPU, of shape (texts, longest, vocabulary); `attends_to` replaces the mask."""
    # A decoder counts positions from the first real token, as `generate` does; an encoder has fixed ones.
    positions = {} if model.config.model_type == "distilbert" else {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    inputs = {"input_ids": ids, "attention_mask": mask if attends_to is None else attends_to, **positions}
    logits: torch.Tensor = model(**{name: values.to(device.name) for name, values in inputs.items()}).logits
    return logits.double().cpu()


def _largest_difference(batch: "torch.Tensor", alone: "list[torch.Tensor]", real: "list[torch.Tensor]") -> float:
    """The largest difference of a logit at a real token, in standard deviations of its text's logits.

    Raises what `numerics.relative_error` raises.
    """
    pairs = [(row[keep], single) for row, single, keep in zip(batch, alone, real, strict=True)]
    for logits, single in pairs:
        numerics.relative_error(logits, single)  # for its checks only: `max` would lose a NaN
    return max(float((logits - single).abs().max() / single.std()) for logits, single in pairs)
