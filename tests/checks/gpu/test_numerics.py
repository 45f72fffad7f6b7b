"""The numerics checks pass on a correct device, and each of their comparisons fails on a planted fault."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import check_file
import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from suites import wrong_attention, wrong_gradients
from suites.judged import judge

from dgxcert import command
from dgxcert.command import Completed
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import MemoryPattern
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import attention, backward_passes, linear_layers, memory_pattern
from dgxcert.workloads.models import nf4
from dgxcert.workloads.training import repeatability
from dgxcert.workloads.training.gradients import Agreement
from dgxcert.workloads.training.repeatability import Repeats

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch and bitsandbytes are not tested here

CPU = Device("cpu", 0, "CPU")


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return check_file.load("gpu/test_numerics")


@pytest.fixture(scope="module")
def profile() -> Profile:
    shipped = profiles.load("cpu")
    small = MemoryPattern(max_gib=1 / 32)
    return shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update={"memory_pattern": small})})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers and few cases: these tests are about the comparisons."""
    monkeypatch.setattr(linear_layers, "LAYERS", ((33, 1024, 257), (1, 1030, 64)))
    monkeypatch.setattr(nf4, "LAYERS", ((512, 192), (1024, 256)))
    monkeypatch.setattr(attention, "cases", lambda kind: wrong_attention.CASES)
    monkeypatch.setattr(backward_passes, "LINEAR", {"cpu": ((17, 4096, 64),)})
    monkeypatch.setattr(backward_passes, "LORA", {"cpu": ((256, 192),)})


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


@pytest.mark.catches("MATMUL-CORRECT", "one row of a layer off by a sixteenth")
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
    assert evidence.kept[1].source == "MATH 4 of 4, FLASH_ATTENTION 4 of 4"


@pytest.mark.parametrize(
    "change", [wrong_attention.key_beyond_the_end, wrong_attention.one_wrong_head, wrong_attention.a_little_off]
)
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
    monkeypatch.setattr(attention, "attend", wrong_attention.swapped(backend, change))
    fails(check.test_every_attention_kernel_on_offer_is_right, evidence, profile, by="attention error")
    assert evidence.kept[2].source.startswith(backend)


@pytest.mark.parametrize(
    ("forward", "backward", "output", "gradient", "fault"),
    [
        (2, 2, 4.0, 12.0, None),
        (1, 2, 4.0, 12.0, "attention kernels"),
        (2, 1, 4.0, 12.0, "kernels with gradients"),
        (2, 2, 4.1, 12.0, "attention error"),
        (2, 2, 4.0, 12.1, "gradient error"),
    ],
)
def test_each_quantity_of_attention_kernels_fails_alone(
    check: ModuleType,
    profile: Profile,
    monkeypatch: pytest.MonkeyPatch,
    forward: int,
    backward: int,
    output: float,
    gradient: float,
    fault: str | None,
) -> None:
    kernels = ("MATH", "FLASH_ATTENTION")
    compared = attention.Comparison(
        cases=9,
        trained=8,
        forward=dict.fromkeys(kernels[:forward], 9),
        backward=dict.fromkeys(kernels[:backward], 8),
        output=attention.Worst(output, "a row"),
        gradient=attention.Worst(gradient, "another row"),
    )
    monkeypatch.setattr(attention, "compare", lambda device: compared)
    judge(check.test_every_attention_kernel_on_offer_is_right, CPU, profile, fault=fault)


def test_a_kernel_that_is_not_on_offer_is_not_counted(
    check: ModuleType, small: None, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "attend", wrong_attention.swapped("FLASH_ATTENTION", lambda *_: None))
    with pytest.raises(AssertionError):
        check.test_every_attention_kernel_on_offer_is_right(CPU, profile, evidence)
    assert evidence.kept[0].source == "MATH 8 of 8"


