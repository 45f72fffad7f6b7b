"""Prefill and decode are right on both paths, and their verification catches wrong tokens and logits."""

import math
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.rounds import Rounds
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import memory
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Inference, Setting
from dgxcert.workloads.inference import generation, llama_layer
from dgxcert.workloads.inference.weight_forms import Int4
from dgxcert.workloads.models import seeded

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

CPU = Device("cpu", 0, "CPU")
NEW, PROMPT = 6, 12


@pytest.fixture(scope="module")
def profile() -> Profile:
    shipped = profiles.load("cpu")
    setting, batch = Setting(prompt=PROMPT, new_tokens=NEW), Setting(batch=3, prompt=PROMPT, new_tokens=NEW)
    small = Inference(model="llama-tiny", compile=False, single=setting, long=setting, full=batch)
    matmul = shipped.workloads.matmul.model_copy(update={"size": 128, "products": 1, "sweep": (128,)})
    bandwidth = shipped.workloads.bandwidth.model_copy(update={"size_mib": 4})
    changed = {"prefill": small, "decode": small, "matmul": matmul, "bandwidth": bandwidth}
    return shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update=changed)})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def once(_: float) -> bool:
    """One round is enough."""
    return False


def case(text: str) -> Case:
    return Case(*text.split("-"))


DECODED = ["fp32-stock-single", "fp32-tuned-single", "fp32-tuned-full", "nf4-stock-single", "nf4-tuned-single"]


@pytest.mark.parametrize("name", [*DECODED, "int4-tuned-single", "int4-tuned-full"])
def test_right_decoding_passes_in_every_case(profile: Profile, evidence: Recorder, name: str) -> None:
    workload = generation.prepare_decode(CPU, profile, case(name))
    workload.run_rounds(once)
    workload.verify(evidence)
    assert not evidence.violated
    kept = {item.name: item.value for item in evidence.kept}
    assert kept["generated tokens"] == NEW
    assert ("fp32" in name) != any(quantity.endswith("product error") for quantity in kept), (
        "4-bit layers are also verified alone"
    )


@pytest.mark.parametrize("name", ["fp32-stock-single", "fp32-tuned-full", "nf4-stock-single", "int4-tuned-single"])
def test_right_prefill_passes_on_both_paths(profile: Profile, evidence: Recorder, name: str) -> None:
    workload = generation.prepare_prefill(CPU, profile, case(name))
    workload.run_rounds(once)
    workload.verify(evidence)
    assert not evidence.violated
    assert workload.logits is not None
    workload.logits = workload.logits.roll(1, -1)
    with pytest.raises(Wrong):
        workload.verify(Recorder())


@pytest.fixture(scope="module", params=["stock", "tuned"])
def decode(request: pytest.FixtureRequest, profile: Profile) -> generation.Decode:
    return generation.prepare_decode(CPU, profile, Case("fp32", request.param, "single"))


@pytest.fixture
def decoded(decode: generation.Decode) -> Iterator[generation.Decode]:
    weights = {name: weight.detach().clone() for name, weight in decode.model.named_parameters()}
    decode.run_rounds(once)
    yield decode
    decode.model.load_state_dict(weights, strict=False)


def test_both_paths_generate_the_same_tokens(profile: Profile) -> None:
    generated = []
    for path in ("stock", "tuned"):
        workload = generation.prepare_decode(CPU, profile, Case("fp32", path, "full"))
        workload.run_rounds(once)
        assert workload.generated is not None
        generated.append(workload.generated.clone())
    assert torch.equal(*generated)


def test_a_second_round_generates_the_same_tokens(decode: generation.Decode) -> None:
    generated = []

    def twice(_: float) -> bool:
        assert decode.generated is not None
        generated.append(decode.generated.clone())
        return len(generated) < 2

    decode.run_rounds(twice)
    assert torch.equal(*generated)


def test_a_wrong_token_is_caught(decoded: generation.Decode, evidence: Recorder) -> None:
    assert decoded.generated is not None
    decoded.generated = decoded.generated.clone()
    decoded.generated[0, -1] = (decoded.generated[0, -1] + 1) % 8192  # the last: no later logits follow from it
    with pytest.raises(Wrong):
        decoded.verify(evidence)
    assert [pair[0].name for pair in evidence.violated][-1] == "chosen tokens fall short by"


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_wrong_token_in_any_row_of_a_batch_is_caught(profile: Profile, evidence: Recorder, row: int) -> None:
    workload = generation.prepare_decode(CPU, profile, Case("fp32", "tuned", "full"))
    workload.run_rounds(once)
    assert workload.generated is not None
    workload.generated = workload.generated.clone()
    workload.generated[row, -1] = (workload.generated[row, -1] + 1) % 8192
    with pytest.raises(Wrong):
        workload.verify(evidence)


