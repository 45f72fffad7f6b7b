"""Token times: prefill and decode of a real `generate` add up, and the host's clock is read once per token."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.workloads.inference import token_times
from dgxcert.workloads.inference.token_times import TokenTimes

CPU = Device("cpu", 0, "CPU")


def test_prefill_ends_with_the_first_token_and_decode_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((100.0, 102.0, 102.5, 103.5))
    monkeypatch.setattr(token_times, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    times = TokenTimes(CPU)
    for logits in ("first", "second", "third"):
        assert times(None, logits) == logits, "logits are returned unchanged"  # type: ignore[arg-type]
    assert (times.tokens, times.logits) == (3, "third")
    assert (times.time_to_first_token_s, times.decode_s) == (2.0, 1.5)


class Event:
    """A CUDA event that is recorded at the next of the given milliseconds."""

    milliseconds: Iterator[float] = iter(())

    def __init__(self, **options: bool) -> None:
        assert options == {"enable_timing": True}

    def record(self, stream: str) -> None:
        self.stream, self.at = stream, next(Event.milliseconds)

    def elapsed_time(self, end: "Event") -> float:
        return end.at - self.at


def test_a_gpu_is_timed_by_events_in_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="events are torch's: make setup")
    monkeypatch.setattr(Event, "milliseconds", iter((10.0, 260.0, 270.0, 290.0)))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: f"stream of cuda:{index}")
    times = TokenTimes(Device("cuda", 3, "NVIDIA H100"))
    for _ in range(3):
        times(None, None)  # type: ignore[arg-type]
    assert (times.time_to_first_token_s, times.decode_s) == (0.25, 0.03)
    assert {event.stream for event in times._times} == {"stream of cuda:3"}


@pytest.mark.filterwarnings("ignore")  # what transformers warns about is not tested here
def test_generate_calls_it_once_per_token() -> None:
    torch = pytest.importorskip("torch", reason="generation needs torch: make setup")
    transformers = pytest.importorskip("transformers", reason="generation needs transformers: make setup")
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=64, n_positions=32)
    model: Any = transformers.GPT2LMHeadModel(config).eval()
    times = TokenTimes(CPU)
    ids = torch.zeros(2, 4, dtype=torch.long)
    options = {"attention_mask": torch.ones_like(ids), "min_new_tokens": 5, "max_new_tokens": 5, "do_sample": False}
    tokens = model.generate(ids, logits_processor=[times], pad_token_id=0, **options)
    assert tokens.shape == (2, 9)
    assert times.tokens == 5
    assert times.logits is not None
    assert times.logits.argmax(-1).tolist() == tokens[:, -1].tolist()
