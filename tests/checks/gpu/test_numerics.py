"""The numerics checks pass on a correct device, and each of their comparisons fails on a planted fault."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import check_file
import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from suites.judged import judge

from dgxcert import command
from dgxcert.command import Completed
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import MemoryPattern
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import attention, linear_layers, memory_pattern
from dgxcert.workloads.correctness.attention import Case
from dgxcert.workloads.models import nf4
from dgxcert.workloads.training import repeatability
from dgxcert.workloads.training.repeatability import Repeats

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch and bitsandbytes are not tested here

CPU = Device("cpu", 0, "CPU")
FEW = [
    Case(precision, kv_heads, 64, *lengths, negative)
    for precision in ("fp32", "bf16")
    for kv_heads, lengths in ((8, (65, 65, True)), (1, (1, 97, False)))
    for negative in (False, True)
]


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return check_file.load("gpu/test_numerics")


@pytest.fixture(scope="module")
def profile() -> Profile:
    found = profiles.load("cpu")
    small = MemoryPattern(share=0.9, max_gib=1 / 32)
    return found.model_copy(update={"workloads": found.workloads.model_copy(update={"memory_pattern": small})})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers and few cases: these tests are about the comparisons."""
    monkeypatch.setattr(linear_layers, "LAYERS", ((33, 1024, 257), (1, 1030, 64)))
    monkeypatch.setattr(nf4, "LAYERS", ((512, 192), (1024, 256)))
    monkeypatch.setattr(attention, "cases", lambda kind: FEW)


def passes(test: Callable[..., None], evidence: Recorder, *arguments: Any) -> None:
    test(CPU, *arguments, evidence)
    assert evidence.compared
    assert not evidence.violated


def fails(test: Callable[..., None], evidence: Recorder, *arguments: Any, by: str) -> None:
    with pytest.raises(AssertionError):
        test(CPU, *arguments, evidence)
    assert [kept.name for kept, _ in evidence.violated] == [by]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_right_matmul_passes(check: ModuleType, small: None, evidence: Recorder, precision: str) -> None:
    passes(check.test_matmul_of_real_layers_is_right, evidence, precision)


