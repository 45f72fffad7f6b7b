"""Compute: whether every device that torch offers multiplies whole numbers exactly.

`python -m dgxcert.probes.gpu.compute cuda` (or `cpu`) prints what each device did as JSON: a container proves this way
that it really has its GPUs.
"""

import json
import sys
from typing import Any

EDGE = 512
"""Small numbers in matrices of this size have products below 2^24, exact even in 32-bit floating point."""


def compute(kind: str) -> list[dict[str, Any]]:
    """Multiply on each device of that kind: its name, and how many of the products are wrong."""
    import torch

    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if kind == "cuda" else ["cpu"]
    whole = torch.arange(EDGE * EDGE).reshape(EDGE, EDGE) % 13 - 6
    exact = whole @ whole.T
    done = []
    for name in names:
        here = whole.to(name, dtype=torch.float32)
        wrong = int(((here @ here.T).cpu().to(torch.int64) != exact).sum())
        product = torch.cuda.get_device_name(name) if kind == "cuda" else "CPU"
        done.append({"device": name, "product": product, "wrong": wrong})
    return done


if __name__ == "__main__":
    json.dump(compute(sys.argv[1]), sys.stdout)
