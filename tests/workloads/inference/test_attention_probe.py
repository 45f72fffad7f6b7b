"""The attention probe is quiet on a right path, and sees one lost key, in any layer and head, on both ways."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.workloads.inference import attention_probe, llama_layer, static_llama
from dgxcert.workloads.inference.attention_probe import decode_error, prefill_error, tolerance
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.models import seeded
from dgxcert.workloads.models.architectures import Shape

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

CPU = Device("cpu", 0, "CPU")
SMALL = Shape(vocabulary=256, hidden=256, layers=3, heads=4, kv_heads=2, head_dim=64, intermediate=256, tied=True)
LENGTH, BATCH = 2064, 2
POSITIONS = (2040,)

Attend = Callable[..., torch.Tensor]


def tuned(precision: str, length: int = LENGTH) -> StaticLlama:
    model = seeded.build(CPU, SMALL, "bf16" if precision == "int4" else precision)
    return StaticLlama(model, CPU, precision, BATCH, length, compiled=False)


@pytest.fixture(scope="module")
def bf16() -> StaticLlama:
    return tuned("bf16")


@pytest.fixture(scope="module")
def short() -> StaticLlama:
    return tuned("bf16", 272)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "nf4", "int4"])
def test_a_right_path_stays_well_below_the_tolerance(precision: str) -> None:
    llama = tuned(precision, 264)
    compute = {"nf4": "fp32", "int4": "bf16"}.get(precision, precision)
    for error in (decode_error(llama, (250, 263)), prefill_error(llama, 256)):
        assert 0 < 1.3 * error.error < (tolerance(compute).max or 0)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces the attention of a decoding step in one of three layers, or in all of them."""

    def replace(wrong: Attend, layer: int | None) -> None:
        right, calls = llama_layer._decode_attention, itertools.count()

        def attend(dims: Any, query: Any, kv_cache: Any, visible: Any) -> Any:
            if layer in (None, next(calls) % SMALL.layers):
                return wrong(right, dims, query, kv_cache, visible)
            return right(dims, query, kv_cache, visible)

        monkeypatch.setattr(llama_layer, "_decode_attention", attend)

    return replace


def unseen(*lost: int) -> Attend:
    """These keys are not seen; negative ones count from the newest."""

    def attend(right: Attend, dims: Any, query: Any, kv_cache: Any, visible: torch.Tensor) -> torch.Tensor:
        newest = int(visible.sum())
        keep = torch.ones_like(visible)
        keep[[index % newest for index in lost]] = False
        return right(dims, query, kv_cache, visible & keep)

    return attend


def one_head(wrong: Attend) -> Attend:
    """The last head alone goes wrong."""

    def attend(right: Attend, dims: Any, *inputs: Any) -> torch.Tensor:
        output = right(dims, *inputs)
        output[..., -dims.head_dim :] = wrong(right, dims, *inputs)[..., -dims.head_dim :]
        return output

    return attend


def rolled(key_value: torch.Tensor) -> torch.Tensor:
    """The values of the next head."""
    return torch.stack([key_value[0], key_value[1].roll(1, 1)])


FAULTS: dict[str, Attend] = {
    "the newest key": unseen(-1),
    "one key": unseen(1024),
    "a tile of 16": unseen(*range(1024, 1040)),
    "the last 64": unseen(*range(-65, -1)),
    "the second half": unseen(*range(1024, 2040)),
    "a tile of 16 in one head": one_head(unseen(*range(64, 80))),
    "a key to come is seen": lambda right, dims, q, kv, visible: right(dims, q, kv, visible | visible.roll(1)),
    "heads rolled": lambda right, dims, q, kv, visible: right(dims, q, rolled(kv), visible),
    "uniform weights": lambda right, dims, q, kv, visible: right(dims, q * 0, kv, visible),
    "no scale": lambda right, dims, q, kv, visible: right(dims, q * dims.head_dim**0.5, kv, visible),
    "nothing": lambda right, *rest: right(*rest) * 0,
}


