"""The head kernel gives torch's logits and torch's argmax, the first of equals, in Triton's interpreter."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="the workloads need torch: make setup")
pytest.importorskip("triton", reason="the kernel itself needs triton, which comes with torch for CUDA")

PROGRAM = """
import json, torch
from dgxcert.workloads.inference import head_kernel

found = {}
for vocabulary, width in ((64, 512), (50, 96), (33, 1030)):
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        generator = torch.Generator().manual_seed(width)
        hidden = torch.randn(width, generator=generator).to(dtype)
        weight = torch.randn(vocabulary, width, generator=generator).to(dtype)
        logits, token = head_kernel.logits_and_token(hidden, weight)
        exact = weight.double() @ hidden.double()
        error = float((logits[0].double() - exact).norm() / exact.norm())
        found[f"{vocabulary}x{width} {dtype}"] = [error, token.item(), logits.argmax().item()]
for rows in ((5, 40), (17, 18), (31, 32), (0, 49), (49,)):
    weight = torch.zeros(50, 32)
    weight[list(rows)] = 1.0
    found[f"largest {rows}"] = [head_kernel.logits_and_token(torch.ones(32), weight)[1].item(), rows[0]]
weight = -torch.ones(33, 32)
weight[20] = -0.5
found["negative"] = [head_kernel.logits_and_token(torch.ones(32), weight)[1].item(), 20]
weight = torch.zeros(50, 32)
weight[30] = float("nan")
found["no number"] = [head_kernel.logits_and_token(torch.ones(32), weight)[1].item(), weight.sum(1).argmax().item()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, list[float]]:
    """What the kernel gives in a process of its own: Triton looks for its interpreter where it is imported."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answer: dict[str, list[float]] = json.loads(run.stdout)
    return answer


def test_logits_and_the_token_are_those_of_torch(found: dict[str, list[float]]) -> None:
    products = {name: values for name, values in found.items() if "torch" in name}
    assert len(products) == 9
    for name, (error, token, argmax) in products.items():
        assert error < (1e-6 if "float32" in name else 4e-3), name
        assert token == argmax, name


def test_of_equal_logits_the_first_is_chosen_also_of_negative_ones_and_no_numbers(
    found: dict[str, list[float]],
) -> None:
    chosen = {name: values for name, values in found.items() if "torch" not in name}
    assert len(chosen) == 7
    for name, (token, first) in chosen.items():
        assert token == first, name