def test_matmul_has_the_inner_sizes_of_real_layers() -> None:
    inner = [inner for _, inner, _ in linear_layers.LAYERS]
    assert (min(inner), max(inner)) == (1024, 14336)
    assert any(size % 2 for layer in linear_layers.LAYERS for size in layer[1:])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_one_wrong_row_of_a_matmul_is_caught(
    check: ModuleType, small: None, evidence: Recorder, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    right = torch.nn.functional.linear

    def wrong(rows: Any, weights: Any) -> Any:
        output = right(rows, weights)
        output[-1] *= 1 + 2**-4
        return output

    monkeypatch.setattr(torch.nn.functional, "linear", wrong)
    fails(check.test_matmul_of_real_layers_is_right, evidence, precision, by=f"{precision} layer error")


def test_fp32_matmul_of_truncated_numbers_is_caught(
    check: ModuleType, small: None, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = torch.nn.functional.linear

    def tf32(numbers: Any) -> Any:
        return (numbers.view(torch.int32) & ~0x1FFF).view(torch.float32)

    monkeypatch.setattr(torch.nn.functional, "linear", lambda rows, weights: right(tf32(rows), tf32(weights)))
    fails(check.test_matmul_of_real_layers_is_right, evidence, "fp32", by="fp32 layer error")


def test_right_attention_passes_and_names_its_kernels(
    check: ModuleType, small: None, profile: Profile, evidence: Recorder
) -> None:
    passes(check.test_every_attention_kernel_on_offer_is_right, evidence, profile)
    assert evidence.kept[0].source == "MATH 8 of 8, FLASH_ATTENTION 8 of 8"


def test_attention_is_asked_for_with_few_and_with_many_key_heads() -> None:
    for kind in ("cuda", "cpu"):
        cases = attention.cases(kind)
        for kv_heads in (8, 4, 2, 1):
            for dim in (64, 128):
                for causal in (False, True):
                    asked = [c for c in cases if (c.kv_heads, c.head_dim, c.causal) == (kv_heads, dim, causal)]
                    assert {case.precision for case in asked} == set(attention.PRECISIONS[kind])
                    assert {case.negative for case in asked} == {False, True}


@pytest.mark.parametrize("dim", [64, 128])
def test_negative_scores_are_where_their_exponentials_vanish(dim: int) -> None:
    query, key, _value = (each.double() for each in attention._inputs(Case("bf16", 1, dim, 193, 193, False, True)))
    scores = query @ key.transpose(-1, -2) / dim**0.5
    assert scores.max() < -87


def swapped(backend: str, change: Callable[[Any, Any, Any, bool], Any]) -> Callable[..., Any]:
    """Attention whose one kernel answers with what `change` makes of query, key, value and causal."""
    right = attention.attend

    def attend(asked: str, query: Any, key: Any, value: Any, causal: bool) -> Any:
        return change(query, key, value, causal) if asked == backend else right(asked, query, key, value, causal)

    return attend


def key_beyond_the_end(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """What one real kernel did: the largest score is taken over keys beyond the end too, which score 0."""
    keys, values = (each.float().repeat_interleave(query.shape[1] // key.shape[1], 1) for each in (key, value))
    scores = query.float() @ keys.transpose(-1, -2) / query.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    weights = (scores - scores.amax(-1, keepdim=True).clamp(min=0)).exp()
    return (weights @ values / weights.sum(-1, keepdim=True).clamp(min=1e-30)).to(query.dtype)


def one_wrong_head(query: Any, key: Any, value: Any, causal: bool) -> Any:
    found = attention_of("MATH", query, key, value, causal).clone()
    found[:, 5] = found[:, 4]
    return found


def a_little_off(query: Any, key: Any, value: Any, causal: bool) -> Any:
    return attention_of("MATH", query, key, value, causal) * (1 + 2**-4)


attention_of = attention.attend


@pytest.mark.parametrize("change", [key_beyond_the_end, one_wrong_head, a_little_off])
@pytest.mark.parametrize("backend", ["FLASH_ATTENTION", "CUDNN_ATTENTION", "MATH"])
def test_a_kernel_with_a_wrong_answer_is_caught_by_name(
    check: ModuleType,
    small: None,
    profile: Profile,
    evidence: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    change: Callable[[Any, Any, Any, bool], Any],
) -> None:
    monkeypatch.setattr(attention, "attend", swapped(backend, change))
    fails(check.test_every_attention_kernel_on_offer_is_right, evidence, profile, by="attention error")
    if backend != "MATH":
        assert evidence.kept[1].source.startswith(backend)


def test_the_key_beyond_the_end_shows_only_where_scores_are_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "attend", swapped("FLASH_ATTENTION", key_beyond_the_end))
    assert attention.compare(CPU, [case for case in FEW if not case.negative]).share < 1
    assert attention.compare(CPU, [case for case in FEW if case.negative]).share > 10


def test_values_that_are_not_numbers_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "attend", swapped("FLASH_ATTENTION", lambda query, *_: query * torch.nan))
    with pytest.raises(Wrong, match=r"FLASH_ATTENTION, fp32 .* not finite"):
        attention.compare(CPU, FEW[:1])


def test_too_few_kernels_on_offer_fail(
    check: ModuleType, small: None, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "attend", swapped("FLASH_ATTENTION", lambda *_: None))
    fails(check.test_every_attention_kernel_on_offer_is_right, evidence, profile, by="attention kernels")


def test_without_plain_attention_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "attend", lambda *_: None)
    with pytest.raises(Inconclusive, match="refuses plain attention"):
        attention.compare(CPU, FEW[:1])


@pytest.mark.parametrize(
    ("message", "offered"),
    [
        ("No available kernel. Aborting execution.", False),
        ("No viable backend for scaled_dot_product_attention was found", False),
        ("cuDNN Frontend error: No execution plans support the graph.", True),
        ("CUDA error: no kernel image is available for execution on the device", True),
    ],
)
def test_only_torchs_own_refusal_says_that_a_kernel_is_not_offered(
    monkeypatch: pytest.MonkeyPatch, message: str, offered: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError(message)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse)
    expected = "supports .* but ends with" if offered else "refuses plain attention"
    with pytest.raises(Inconclusive, match=expected):
        attention.compare(CPU, FEW[:1])


def test_a_kernel_that_refuses_grouped_heads_is_given_repeated_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.nn.functional.scaled_dot_product_attention

    def refuse_groups(query: Any, key: Any, value: Any, *, is_causal: bool, enable_gqa: bool) -> Any:
        if enable_gqa:
            raise RuntimeError("No available kernel. Aborting execution.")
        assert query.shape[1] == key.shape[1] == value.shape[1]
        return right(query, key, value, is_causal=is_causal)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse_groups)
    found = attention.compare(CPU, FEW)
    assert found.shapes == {"MATH": 8, "FLASH_ATTENTION": 8}
    assert found.share < 1


@pytest.fixture(scope="module")
def bitsandbytes() -> Any:
    return pytest.importorskip("bitsandbytes", reason="NF4 needs bitsandbytes: make setup")


def test_right_nf4_layers_pass(check: ModuleType, small: None, bitsandbytes: ModuleType, evidence: Recorder) -> None:
    passes(check.test_nf4_layers_are_right, evidence)
    assert set(nf4.ROWS) == {1, 8}


NF4 = (-1.0, -0.69619, -0.52507, -0.39492, -0.28444, -0.18477, -0.09105)
NF4 += (0.0, 0.0796, 0.16093, 0.24611, 0.33792, 0.44071, 0.56262, 0.72296, 1.0)


def one_row_kernel_error(inner: int, outer: int) -> float:
    """Of bitsandbytes' CUDA kernel for one row, emulated: table, scale, weight and product in bf16, summed in fp32.

    As on a GPU, what is quantised is bf16, and so is what it is dequantised to.
    """
    generator = torch.Generator().manual_seed(5)
    weights = torch.randn(outer, inner, generator=generator).bfloat16().float().unflatten(-1, (-1, nf4.BLOCK))
    row = torch.randn(inner, generator=generator).bfloat16()
    scales = weights.abs().amax(-1, keepdim=True)
    table = torch.tensor(NF4)
    codes = torch.bucketize(weights / scales, (table[1:] + table[:-1]) / 2)
    exact = (table[codes] * scales).bfloat16().flatten(1).double() @ row.double()
    rounded = (table.bfloat16()[codes] * scales.bfloat16()).flatten(1)
    return numerics.relative_error((rounded * row).float().sum(-1).bfloat16(), exact)


@pytest.mark.parametrize(("inner", "outer"), [(1536, 576), (4096, 1024)])
def test_a_right_kernel_for_one_row_has_room_below_the_limit(inner: int, outer: int) -> None:
    error = one_row_kernel_error(inner, outer)
    allowed = numerics.matmul_tolerance("nf4").max
    assert allowed is not None
    assert 3.1e-3 < error < 3.45e-3
    assert 1.3 * error < allowed


@pytest.mark.parametrize(("blocks", "factor"), [(slice(None, None, 16), 1.25), (slice(5, 6), 2.0), (slice(5, 6), 0.0)])
def test_a_wrong_scale_is_caught_though_the_matmul_agrees_with_it(
    check: ModuleType,
    small: None,
    bitsandbytes: ModuleType,
    evidence: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    blocks: slice,
    factor: float,
) -> None:
    right = nf4._layer

    def rescaled(weights: Any) -> Any:
        layer = right(weights)
        layer.weight.quant_state.absmax[blocks] *= factor
        return layer

    monkeypatch.setattr(nf4, "_layer", rescaled)
    with pytest.raises(AssertionError):
        check.test_nf4_layers_are_right(CPU, evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["NF4 quantisation error of a block"]
    assert evidence.kept[0].held_against[0].holds


def test_weights_that_were_not_quantised_at_all_are_caught(
    check: ModuleType, small: None, bitsandbytes: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nf4, "quantisation_errors", lambda layers: {"512x192": 1e-7, "1024x256": 0.092})
    fails(check.test_nf4_layers_are_right, evidence, by="least NF4 quantisation error")


def test_a_wrong_nf4_matmul_is_caught(
    check: ModuleType, small: None, bitsandbytes: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = nf4._dequantised

    def other(weight: Any) -> Any:
        weights = right(weight)
        weights[3] = weights[2]
        return weights

    monkeypatch.setattr(nf4, "_dequantised", other)
    with pytest.raises(AssertionError):
        check.test_nf4_layers_are_right(CPU, evidence)
    assert "NF4 product error" in [kept.name for kept, _ in evidence.violated]


NF4_TOLERANCE = numerics.matmul_tolerance("nf4").max


@pytest.mark.parametrize(
    ("matmul", "least", "most", "block", "fault"),
    [
        (NF4_TOLERANCE, nf4.QUANTISATION.min, nf4.QUANTISATION.max, nf4.BLOCK_QUANTISATION.max, None),
        (2 * NF4_TOLERANCE, 0.092, 0.092, 0.13, "NF4 product error"),
        (0.0, 0.089, 0.092, 0.13, "least NF4 quantisation error"),
        (0.0, 0.092, 0.095, 0.13, "largest NF4 quantisation error"),
        (0.0, 0.092, 0.092, 0.21, "NF4 quantisation error of a block"),
    ],
)
def test_each_error_of_nf4_layers_fails_alone(
    check: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    matmul: float,
    least: float,
    most: float,
    block: float,
    fault: str | None,
) -> None:
    monkeypatch.setattr(nf4, "worst_blocks", lambda layers: {"a": block, "b": 0.1})
    monkeypatch.setattr(nf4, "samples", lambda device: [])
    monkeypatch.setattr(nf4, "matmul_errors", lambda device, layers: {"a": matmul, "b": 0.0})
    monkeypatch.setattr(nf4, "quantisation_errors", lambda layers: {"a": least, "b": most})
    judge(check.test_nf4_layers_are_right, CPU, fault=fault)


def test_whole_memory_passes_and_says_how_much_it_was(check: ModuleType, profile: Profile, evidence: Recorder) -> None:
    passes(check.test_memory_keeps_what_is_written, evidence, profile)
    assert (evidence.kept[0].name, evidence.kept[0].value) == ("memory tested", 1 / 32)


def test_too_little_memory_looked_at_fails(
    check: ModuleType, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = memory_pattern.Blocks(CPU, 16 * 1024**2)
    monkeypatch.setattr(memory_pattern, "take", lambda *_: few)
    fails(check.test_memory_keeps_what_is_written, evidence, profile, by="memory tested")


def test_where_too_little_may_be_looked_at_nothing_is_judged(
    check: ModuleType, profile: Profile, evidence: Recorder
) -> None:
    small = MemoryPattern(share=0.9, max_gib=1 / 64)
    sizes = profile.workloads.model_copy(update={"memory_pattern": small})
    with pytest.raises(Inconclusive, match="proves nothing"):
        check.test_memory_keeps_what_is_written(CPU, profile.model_copy(update={"workloads": sizes}), evidence)


def test_one_bit_that_does_not_stay_is_caught(
    check: ModuleType, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = memory_pattern.Blocks.write

    def write_and_lose(self: memory_pattern.Blocks, pattern: str) -> None:
        write(self, pattern)
        if pattern == "random":
            self.blocks[-1][-1] ^= 1 << 40

    monkeypatch.setattr(memory_pattern.Blocks, "write", write_and_lose)
    fails(check.test_memory_keeps_what_is_written, evidence, profile, by="wrong words")
    assert "random 1" in evidence.kept[1].source


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """The training in this process, which has imported all it needs: what it changes for good is put back."""
    pytest.importorskip("peft", reason="training needs peft: make setup")
    threads = torch.get_num_threads()

    def run(args: list[str], **_: Any) -> Completed:
        assert args[1:4] == ["-P", "-m", "dgxcert.workloads.training.repeatability"]
        repeatability.main(*args[4:])
        return Completed(tuple(args), 0, capsys.readouterr().out, "")

    monkeypatch.setattr(command, "run", run)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def test_the_same_training_passes_and_a_flipped_bit_was_seen(
    check: ModuleType, in_process: None, evidence: Recorder
) -> None:
    passes(check.test_the_same_training_gives_the_same_adapters, evidence)
    assert [kept.value for kept in evidence.kept] == [True, True]


def test_a_training_that_errs_once_is_caught(
    check: ModuleType, in_process: None, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, builds = repeatability._build_model, []

    def err_in_the_second(device: Device, sizes: Any) -> Any:
        model = right(device, sizes)
        builds.append(model)
        if len(builds) == 2:
            repeatability.flip_lowest_bit(model.get_submodule("base_model.model.lm_head").weight)
        return model

    monkeypatch.setattr(repeatability, "_build_model", err_in_the_second)
    fails(check.test_the_same_training_gives_the_same_adapters, evidence, by="adapters equal bit for bit")


@pytest.mark.parametrize(
    ("repeats", "fault"),
    [
        (Repeats("a", "b", "c", 4), "adapters equal bit for bit"),
        (Repeats("a", "b", "b", 4), "adapters equal bit for bit"),
        (Repeats("a", "a", "a", 4), None),
    ],
)
def test_other_adapters_fail_and_an_insensitive_training_is_inconclusive(
    check: ModuleType,
    evidence: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    repeats: Repeats,
    fault: str | None,
) -> None:
    said = json.dumps(dataclasses.asdict(repeats))
    monkeypatch.setattr(command, "run", lambda args, **_: Completed(tuple(args), 0, f"noise\n{said}", ""))
    if fault:
        fails(check.test_the_same_training_gives_the_same_adapters, evidence, by=fault)
    else:
        with pytest.raises(Inconclusive, match="insensitive"):
            check.test_the_same_training_gives_the_same_adapters(CPU, evidence)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_one_entry_that_is_lost_in_a_large_matmul_is_caught(
    check: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(linear_layers, "LAYERS", ((128, 512, 6144),))
    right = torch.nn.functional.linear

    def losing(left: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        output = right(left, weights)
        output[77, (output[77].abs() - output[77].float().std()).abs().argmin()] = 0
        return output

    check.test_matmul_of_real_layers_is_right(CPU, precision, evidence)
    monkeypatch.setattr(torch.nn.functional, "linear", losing)
    fails(check.test_matmul_of_real_layers_is_right, Recorder(), precision, by=f"{precision} layer error")


@pytest.mark.parametrize("exact", [0.0, float("nan"), float("inf")])
def test_an_exact_answer_that_measures_nothing_is_no_small_error(exact: float) -> None:
    with pytest.raises(Inconclusive, match="its error is undefined"):
        numerics.relative_error(torch.ones(4), torch.full((4,), exact))
