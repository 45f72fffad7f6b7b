"""Fused products are the products that they replace, and the argmax of blocks is torch's, also among equals."""

import itertools
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.inference import attention_probe, decode_steps, fused_products
from dgxcert.workloads.inference.decode_steps import PLAIN, Steps
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.models import architectures, seeded

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

CPU = Device("cpu", 0, "CPU")
TOKENS = 4
SMALL = architectures.Shape(256, 256, 2, 4, 2, 64, 384, tied=False)


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def llama(request: pytest.FixtureRequest) -> StaticLlama:
    model = seeded.build(CPU, SMALL, request.param)
    for layer in model.model.layers:  # norms that do something
        layer.input_layernorm.weight.data.uniform_(0.5, 1.5)
        layer.post_attention_layernorm.weight.data.uniform_(0.5, 1.5)
    model.model.norm.weight.data.uniform_(0.5, 1.5)
    tuned = StaticLlama(model, CPU, request.param, 1, 24, compiled=False)
    tuned.start_decode(torch.arange(12)[None])
    return tuned


def decoded(llama: StaticLlama, steps: Steps) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits after a few steps, and the KV cache."""
    llama.use(steps)
    for _ in range(TOKENS):
        llama.decode_one_token()
        llama.token.fill_(7)  # the same input, whichever of two equal tokens was chosen
    return llama.logits.float(), torch.stack(llama.kv_cache).float()


NEED_A_GPU = (decode_steps.DEPENDENT_LAUNCH, decode_steps.HEAD_ARGMAX)
STEPS = [step.name for step in decode_steps.TABLE if step.name not in NEED_A_GPU]
COMBINATIONS = [frozenset(names) for count in (1, 2, 4) for names in itertools.combinations(STEPS, count)]


@pytest.mark.parametrize("steps", COMBINATIONS, ids=decode_steps.named)
def test_any_steps_together_decode_as_the_plain_step_does(llama: StaticLlama, steps: Steps) -> None:
    exact, cache = decoded(llama, PLAIN)
    logits, other = decoded(llama, steps)
    limit = {"fp32": 1e-5, "bf16": 2e-2}[llama.precision]
    assert numerics.relative_error(logits, exact.double()) < limit
    assert numerics.relative_error(other, cache.double()) < limit


@pytest.mark.parametrize("steps", [frozenset(STEPS[:2]), frozenset(STEPS)], ids=decode_steps.named)
def test_the_attention_of_fused_steps_is_exact_in_every_head(llama: StaticLlama, steps: Steps) -> None:
    llama.use(steps)
    error = attention_probe.decode_error(llama, (12, 20))
    assert error.error < 0.8 * (attention_probe.tolerance(llama.precision).max or 0)


def test_the_argmax_of_blocks_serves_batches_too() -> None:
    batch = StaticLlama(seeded.build(CPU, SMALL, "fp32"), CPU, "fp32", 3, 24, compiled=False)
    batch.start_decode(torch.arange(36).view(3, 12))
    generated = []
    for steps in (PLAIN, frozenset({decode_steps.BLOCK_ARGMAX})):
        batch.use(steps)
        for _ in range(TOKENS):
            batch.decode_one_token()
        generated.append(batch.generated[:, :TOKENS].clone())
    assert torch.equal(*generated)
    assert len(generated[0].unique()) > 1


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_argmax_of_blocks_is_that_of_torch_among_equals_too(rows: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(rows)
    for levels in (1, 2, 3, 1000):  # few levels: many equal values, in one block and in several
        values = torch.randint(0, levels, (rows, 4 * fused_products.BLOCK), generator=generator).to(dtype) - 1
        assert torch.equal(fused_products.block_argmax(values), values.argmax(-1, keepdim=True))
    ordered = torch.arange(4 * fused_products.BLOCK).to(dtype).expand(rows, -1)
    for values in (ordered, ordered.flip(-1), -ordered, torch.full_like(ordered, float("-inf"))):
        assert torch.equal(fused_products.block_argmax(values), values.argmax(-1, keepdim=True))


def test_a_logit_that_is_no_number_is_chosen_as_torch_chooses_it() -> None:
    values = torch.zeros(1, 4 * fused_products.BLOCK)
    values[0, 100] = float("nan")
    assert fused_products.block_argmax(values).item() == values.argmax().item() == 100


def test_no_step_asks_the_device_for_a_value_so_that_all_can_be_captured(llama: StaticLlama) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    called: set[str] = set()

    class Calls(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    for steps in (PLAIN, frozenset(STEPS)):
        llama.use(steps)
        with Calls():
            llama.decode_one_token()
    assert "index_copy_" in called
    assert not called & {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "item"}
