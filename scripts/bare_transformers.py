"""Bare transformers programs that bench_harness.py and bench_peers.py compare with. Prints a rate and a peak in GiB.

They share nothing with the suite but the shape of the model, the sizes of a profile and, in training, the rows.
"""

import resource
import sys
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from dgxcert.profiles import profile as profiles
from dgxcert.workloads.models import architectures
from dgxcert.workloads.training import lora_batches

WARM_UP, ROUNDS = 8, 24
GIB = 2**30


def main() -> None:
    """`KIND [PROFILE]`: do the same amount of work as the suite, then print work divided by total time."""
    kind, name = sys.argv[1], [*sys.argv[2:], "cpu"][0]
    device = "cpu" if name == "cpu" else "cuda"
    with torch.inference_mode(kind != "lora"):
        rate = PROGRAMS[kind](profiles.load(name).workloads, device)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(rate, (torch.cuda.max_memory_allocated() if device == "cuda" else resident) / GIB)


def _model(name: str, device: str) -> Any:
    torch.manual_seed(0)
    with torch.device(device):
        config = LlamaConfig(**architectures.find(name).config)
        kind = torch.float32 if device == "cpu" else torch.bfloat16
        return AutoModelForCausalLM.from_config(config, dtype=kind).eval()


def _rate(amount: int, run: Callable[[], float]) -> float:
    seconds = [run() for _ in range(WARM_UP + ROUNDS)]
    return amount * ROUNDS / sum(seconds[WARM_UP:])


def _timed(run: Callable[[], Any], device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def loop(sizes: Any, device: str) -> float:
    """Token/s of greedy decoding, one forward pass per token, after prefill."""
    model, new_tokens = _model(sizes.decode.model, device), sizes.decode.single.new_tokens
    prompt = torch.randint(0, 8192, (1, sizes.decode.single.prompt), device=device)

    def once() -> float:
        cache = model(prompt[:, :-1], use_cache=True).past_key_values

        def write() -> None:
            token = prompt[:, -1:]
            for _ in range(new_tokens):
                token = model(token, past_key_values=cache, use_cache=True).logits[:, -1].argmax(-1, keepdim=True)

        return _timed(write, device)

    return _rate(new_tokens, once)


def generate(sizes: Any, device: str) -> float:
    """Token/s of `model.generate` over the same tokens."""
    model, new_tokens = _model(sizes.decode.model, device), sizes.decode.single.new_tokens
    prompt = torch.randint(0, 8192, (1, sizes.decode.single.prompt), device=device)
    options = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False, "pad_token_id": 0}

    def once() -> float:
        cache = model(prompt[:, :-1], use_cache=True).past_key_values
        mask = torch.ones_like(prompt)
        return _timed(lambda: model.generate(prompt, past_key_values=cache, attention_mask=mask, **options), device)

    return _rate(new_tokens, once)


def prefill(sizes: Any, device: str) -> float:
    """Token/s of one pass over a prompt, with a cache and the last token's logits."""
    model, length = _model(sizes.prefill.model, device), sizes.prefill.single.prompt
    prompt = torch.randint(0, 8192, (1, length), device=device)
    return _rate(length, lambda: _timed(lambda: model(prompt, use_cache=True, logits_to_keep=1), device))


def first(sizes: Any, device: str) -> float:
    """Token/s of prefill by `model.generate` with one new token."""
    model, length = _model(sizes.prefill.model, device), sizes.prefill.single.prompt
    prompt = torch.randint(0, 8192, (1, length), device=device)
    options = {"max_new_tokens": 1, "do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(prompt)}
    return _rate(length, lambda: _timed(lambda: model.generate(prompt, **options), device))


def lora(sizes: Any, device: str) -> float:
    """Step/s of a plain loop over padded rows, with PEFT's adapters."""
    from peft import LoraConfig, get_peft_model

    small = sizes.lora.small
    adapters = LoraConfig(r=small.rank, lora_alpha=2 * small.rank, target_modules=["q_proj", "v_proj"])
    model = get_peft_model(_model(small.model, device), adapters).train()
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=small.learning_rate)
    rows = lora_batches.prose(small.batch, small.length, architectures.find(small.model).vocabulary)
    batches = cycle([{name: each.to(device) for name, each in lora_batches.padded(row).items()} for row in rows])

    def step() -> None:
        optimizer.zero_grad()
        model(**next(batches)).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    return _rate(1, lambda: _timed(step, device))


PROGRAMS = {"loop": loop, "generate": generate, "prefill": prefill, "first": first, "lora": lora}


if __name__ == "__main__":
    main()
