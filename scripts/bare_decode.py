"""A bare transformers program that decodes: the yardstick of bench_harness.py. Prints token/s.

It shares nothing with the suite but the shape of the model and the sizes of the cpu profile.
"""

import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from dgxcert import profile
from dgxcert.workloads import shapes

WARM_UP, ROUNDS = 3, 12


def main() -> None:
    """Decode as often as the suite does, then print tokens over total time."""
    sizes = profile.load("cpu").workloads.decode
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**shapes.find(sizes.model).config), dtype=torch.float32).eval()
    prompt = torch.randint(0, 8192, (1, sizes.single.prompt))
    decode = {"loop": loop, "generate": generate}[sys.argv[1]]
    with torch.inference_mode():
        seconds = [decode(model, prompt, sizes.single.new_tokens) for _ in range(WARM_UP + ROUNDS)]
    print(sizes.single.new_tokens * ROUNDS / sum(seconds[WARM_UP:]))


def loop(model: Any, prompt: torch.Tensor, new_tokens: int) -> float:
    """Seconds of greedy decoding, one forward pass per token, after the prompt has been read."""
    cache = model(prompt[:, :-1], use_cache=True).past_key_values
    token = prompt[:, -1:]
    began = time.perf_counter()
    for _ in range(new_tokens):
        token = model(token, past_key_values=cache, use_cache=True).logits[:, -1].argmax(-1, keepdim=True)
    return time.perf_counter() - began


def generate(model: Any, prompt: torch.Tensor, new_tokens: int) -> float:
    """Seconds of `model.generate` over the same tokens."""
    cache = model(prompt[:, :-1], use_cache=True).past_key_values
    options = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False, "pad_token_id": 0}
    began = time.perf_counter()
    model.generate(prompt, past_key_values=cache, attention_mask=torch.ones_like(prompt), **options)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