@pytest.mark.catches(
    "ATTENTION-CORRECT",
    "dQ, dK or dV of one kernel 6 % too large; one of its rows lost or exchanged; a 16 x 8 tile of it lost",
    unseen="3 % of the size of every row in bf16",
)
@pytest.mark.parametrize("of", ["Q", "K", "V"])
@pytest.mark.parametrize("fault", wrong_attention.FAULTS)
def test_a_kernel_with_wrong_gradients_is_caught(
    check: ModuleType, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch, fault: str, of: str
) -> None:
    monkeypatch.setattr(attention, "cases", lambda kind: wrong_attention.TRAINED)
    broken = wrong_attention.attention_with(
        wrong_attention.FAULTS[fault], of, when=lambda backend, *_: backend == "FLASH_ATTENTION"
    )
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", broken)
    fails(check.test_every_attention_kernel_on_offer_is_right, evidence, profile, by="gradient error")
    assert evidence.kept[3].source.startswith(f"FLASH_ATTENTION, {wrong_attention.TRAINED[0]}: d{of} in training")


@pytest.mark.catches(
    "ATTENTION-CORRECT",
    "16 of 2049 cached keys, one tile, lost by one kernel in one sequence and head; the last key lost",
    unseen="one lost key among thousands that no query is aimed at, about 2 % of a row of random values, may pass",
)
@pytest.mark.parametrize("lost", [range(16), range(1024, 1040), range(2032, 2048), range(2048, 2049)])
def test_a_lost_tile_of_a_long_cache_is_caught(
    check: ModuleType, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch, lost: range
) -> None:
    decoded = attention.long_cases("bf16", 2049)[1]
    monkeypatch.setattr(attention, "cases", lambda kind: [*wrong_attention.TRAINED, decoded])
    aimed_at = attention.targets(decoded)[..., 0]
    sequence, head = next(place for place in itertools.product(*map(range, aimed_at.shape)) if aimed_at[place] in lost)
    monkeypatch.setattr(attention, "attend", wrong_attention.losing_keys(lost, sequence, head))
    fails(check.test_every_attention_kernel_on_offer_is_right, evidence, profile, by="attention error")
    assert evidence.kept[2].source.startswith(f"FLASH_ATTENTION, {decoded}: output, row 0 of head {head}")


