"""Marks: when each token of `model.generate` came, taken inside it, so that reading and writing can be told apart.

A logits processor is called once per token, first when the prompt has been read. On a GPU a mark is an event in its
stream, which costs no waiting; all of them are read when the device is done.
"""

import time
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device

if TYPE_CHECKING:
    import torch


class Marks:
    """The marks of one call of `generate`, from its beginning on, and the logits of the last token."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._taken: list[Any] = []
        self.logits: torch.Tensor | None = None
        self._take()

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":  # noqa: ARG002 (its call)
        """What `generate` calls with the logits of each next token, (batch, vocabulary): unchanged."""
        self._take()
        self.logits = scores
        return scores

    def _take(self) -> None:
        if self._device.kind != "cuda":
            self._taken.append(time.perf_counter())
            return
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device.index))
        self._taken.append(event)

    @property
    def tokens(self) -> int:
        """How many tokens were marked."""
        return len(self._taken) - 1

    @property
    def to_first_s(self) -> float:
        """Seconds from the call to the first token's logits; the device must be done."""
        return self._between(0, 1)

    @property
    def writing_s(self) -> float:
        """Seconds from the first token's logits to the last one's: `tokens` - 1 steps; the device must be done."""
        return self._between(1, -1)

    def _between(self, first: int, last: int) -> float:
        begin, end = self._taken[first], self._taken[last]
        return float(begin.elapsed_time(end)) / 1e3 if self._device.kind == "cuda" else float(end - begin)