def test_a_missing_token_is_caught(decoded: generation.Decode, evidence: Recorder) -> None:
    assert decoded.generated is not None
    decoded.generated = decoded.generated[:, :-1]
    with pytest.raises(Wrong):
        decoded.verify(evidence)
    assert evidence.violated[0][0].name == "generated tokens"


def test_a_nan_is_caught(decoded: generation.Decode, evidence: Recorder) -> None:
    assert decoded.logits is not None
    decoded.logits = decoded.logits.clone()
    decoded.logits[0, 5] = math.nan
    with pytest.raises(Wrong):
        decoded.verify(evidence)
    assert evidence.violated[0][0].name == "logits are finite"


def test_weights_that_changed_during_the_rounds_are_caught(decoded: generation.Decode, evidence: Recorder) -> None:
    with torch.no_grad():
        decoded.model.lm_head.weight[:, :] = decoded.model.lm_head.weight.flip(0)
    with pytest.raises(Wrong):
        decoded.verify(evidence)


@pytest.mark.parametrize(
    "fault",
    [
        ("apply_rotary_emb", lambda x, cos, sin: x),
        ("_project_qkv", None),
    ],
    ids=["positions are lost", "the cache loses keys"],
)
def test_a_tuned_path_that_computes_something_else_is_caught(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder, fault: tuple[str, object]
) -> None:
    name, wrong = fault
    right = llama_layer._project_qkv

    def without_keys(*inputs: object) -> object:
        queries, (keys, values) = right(*inputs)  # type: ignore[arg-type]
        return queries, torch.stack([keys * 0, values])

    monkeypatch.setattr(llama_layer, name, wrong or without_keys)
    workload = generation.prepare_decode(CPU, profile, Case("fp32", "tuned", "single"))
    workload.run_rounds(once)
    with pytest.raises(Wrong):
        workload.verify(evidence)


def test_the_time_to_first_token_and_per_output_token_are_recorded(profile: Profile, evidence: Recorder) -> None:
    workload = generation.prepare_decode(CPU, profile, Case("fp32", "stock", "full"))
    seconds: list[float] = []
    workload.run_rounds(lambda round_s: seconds.append(round_s) or len(seconds) < 3)
    workload.record_latency(evidence, Rounds(tuple(seconds)))
    kept = {item.name: item.value for item in evidence.kept}
    assert float(kept["time to first token"]) > 0
    per_token = 1e3 * sorted(seconds)[1] / (NEW - 1)
    assert kept["time per output token"] == pytest.approx(per_token)
    assert workload.work.amount == 3 * (NEW - 1), "of generate, the steps after the first token are timed"


@pytest.mark.parametrize("part", ["packed", "scales"])
def test_an_int4_layer_with_wrong_weights_is_caught(profile: Profile, part: str) -> None:
    workload = generation.prepare_decode(CPU, profile, Case("int4", "tuned", "single"))
    workload.run_rounds(once)
    form = workload.tuned.form
    assert isinstance(form, Int4)
    name = next(iter(form.packed))
    packed, scales = form.packed[name]
    form.packed[name] = (packed.roll(1, 0), scales) if part == "packed" else (packed, scales * 1.1)
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_a_model_that_does_not_fit_is_refused_before_it_is_built_and_the_largest_that_fits_is_named(
    monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    available = memory.Memory(total_gib=64, available_gib=8, swap_gib=0, swap_used_gib=0)
    monkeypatch.setattr(memory, "read", lambda: available)
    large = profile.workloads.decode.model_copy(update={"model": "llama-3.1-8b"})
    sizes = profile.workloads.model_copy(update={"decode": large})
    too_large = profile.model_copy(update={"workloads": sizes})
    monkeypatch.setattr(seeded, "_fill", None)  # so that building it would fail otherwise
    with pytest.raises(Inconclusive, match=r"8\.03 B parameters in bf16 needs .* 8\.0 GiB are available") as raised:
        generation.prepare_decode(CPU, too_large, Case("bf16", "tuned", "single"))
    assert "Use llama-3.2-1b, the largest model that fits" in raised.value.remedy[-1]


def test_a_setting_without_sizes_in_the_profile_is_inconclusive(profile: Profile) -> None:
    with pytest.raises(Inconclusive, match="has no sizes for the setting full_long"):
        generation.prepare_decode(CPU, profile, Case("fp32", "tuned", "full_long"))


@pytest.mark.parametrize("function", ["_decode_attention", "_prefill_attention"])
def test_attention_that_is_off_by_too_little_for_the_logits_is_caught(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder, function: str
) -> None:
    right = getattr(llama_layer, function)
    monkeypatch.setattr(llama_layer, function, lambda *inputs: right(*inputs) * 1.001)
    prepare = generation.prepare_decode if function == "_decode_attention" else generation.prepare_prefill
    workload = prepare(CPU, profile, Case("fp32", "tuned", "full"))
    workload.run_rounds(once)
    with pytest.raises(Wrong):
        workload.verify(evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["attention of the worst head"]
    assert evidence.kept[-1].value == pytest.approx(1e-3, rel=0.05)
