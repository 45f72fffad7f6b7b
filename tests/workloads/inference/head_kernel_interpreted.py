"""What the head kernel gives in Triton's interpreter, printed as JSON by the name of each case."""

import json
import sys
from collections.abc import Iterator

import torch

from dgxcert.workloads.inference import head_kernel

Case = tuple[str, list[float]]


def products() -> Iterator[Case]:
    """The error of the logits against fp64, the token that was chosen, and the one that torch chooses."""
    for vocabulary, width in ((64, 512), (50, 96), (33, 1030)):
        for dtype in (torch.bfloat16, torch.float16, torch.float32):
            generator = torch.Generator().manual_seed(width)
            hidden = torch.randn(width, generator=generator).to(dtype)
            weight = torch.randn(vocabulary, width, generator=generator).to(dtype)
            logits, token = head_kernel.logits_and_token(hidden, weight)
            exact = weight.double() @ hidden.double()
            error = float((logits[0].double() - exact).norm() / exact.norm())
            yield f"{vocabulary}x{width} {dtype}", [error, token.item(), logits.argmax().item()]


def choices() -> Iterator[Case]:
    """The token that was chosen, and the right one, of equals, of negative logits and beside what is no number."""
    for rows in ((5, 40), (17, 18), (31, 32), (0, 49), (49,)):
        weight = torch.zeros(50, 32)
        weight[list(rows)] = 1.0
        yield f"largest {rows}", [chosen(weight), rows[0]]
    weight = -torch.ones(33, 32)
    weight[20] = -0.5
    yield "negative", [chosen(weight), 20]
    weight = torch.zeros(50, 32)
    weight[30] = float("nan")
    yield "no number", [chosen(weight), weight.sum(1).argmax().item()]


def chosen(weight: torch.Tensor) -> float:
    """The token that the kernel chooses for a row of ones."""
    return head_kernel.logits_and_token(torch.ones(32), weight)[1].item()


if __name__ == "__main__":
    json.dump({**dict(products()), **dict(choices())}, sys.stdout)
