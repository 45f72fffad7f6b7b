"""LoRA scaling: what ranks noted is judged rank by rank, and a real training of two ranks notes what is so."""

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("peft", reason="training needs peft: make setup")

from paths import ROOT
from suites import lora_faults
from suites.judged import judge

from dgxcert import command
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Disturbed, Inconclusive, Wrong
from dgxcert.probes.host import memory
from dgxcert.probes.host.processors import Processors
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import LoraModel
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.training.data_parallel import scaling
from dgxcert.workloads.training.data_parallel.noted import Noted, OneDevice, Plan, Steps
from dgxcert.workloads.training.data_parallel.scaling import Scaling

DEVICES = tuple(Device("cpu", index, "CPU") for index in range(3))
PLAN = Plan(
    model=LoraModel(model="llama-tiny", batch=1, length=16, learning_rate=3e-3),
    precision="fp32",
    compile=False,
    warm_up=1,
    alone=3,
    compared=2,
    together=6,
    ours=(1, 1, 1),
)
ONE_DEVICE = OneDevice(
    losses=((9.0, 9.1, 9.2), (8.0, 8.1, 8.2)), angle_deg=1e-5, angle_at="lora_A", size=1.0, size_at="lora_B", tensors=24
)
LATER = (7.0,) * 6


def steps(*seconds: float, began: float = 10.0) -> Steps:
    ended = []
    for each in seconds:
        began += each
        ended.append(began)
    return Steps(began=began - sum(seconds), ended=tuple(ended))


