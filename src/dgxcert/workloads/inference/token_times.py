"""Token times: when each token of `model.generate` is ready, taken inside it, which tells prefill from decode.

A logits processor is called once per token, first when the prefill is done.
"""

import time
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device

if TYPE_CHECKING:
    import torch


class TokenTimes:
    """A logits processor that takes the time of each token of one call of `generate`, from its construction on.

    >>> times = TokenTimes(Device("cpu", 0, "CPU"))
    >>> for logits in ("logits of the first token", "logits of the second"):
    ...     _ = times(None, logits)
    >>> times.tokens, times.logits, times.time_to_first_token_s > 0
    (2, 'logits of the second', True)
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._times: list[Any] = []
        self.logits: torch.Tensor | None = None
        """Logits of the last token, (batch, vocabulary)."""
        self._take()

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":  # noqa: ARG002 (its call)
        """Called by `generate` with the logits of each next token, (batch, vocabulary), which it returns unchanged."""
        self._take()
        self.logits = scores
        return scores

    def _take(self) -> None:
        if self._device.kind != "cuda":
            self._times.append(time.perf_counter())
            return
        import torch

        # A clock of the host would read when the step was queued. An event is timed by the GPU in its stream, and is
        # read when all of them are done, so that nothing waits.
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device.index))
        self._times.append(event)

    @property
    def tokens(self) -> int:
        """How many tokens were timed."""
        return len(self._times) - 1

    @property
    def time_to_first_token_s(self) -> float:
        """Seconds from the call to the logits of the first token: the prefill. The device must be done."""
        return self._elapsed_s(0, 1)

    @property
    def decode_s(self) -> float:
        """Seconds from the first token's logits to the last one's: `tokens` - 1 steps. The device must be done."""
        return self._elapsed_s(1, -1)

    def _elapsed_s(self, first: int, last: int) -> float:
        start, end = self._times[first], self._times[last]
        return float(start.elapsed_time(end)) / 1e3 if self._device.kind == "cuda" else float(end - start)