@pytest.mark.catches(
    "ATTENTION-CORRECT", "a causal mask that shows one key too many in the last 16 rows; key heads exchanged"
)
@pytest.mark.parametrize("change", ["one key too many", "key heads exchanged"])
def test_a_wrong_mask_or_head_of_a_prompt_is_caught(
    check: ModuleType, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    prompt = attention.long_cases("bf16", 513)[0]
    monkeypatch.setattr(attention, "cases", lambda kind: [prompt])
    monkeypatch.setattr(
        attention, "attend", wrong_attention.swapped("FLASH_ATTENTION", wrong_attention.WRONG_PROMPTS[change])
    )
    fails(check.test_every_attention_kernel_on_offer_is_right, evidence, profile, by="attention error")
    assert evidence.kept[2].source.startswith("FLASH_ATTENTION")


SHAPES: dict[str, Callable[[Any, Any, bool], bool]] = {
    "grouped heads": lambda query, key, causal: query.shape[1] != key.shape[1],
    "as many key heads": lambda query, key, causal: query.shape[1] == key.shape[1],
    "a single key head": lambda query, key, causal: key.shape[1] == 1,
    "a causal mask": lambda query, key, causal: causal,
    "no mask": lambda query, key, causal: not causal,
    "a remainder of a tile": lambda query, key, causal: query.shape[2] % 64 != 0,
    "full tiles": lambda query, key, causal: query.shape[2] % 128 == 0,
    "heads of 64": lambda query, key, causal: query.shape[3] == 64,
    "heads of 128": lambda query, key, causal: query.shape[3] == 128,
    "a long context": lambda query, key, causal: key.shape[2] > 2000,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_that_are_wrong_only_for_some_shapes_are_caught(
    check: ModuleType, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    """Of all cases those for which the fault is made: the others are right, and would only take time."""
    suspected = SHAPES[shape]

    def hit(case: attention.Case) -> bool:
        query, key = (
            torch.empty(1, heads, count, case.head_dim, device="meta")
            for heads, count in ((case.heads, case.queries), (case.kv_heads, case.keys))
        )
        long = shape == "a long context"
        return case.trains and (case.keys > 2000) == long and suspected(query, key, case.causal)

    first = next(case for case in reversed(attention.cases("cpu")) if hit(case) and case.precision == "bf16")
    monkeypatch.setattr(attention, "cases", lambda kind: [first])
    broken = wrong_attention.attention_with(
        wrong_gradients.FAULTS["halved"], "V", when=lambda backend, *shapes: suspected(*shapes)
    )
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", broken)
    fails(check.test_every_attention_kernel_on_offer_is_right, evidence, profile, by="gradient error")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "nf4"])
def test_right_layer_gradients_pass(
    check: ModuleType, small: None, profile: Profile, evidence: Recorder, precision: str
) -> None:
    if precision == "nf4":
        pytest.importorskip("bitsandbytes", reason="NF4 needs bitsandbytes: make setup")
    passes(check.test_gradients_of_layers_are_right, evidence, precision, profile)


@pytest.mark.parametrize(("error", "fault"), [(8.0, None), (8.1, "bf16 gradient error")])
def test_the_worst_layer_gradient_decides(
    check: ModuleType, profile: Profile, monkeypatch: pytest.MonkeyPatch, error: float, fault: str | None
) -> None:
    compared = backward_passes.Comparison(3, attention.Worst(error, "a row"))
    monkeypatch.setattr(backward_passes, "compare", lambda device, precision: compared)
    judge(check.test_gradients_of_layers_are_right, CPU, "bf16", profile, fault=fault)


@pytest.mark.catches(
    "GRADIENTS-CORRECT",
    "a 16 x 8 tile of dW of a linear layer of 4096 x 6144 lost; one row of it lost or exchanged; 6 % too large",
    unseen="1.3 % of the size of every row in bf16, 0.2 % in fp16",
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("fault", wrong_gradients.FAULTS)
def test_a_wrong_layer_gradient_is_caught_by_name(
    check: ModuleType,
    small: None,
    profile: Profile,
    evidence: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    precision: str,
) -> None:
    right = torch.nn.functional.linear

    def linear(rows: Any, weights: Any, bias: Any = None) -> Any:
        return right(rows, wrong_gradients.changed(weights, wrong_gradients.FAULTS[fault]), bias)

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    fails(
        check.test_gradients_of_layers_are_right,
        evidence,
        precision,
        profile,
        by=f"{precision} gradient error",
    )
    assert "dW of linear 17x4096x64" in evidence.kept[0].source


@pytest.fixture(scope="module")
def bitsandbytes() -> Any:
    return pytest.importorskip("bitsandbytes", reason="NF4 needs bitsandbytes: make setup")


def test_right_nf4_layers_pass(check: ModuleType, small: None, bitsandbytes: ModuleType, evidence: Recorder) -> None:
    passes(check.test_nf4_layers_are_right, evidence)
    assert set(nf4.ROWS) == {1, 8}


@pytest.mark.catches("NF4-CORRECT", "the scale of one block of 64 weights doubled or 0")
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
    right = nf4.linear4bit

    def rescaled(weights: Any) -> Any:
        layer = right(weights)
        layer.weight.quant_state.absmax[blocks] *= factor
        return layer

    monkeypatch.setattr(nf4, "linear4bit", rescaled)
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


def test_whole_memory_passes_and_its_size_is_recorded(check: ModuleType, profile: Profile, evidence: Recorder) -> None:
    passes(check.test_memory_keeps_what_is_written, evidence, profile)
    kept = {quantity.name: quantity.value for quantity in evidence.kept}
    assert kept["memory tested"] == 1 / 32
    assert kept["share of memory tested"] == pytest.approx(1 / 32 / memory.read().total_gib, rel=0.01)


def test_too_small_a_share_of_tested_memory_fails(
    check: ModuleType, profile: Profile, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = memory_pattern.Tested(memory_pattern.Blocks(CPU, 16 * 1024**2), 1000.0, "MemTotal")
    monkeypatch.setattr(memory_pattern, "take", lambda *_: few)
    fails(check.test_memory_keeps_what_is_written, evidence, profile, by="share of memory tested")


def test_too_little_memory_to_test_is_inconclusive(check: ModuleType, profile: Profile, evidence: Recorder) -> None:
    small = MemoryPattern(max_gib=1e-4)
    sizes = profile.workloads.model_copy(update={"memory_pattern": small})
    with pytest.raises(Inconclusive, match="are free to be tested"):
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
    assert "random 1" in evidence.kept[2].source


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
    check: ModuleType, profile: Profile, in_process: None, evidence: Recorder
) -> None:
    passes(check.test_the_same_training_gives_the_same_adapters, evidence, profile)
    assert [kept.value for kept in evidence.kept[:2]] == [True, True]


@pytest.mark.catches(
    "TRAINING-REPEATS",
    "gradients of one adapter negated in every training, which repeats bit for bit",
    unseen="in bf16 gradients turned by less than 40 degrees, the same way each time",
)
def test_a_training_that_errs_each_time_alike_is_caught(
    check: ModuleType, profile: Profile, in_process: None, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = repeatability._build_model

    def negated(device: Device, sizes: Any) -> Any:
        model = right(device, sizes)
        name = "base_model.model.model.layers.1.mlp.down_proj.lora_A.default"
        model.get_submodule(name).weight.register_hook(torch.neg)
        return model

    monkeypatch.setattr(repeatability, "_build_model", negated)
    fails(check.test_the_same_training_gives_the_same_adapters, evidence, profile, by="angle to exact gradients")
    assert "worst at layers.1.mlp.down_proj.lora_A" in evidence.violated[0][0].source


@pytest.mark.catches("TRAINING-REPEATS", "the last bit of one weight in one of two trainings")
def test_a_training_that_errs_once_is_caught(
    check: ModuleType, profile: Profile, in_process: None, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, builds = repeatability._build_model, []

    def err_in_the_second(device: Device, sizes: Any) -> Any:
        model = right(device, sizes)
        builds.append(model)
        if len(builds) == 2:
            repeatability.flip_lowest_bit(model.get_submodule("base_model.model.lm_head").weight)
        return model

    monkeypatch.setattr(repeatability, "_build_model", err_in_the_second)
    fails(check.test_the_same_training_gives_the_same_adapters, evidence, profile, by="adapters equal bit for bit")


EXACT = Agreement(angle_deg=1e-4, angle_at="layers.1.lora_A", size=1.0, size_at="layers.0.lora_B", tensors=12)


@pytest.mark.parametrize(
    ("repeats", "fault"),
    [
        (Repeats("a", "b", "c", 4, EXACT, "fp32"), "adapters equal bit for bit"),
        (Repeats("a", "b", "b", 4, EXACT, "fp32"), "adapters equal bit for bit"),
        (Repeats("a", "a", "b", 4, dataclasses.replace(EXACT, angle_deg=1), "fp32"), "angle to exact gradients"),
        (Repeats("a", "a", "b", 4, dataclasses.replace(EXACT, size=0.99), "fp32"), "size of gradients"),
        (Repeats("a", "a", "b", 4, dataclasses.replace(EXACT, size=1.01), "fp32"), "size of gradients"),
        (Repeats("a", "a", "a", 4, EXACT, "fp32"), None),
    ],
)
def test_other_adapters_fail_and_an_insensitive_training_is_inconclusive(
    check: ModuleType,
    profile: Profile,
    evidence: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    repeats: Repeats,
    fault: str | None,
) -> None:
    result = json.dumps(dataclasses.asdict(repeats))
    monkeypatch.setattr(command, "run", lambda args, **_: Completed(tuple(args), 0, f"noise\n{result}", ""))
    if fault:
        fails(check.test_the_same_training_gives_the_same_adapters, evidence, profile, by=fault)
    else:
        with pytest.raises(Inconclusive, match="insensitive"):
            check.test_the_same_training_gives_the_same_adapters(CPU, profile, evidence)


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