def noted(**changed: Any) -> Scaling:
    """Three ranks that do 10 step/s alone and together; `rank1` and others change what one of them noted."""
    ranks = []
    for index in range(3):
        of_rank = Noted(
            alone=steps(0.1, 0.1, 0.1),
            together=steps(*[0.1] * 6),
            forward_s=(0.03,) * 6,
            losses=(ONE_DEVICE.losses[0][index], ONE_DEVICE.losses[1][index], *LATER),
            weights={"lora_A": "5f", "q_proj": "96 words, sum 4"},
            one_device=ONE_DEVICE if index == 0 else None,
            compiled=0,
            peak_bytes=2**30,
            cpu=(Processors(10.0, 100.0, 5.0, 4), Processors(10.6, 101.5, 5.5, 4)),
        )
        ranks.append(of_rank.model_copy(update=changed.get(f"rank{index}", changed.get("every", {}))))
    return Scaling(DEVICES, tuple(ranks), PLAN)


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The cpu profile with limits as narrow as those of a GPU."""
    shipped = profiles.load("cpu")
    narrow = {
        "training.scaling": shipped.limit("training.scaling").model_copy(update={"min": 0.8}),
        "spread": shipped.limit("spread").model_copy(update={"max": 0.3}),
        "ceiling.share": shipped.limit("ceiling.share").model_copy(update={"max": 1.02}),
    }
    return shipped.model_copy(update={"limits": shipped.limits | narrow})


@pytest.fixture(scope="module")
def benchmark_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lora_scaling", ROOT / "benchmarks" / "test_lora_scaling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judged(benchmark_file: ModuleType, profile: Profile, found: Scaling, fault: str | None) -> Recorder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling, "measured", lambda devices, profile: found)
        check = benchmark_file.test_adapters_are_trained_together_nearly_as_fast_as_alone
        return judge(check, DEVICES, profile, fault=fault)


def test_ranks_as_fast_together_as_alone_pass(benchmark_file: ModuleType, profile: Profile) -> None:
    evidence = judged(benchmark_file, profile, noted(), None)
    values = {kept.name: kept.value for kept in evidence.kept}
    assert values["LoRA alone"] == pytest.approx(10)
    assert values["LoRA together"] == pytest.approx(10)
    assert values["LoRA scaling"] == pytest.approx(1.0)
    assert values["peak memory of LoRA together"] == 1.0
    assert values["others of LoRA together"] == pytest.approx(0.0), "the CPU time of three ranks is their own"


SLOWER = {"together": steps(*[0.12, 0.13] * 3), "forward_s": (0.05,) * 6}


@pytest.mark.parametrize(
    ("seconds", "fault"), [((0.12, 0.13) * 3, None), ((0.1251,) * 6, "LoRA scaling"), ((0.5,) * 6, "LoRA scaling")]
)
def test_the_slowest_rank_sets_the_pace_and_is_named(
    benchmark_file: ModuleType, profile: Profile, seconds: tuple[float, ...], fault: str | None
) -> None:
    slow = {"together": steps(*seconds), "forward_s": (0.05,) * 6}
    evidence = judged(benchmark_file, profile, noted(rank2=slow), fault)
    (share,) = (kept for kept in evidence.kept if kept.name == "LoRA scaling")
    assert share.value == pytest.approx(0.6 / sum(seconds))
    assert "rank 2 computes longest: forward passes together in ms: rank 0 30, rank 1 30, rank 2 50" in share.source


def test_a_device_that_is_slow_alone_too_lowers_the_linear_rate_by_its_part(profile: Profile) -> None:
    slow = {"alone": steps(0.2, 0.2, 0.2), "together": steps(*[0.2] * 6)}
    evidence = Recorder()
    share = noted(rank1=slow).measure(evidence, profile)
    assert share.number == pytest.approx(5 / (25 / 3)), "one of three devices at half its rate costs all of them half"


@pytest.mark.catches(
    "LORA-SCALING",
    "one of several GPUs that computes a quarter slower than the others; one weight or one loss that differs on a rank",
)
@pytest.mark.parametrize(
    ("changed", "quantity", "said"),
    [
        ({"rank1": {"losses": (9.1002, 8.1, *LATER)}}, "difference of a rank's first loss", "step 1 on rank 1"),
        ({"rank2": {"losses": (9.2, 8.2002, *LATER)}}, "difference of a rank's later loss", "step 2 on rank 2"),
        (
            {"rank0": {"one_device": ONE_DEVICE.model_copy(update={"size": 3.0})}},
            "size of exchanged gradients",
            "worst at lora_B",
        ),
        (
            {"rank0": {"one_device": ONE_DEVICE.model_copy(update={"size": 0.9998})}},
            "size of exchanged gradients",
            "worst at lora_B",
        ),
        (
            {"rank0": {"one_device": ONE_DEVICE.model_copy(update={"angle_deg": 0.006})}},
            "angle to one device's gradients",
            "worst at lora_A",
        ),
        (
            {"rank1": {"weights": {"lora_A": "91", "q_proj": "96 words, sum 4"}}},
            "weights that differ between ranks",
            "rank 1 differs from the other ranks: lora_A",
        ),
        (
            {"rank2": {"weights": {"lora_A": "5f", "q_proj": "96 words, sum 5"}}},
            "weights that differ between ranks",
            "rank 2 differs from the other ranks: q_proj",
        ),
    ],
)
def test_what_ranks_compute_wrongly_fails_before_their_speed(
    profile: Profile, changed: dict[str, Any], quantity: str, said: str
) -> None:
    evidence = Recorder()
    with pytest.raises(Wrong):
        noted(**changed).verify(evidence)
    ((kept, _),) = evidence.violated
    assert (kept.name, said in kept.source) == (quantity, True)


def test_a_loss_that_is_not_finite_is_wrong(profile: Profile) -> None:
    evidence = Recorder()
    broken = noted()
    told = broken.noted[1].model_dump(mode="json") | {"losses": [9.1, 8.1, *LATER[1:], float("nan")]}
    of_rank = Noted.model_validate(json.loads(json.dumps(told)))  # as it comes from a rank
    with pytest.raises(Wrong):
        dataclasses.replace(broken, noted=(broken.noted[0], of_rank, broken.noted[2])).verify(evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["losses are finite"]


@pytest.mark.parametrize("rank", ["rank0", "rank1", "rank2"])
def test_a_compared_loss_that_is_not_finite_is_wrong_on_any_rank(profile: Profile, rank: str) -> None:
    evidence = Recorder()
    with pytest.raises(Wrong):
        noted(**{rank: {"losses": (ONE_DEVICE.losses[0][int(rank[-1])], float("nan"), *LATER)}}).verify(evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["losses are finite"]


def test_gradients_that_are_not_finite_are_noted_and_wrong(profile: Profile) -> None:
    evidence = Recorder()
    told = ONE_DEVICE.model_dump(mode="json") | {"angle_deg": float("nan"), "size": float("nan")}
    broken = OneDevice.model_validate(json.loads(json.dumps(told)))
    with pytest.raises(Wrong):
        noted(rank0={"one_device": broken}).verify(evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["gradients are finite"]


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"every": {"together": steps(*[0.09] * 6)}}, Inconclusive, "the measurement is wrong"),
        ({"rank1": {"alone": steps(0.05, 0.1, 0.2)}}, Disturbed, "rank 1 alone is too noisy"),
        ({"every": {"together": steps(0.1, 0.2, 0.1, 0.3, 0.1, 0.4)}}, Disturbed, "LoRA together is too noisy"),
        ({"rank2": {"disturbed": "GPU 2 was shared: 2"}}, Disturbed, "GPU 2 was shared"),
        ({"rank2": {"disturbed": "not told", "unknown": ("Look.",)}}, Inconclusive, "not told. Look."),
        ({"rank1": {"compiled": 2}}, Inconclusive, "code was compiled 2 times"),
    ],
)
def test_what_cannot_be_believed_is_inconclusive(
    profile: Profile, changed: dict[str, Any], error: type[Inconclusive], said: str
) -> None:
    with pytest.raises(error, match=said):
        noted(**changed).measure(Recorder(), profile)


def test_a_machine_that_others_use_proves_no_slow_training(profile: Profile) -> None:
    busy = (Processors(10.0, 100.0, 5.0, 4), Processors(10.6, 102.3, 5.5, 4))
    evidence = Recorder()
    found = noted(every={"cpu": busy, "together": steps(*[0.2] * 6)})
    assert not found.measure(evidence, profile) >= profile.limit("training.scaling")
    assert "other processes used 33% of the CPU" in evidence.disturbance


@pytest.mark.parametrize(
    ("device", "gib", "said"),
    [
        (DEVICES[0], 2.0, "training on 2 ranks needs"),
        (Device("cuda", 0, "NVIDIA H200"), 7.9, "2 ranks need 8 GiB of the host's memory; 7.9 GiB"),
    ],
)
def test_memory_of_the_host_is_counted_for_all_ranks(
    monkeypatch: pytest.MonkeyPatch, device: Device, gib: float, said: str
) -> None:
    monkeypatch.setattr(memory, "usable", lambda: memory.Usable(gib, "a test"))
    with pytest.raises(Inconclusive, match=said):
        scaling.require_memory([device, device], PLAN)
    monkeypatch.setattr(memory, "usable", lambda: memory.Usable(8.0, "a test"))
    scaling.require_memory([device, device], PLAN)


@pytest.fixture(scope="module")
def answers(loaded: Callable[..., Any]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """What two gloo ranks noted with each planted fault."""
    plan = PLAN.model_copy(update={"ours": (1, 1)}).model_dump(mode="json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "PACKAGE", "suites")
        patch.setattr(command, "start", loaded)
        patch.setenv("PYTHONPATH", str(ROOT / "tests"))
        yield launch.run("lora_faults", DEVICES[:2], {"plan": plan, "faults": list(lora_faults.KNOWN)}, limit_s=300)


def of(answers: Sequence[Mapping[str, Any]], fault: str) -> Scaling:
    return Scaling(DEVICES[:2], tuple(Noted.model_validate(answer[fault]) for answer in answers), PLAN)


def test_a_real_training_of_two_ranks_is_right_and_its_times_add_up(answers: Sequence[Mapping[str, Any]]) -> None:
    found, evidence = of(answers, "LoraSteps"), Recorder()
    found.verify(evidence)
    assert not evidence.violated
    share = found.measure(evidence, profiles.load("cpu"))
    assert share.number > 0
    assert [len(each.together.ended) for each in found.noted] == [PLAN.together] * 2
    first, second = (each.alone for each in found.noted)
    assert first.ended[-1] < second.began, "each has its turn while the other waits"
    assert all(sum(each.forward_s) < each.together.ended[-1] - each.together.began for each in found.noted)


def test_a_rank_that_computes_longer_is_named_by_its_forward_passes(answers: Sequence[Mapping[str, Any]]) -> None:
    found = of(answers, "SlowTogether")
    assert min(found.noted[1].forward_s) >= lora_faults.SLOWER_S
    assert min(found.rounds) >= lora_faults.SLOWER_S, "the other rank waits for it in every step"
    evidence = Recorder()
    found._record_slowest(evidence)
    assert evidence.kept[0].source.startswith("rank 1 computes longest")


@pytest.mark.parametrize(
    ("fault", "quantity", "said"),
    [
        ("OtherRows", "difference of a rank's first loss", "step 1 on rank 1"),
        ("OtherRate", "weights that differ between ranks", "rank 1 differs from rank 0"),
    ],
)
def test_a_rank_that_trains_otherwise_is_named(
    answers: Sequence[Mapping[str, Any]], fault: str, quantity: str, said: str
) -> None:
    evidence = Recorder()
    with pytest.raises(Wrong):
        of(answers, fault).verify(evidence)
    names = [kept.name for kept, _ in evidence.violated]
    assert quantity in names
    assert said in evidence.violated[0][0].source
