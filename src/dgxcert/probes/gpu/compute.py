"""Compute: whether every device that torch offers multiplies integers exactly.

`python -m dgxcert.probes.gpu.compute cuda` (or `cpu`) prints the result of each device as JSON: a container proves with
it that it can use its GPUs.
"""

import json
import sys
from typing import Any

EDGE = 512
"""With entries of -6 to 6, dot products of this length are at most 18432, far below 2^24: exact in fp32."""


def compute(kind: str) -> list[dict[str, Any]]:
    """Multiply two matrices on each device of a kind; its name, its UUID, and the wrong entries."""
    import torch

    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if kind == "cuda" else ["cpu"]
    integers = torch.arange(EDGE * EDGE).reshape(EDGE, EDGE) % 13 - 6
    exact = integers @ integers.T
    results = []
    for name in names:
        matrix = integers.to(name, dtype=torch.float32)
        wrong = int(((matrix @ matrix.T).cpu().to(torch.int64) != exact).sum())
        product, uuid = "CPU", ""
        if kind == "cuda":
            product = torch.cuda.get_device_name(name)
            uuid = str(torch.cuda.get_device_properties(name).uuid)
        results.append({"device": name, "product": product, "uuid": uuid, "wrong": wrong})
    return results


if __name__ == "__main__":
    json.dump(compute(sys.argv[1]), sys.stdout)
