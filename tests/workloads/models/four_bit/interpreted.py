"""What the four-bit kernels give in Triton's interpreter, printed as JSON by the name of each case."""

import json
import sys
from collections.abc import Iterator

import bitsandbytes
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.models import nf4
from dgxcert.workloads.models.four_bit import operator
from dgxcert.workloads.models.four_bit.weights import FourBit

SHAPES = ((40, 640), (24, 128))
"""(outer, inner): neither is a multiple of what a program takes at once."""
LLAMA = LlamaConfig(
    vocab_size=96,
    hidden_size=128,
    num_hidden_layers=1,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    intermediate_size=256,
)
PROMPT, NEW = 4, 2


def random(*shape: int) -> torch.Tensor:
    """Normal numbers, the same in each run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def int4_weights(outer: int, inner: int, *, exact: bool) -> FourBit:
    """int4 weights with any scales, or with powers of two and whole zeros, for which nothing is rounded."""
    generator = torch.Generator().manual_seed(inner)
    levels = torch.randint(0, 16, (outer, inner), generator=generator)
    groups = (outer, inner // 128)
    if exact:
        powers, zeros = (torch.randint(low, 3, groups, generator=generator) for low in (0, -2))
        return FourBit.int4(levels, 2.0**powers, zeros)
    return FourBit.int4(levels, 0.5 + random(*groups).abs(), random(*groups))


def nf4_weights(outer: int, inner: int, *, doubled: bool) -> tuple[FourBit, torch.Tensor]:
    """Those of a bitsandbytes layer, and what bitsandbytes dequantises them to."""
    layer = bitsandbytes.nn.Linear4bit(inner, outer, bias=False, quant_type="nf4", device="meta")
    layer.weight = bitsandbytes.nn.Params4bit(
        random(outer, inner), requires_grad=False, quant_type="nf4", blocksize=64, compress_statistics=doubled
    ).to("cpu")
    dequantised = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return FourBit.nf4(layer), dequantised


def exact_products() -> Iterator[tuple[str, int]]:
    """How many values of a product of whole numbers differ in any bit, for each division."""
    for outer, inner in SHAPES:
        weights = int4_weights(outer, inner, exact=True)
        for rows in (1, 2, 16, 17, 130) if inner > 128 else (1, 5, 33):
            inputs = (3 * random(rows, inner)).round().bfloat16()
            exact = (inputs.double() @ weights.dequantised().double().T).bfloat16()
            for number, division in enumerate(operator.divisions(rows)):
                found = operator.linear(inputs, weights, division)
                yield f"{rows} rows, {outer}x{inner}, division {number}", int((found != exact).sum())


def errors() -> Iterator[tuple[str, float]]:
    """The error of a product against fp64, over that of rounding the exact result to bf16."""
    for outer, inner in SHAPES:
        kinds = {
            "int4": int4_weights(outer, inner, exact=False),
            "nf4": nf4_weights(outer, inner, doubled=False)[0],
            "nf4 doubled": nf4_weights(outer, inner, doubled=True)[0],
        }
        for kind, weights in kinds.items():
            for rows in (1, 3, 20):
                inputs = random(rows, inner).bfloat16()
                exact = inputs.double() @ weights.dequantised().double().T
                outputs = torch.ops.dgxcert.four_bit_linear(inputs, *weights)
                rounded = numerics.relative_error(exact.bfloat16(), exact)
                yield f"{kind}, {rows} rows, {outer}x{inner}", numerics.relative_error(outputs, exact) / rounded


def definitions() -> Iterator[tuple[str, bool]]:
    """Whether NF4 weights are those that bitsandbytes dequantises, in every bit."""
    for outer, inner in (*SHAPES, (72, 1280)):
        for doubled in (False, True):
            weights, dequantised = nf4_weights(outer, inner, doubled=doubled)
            yield f"{outer}x{inner}, doubled: {doubled}", torch.equal(weights.dequantised(), dequantised.float())


def logits() -> Iterator[tuple[str, float]]:
    """How far the logits of a tuned path with these kernels are from those of the model, in standard deviations."""
    device = Device("cpu", 0, "CPU")
    for precision in ("int4", "nf4"):
        torch.manual_seed(1)
        model = LlamaForCausalLM(LLAMA).bfloat16().eval()
        if precision == "nf4":
            with torch.device("meta"):
                model = LlamaForCausalLM(LLAMA).bfloat16().eval()
            nf4.materialise(model, LLAMA, device, torch.Generator().manual_seed(1), 0.05)
        tuned = StaticLlama(model, device, precision, 2, PROMPT + NEW, compiled=False, own_kernels=True)
        prompt = torch.randint(0, LLAMA.vocab_size, (2, PROMPT), generator=torch.Generator().manual_seed(2))
        tuned.start_decode(prompt)
        for _ in range(NEW):
            tuned.decode_one_token()
        sequence = torch.cat([prompt, tuned.generated[:, :NEW]], 1)[:, :-1]
        with torch.inference_mode():
            expected = model(sequence).logits[:, -1].float()
        difference = (tuned.logits.float() - expected).square().mean().sqrt() / expected.std()
        yield f"{precision} logits", float(difference)
        yield f"{precision} product error", tuned.form.error(device) or 0.0


def refusal(inputs: torch.Tensor) -> str:
    """Why the operator does not take these inputs."""
    try:
        operator.linear(inputs, int4_weights(8, 128, exact=True))
    except ValueError as error:
        return str(error)
    return ""


def as_one_graph() -> list[float]:
    """Whether torch traces the operator into one graph, by what that gives and by the number of graphs."""
    weights, inputs, graphs = int4_weights(24, 128, exact=True), random(3, 128).bfloat16(), []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    def doubled(rows: torch.Tensor) -> torch.Tensor:
        return 2 * torch.ops.dgxcert.four_bit_linear(rows, *weights)

    compiled = torch.compile(doubled, backend=backend, fullgraph=True)
    return [float((compiled(inputs) - doubled(inputs)).abs().max()), len(graphs)]


def main() -> None:
    operator.register()
    found = {
        "exact": dict(exact_products()),
        "errors": dict(errors()),
        "definitions": dict(definitions()),
        "logits": dict(logits()),
        "refusals": [refusal(torch.ones(2, 128)), refusal(torch.ones(0, 128).bfloat16())],
        "one graph": as_one_graph(),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