@pytest.mark.catches(
    "DECODE-SPEED",
    "tuned path: one of 2048 keys lost in one layer by all heads (one of 8192 changes a head by 1.1 % times its "
    "weight, 16 by 4.4 %, and 1.5 % is allowed in bf16), 16 of 2048 in one head of one layer, the newest not seen, one "
    "to come seen",
    unseen="one lost key of little weight in a single head; what only the CUDA graph gets wrong and logits do not "
    "show: the probe calls the timed functions, not the graph that replays them. Stock path: by its logits, and by "
    "ATTENTION-CORRECT",
)
@pytest.mark.parametrize("layer", [None, 1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_decoding_step_is_seen(
    bf16: StaticLlama, only: Callable[..., None], fault: str, layer: int | None
) -> None:
    only(FAULTS[fault], layer)
    error = decode_error(bf16, POSITIONS)
    assert error.error > (tolerance("bf16").max or 0)
    assert layer is None or error.where.startswith(f"layer {layer}, position 20")


def test_a_key_that_is_stored_elsewhere_is_seen(bf16: StaticLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    right = llama_layer.decode_layer

    def beside(*inputs: Any) -> torch.Tensor:
        *others, position, visible = inputs
        return right(*others, position - 1, visible)

    monkeypatch.setattr(llama_layer, "decode_layer", beside)
    assert decode_error(bf16, POSITIONS).error > 0.5


@pytest.mark.parametrize("table", ["_cos", "_sin"])
def test_a_wrong_position_is_seen(short: StaticLlama, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short, table, getattr(short, table).roll(1, 0))
    assert decode_error(short, (250, 260)).error > 0.1
    assert prefill_error(short, 64).error > 0.1


def by_mask(change: Callable[[torch.Tensor], object]) -> Attend:
    """Plain attention with another mask than the causal one."""

    def attend(right: Attend, dims: Any, query: Any, key_value: Any) -> torch.Tensor:
        mask = torch.ones(query.shape[2], query.shape[2], dtype=torch.bool).tril()
        change(mask)
        key, value = (each.repeat_interleave(dims.heads // dims.kv_heads, 1) for each in key_value)
        attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)
        return attended.transpose(1, 2).flatten(2)

    return attend


def lost_queries(right: Attend, *inputs: Any) -> torch.Tensor:
    output = right(*inputs)
    output[:, 112:128, -64:] *= 0.9
    return output


PROMPT_FAULTS: dict[str, Attend] = {
    "a tile of 16 keys": by_mask(lambda mask: mask[200:, 32:48].zero_()),
    "one key": by_mask(lambda mask: mask[200:, 40].zero_()),
    "each query misses its own key": by_mask(lambda mask: mask[1:, 1:].fill_diagonal_(False)),
    "not causal": by_mask(lambda mask: mask.fill_(True)),
    "one tile of 16 queries in one head": lost_queries,
    "nothing": lambda right, *rest: right(*rest) * 0,
    "heads rolled": lambda right, dims, query, key_value: right(dims, query, rolled(key_value)),
}


@pytest.mark.catches(
    "PREFILL-SPEED",
    "tuned path: one of 256 keys lost in one layer (16 of 8192 change a head by 4.4 %, and 1.5 % is allowed in bf16); "
    "one tile of 16 queries off by a tenth in one head of one layer",
    unseen="a fault of fewer than 16 queries that all layers share, unless it hits one that is judged; with int4 all "
    "but three of the layers. Stock path: by its logits, and by ATTENTION-CORRECT",
)
@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("fault", PROMPT_FAULTS)
def test_a_fault_of_a_prefill_is_seen(
    short: StaticLlama, monkeypatch: pytest.MonkeyPatch, fault: str, layer: int
) -> None:
    right, calls = llama_layer._prefill_attention, itertools.count()

    def attend(*inputs: Any) -> Any:
        faulty = next(calls) % SMALL.layers == layer
        return PROMPT_FAULTS[fault](right, *inputs) if faulty else right(*inputs)

    monkeypatch.setattr(llama_layer, "_prefill_attention", attend)
    assert prefill_error(short, 256).error > (tolerance("bf16").max or 0)


def test_a_prefill_that_does_not_fill_the_cache_is_seen(short: StaticLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    right = static_llama.prefill_layer

    def forgetful(linear: Any, dims: Any, hidden: Any, layer: Any, kv_cache: torch.Tensor, *tables: Any) -> Any:
        output = right(linear, dims, hidden, layer, kv_cache, *tables)
        kv_cache[1, 0, 0, 31] = 0
        return output

    monkeypatch.setattr(static_llama, "prefill_layer", forgetful)
    error = prefill_error(short, 64)
    assert error.error == pytest.approx(1.0)
    assert error.where.endswith("stored keys and values, value 1, row 0, head 0, token 31")


def test_values_that_are_not_finite_are_wrong(short: StaticLlama, only: Callable[..., None]) -> None:
    only(lambda right, *rest: right(*rest) * float("nan"), 1)
    with pytest.raises(Wrong, match="attention of layer 1, position 250 has values that are not finite"):
        decode_error(short, (250,))


def test_a_prefill_with_int4_weights_is_judged_in_three_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    llama = tuned("int4", 32)
    monkeypatch.setattr(llama, "kv_cache", llama.kv_cache * 4)
    assert attention_probe._Probe(llama).layers == [0, 5, 11]
