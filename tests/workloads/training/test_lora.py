"""LoRA trains what it claims on both paths, on the same rows; losses and gradients catch what goes wrong."""

import time
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.rounds import Rounds
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import memory
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import LoraModel
from dgxcert.workloads.hardware import rooflines
from dgxcert.workloads.models import architectures, seeded
from dgxcert.workloads.training import lora, lora_batches, lora_setup, lora_trainer, lora_training
from dgxcert.workloads.training.gradients import is_usable

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

CPU = Device("cpu", 0, "CPU")
STEPS = 8


@pytest.fixture(scope="module")
def profile() -> Profile:
    found = profiles.load("cpu")
    model = LoraModel(model="llama-tiny", batch=2, length=24, learning_rate=3e-3)
    sizes = found.workloads.lora.model_copy(update={"small": model, "large": model})
    lab = found.workloads.lab.model_copy(update={"hidden": 64, "intermediate": 128, "batch": 4, "length": 16})
    matmul = found.workloads.matmul.model_copy(update={"size": 128, "products": 1, "sweep": (128,)})
    bandwidth = found.workloads.bandwidth.model_copy(update={"size_mib": 4})
    changed = {"lora": sizes, "lab": lab, "matmul": matmul, "bandwidth": bandwidth}
    return found.model_copy(update={"workloads": found.workloads.model_copy(update=changed)})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


class Few:
    """Takes the seconds of steps until there are enough."""

    def __init__(self, steps: int = STEPS) -> None:
        self.seconds: list[float] = []
        self._steps = steps

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) < self._steps


def trained(profile: Profile, name: str) -> lora_training.Training:
    workload = lora.prepare(CPU, profile, Case(*name.split("-")))
    workload.run_rounds(Few())
    return workload


@pytest.mark.parametrize(
    "name", [f"{what}" for what in ("fp32-stock-course", "fp32-tuned-course", "fp32-stock-small", "fp32-tuned-small")]
)
def test_both_paths_train_as_a_plain_loop_does(profile: Profile, evidence: Recorder, name: str) -> None:
    workload = trained(profile, name)
    workload.verify(evidence)
    workload.record_use(evidence, Rounds((1.0, 1.0, 1.0)))
    assert not evidence.violated
    kept = {each.name: each.value for each in evidence.kept}
    assert kept["first loss differs by"] < 1e-5
    assert kept["losses differ by"] < 1e-5
    assert kept["tokens"] == workload.setup.tokens, "padding is not counted"
    assert kept["MFU"] == pytest.approx(workload.setup.flops / profile.peak("matmul.fp32").value / 1e12)


@pytest.mark.parametrize("path", ["stock", "tuned"])
def test_four_bit_models_train_on_both_paths(profile: Profile, evidence: Recorder, path: str) -> None:
    pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")
    workload = trained(profile, f"nf4-{path}-large")
    workload.verify(evidence)
    held = [type(each).__name__ for each in workload.model.modules()]
    assert "Linear4bit" in held
    assert not evidence.violated


def test_packed_rows_do_not_see_each_other(profile: Profile) -> None:
    setup = lora_setup.find(CPU, profile, Case("fp32", "tuned", "small"))
    model, batch = setup.build(), setup.batches[0]
    with torch.no_grad():
        apart = float(model(**lora_batches.padded(batch)).loss)
        together = float(model(**lora_batches.packed(batch), use_cache=False).loss)
        seen = float(model(**lora_batches.packed(batch), use_cache=True).loss)
    assert together == pytest.approx(apart, rel=1e-6)
    assert abs(seen / apart - 1) > 1e-4, "with a cache they do, which is why it is off"


def test_rows_that_see_each_other_are_caught(profile: Profile, evidence: Recorder) -> None:
    workload = lora.prepare(CPU, profile, Case("fp32", "tuned", "small"))
    assert isinstance(workload, lora.Tuned)
    workload.model.get_base_model().set_attn_implementation("sdpa")
    workload._options = {}  # with a cache transformers does not look for rows that are packed
    workload.run_rounds(Few())
    with pytest.raises(Wrong):
        workload.verify(evidence)
    assert evidence.violated[0][0].name == "first loss differs by"


def test_another_order_of_batches_is_caught(profile: Profile, evidence: Recorder) -> None:
    workload = lora.prepare(CPU, profile, Case("fp32", "tuned", "course"))
    assert isinstance(workload, lora.Tuned)
    workload._inputs.reverse()
    workload.run_rounds(Few())
    with pytest.raises(Wrong):
        workload.verify(evidence)
    assert evidence.violated[0][0].name == "first loss differs by"


@pytest.mark.parametrize("path", ["stock", "tuned"])
def test_training_that_stands_still_is_caught(profile: Profile, evidence: Recorder, path: str) -> None:
    lab = profile.workloads.lab.model_copy(update={"learning_rate": 1e-9})
    still = profile.model_copy(update={"workloads": profile.workloads.model_copy(update={"lab": lab})})
    workload = trained(still, f"fp32-{path}-course")
    with pytest.raises(Wrong):
        workload.verify(evidence)
    assert [each.name for each, _ in evidence.violated] == ["loss after training"]


@pytest.mark.parametrize("path", ["stock", "tuned"])
def test_a_tensor_without_a_gradient_is_caught_by_name(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder, path: str
) -> None:
    monkeypatch.setattr(lora_training, "is_usable", lambda gradient: gradient is not None and gradient.shape[0] != 16)
    workload = trained(profile, f"fp32-{path}-course")
    with pytest.raises(Wrong):
        workload.verify(evidence)
    assert evidence.violated[0][0].name == "without a gradient"
    assert "lora_A" in evidence.kept[0].source


@pytest.mark.parametrize("step", [0, 2, 5, 7])
def test_a_loss_that_is_no_number_is_caught_at_whatever_step(profile: Profile, evidence: Recorder, step: int) -> None:
    workload = trained(profile, "fp32-tuned-course")
    workload.losses[step] = torch.tensor(float("nan"))
    with pytest.raises(Wrong):
        workload.verify(evidence)
    assert evidence.violated[0][0].name == "losses are finite"


def test_a_trainer_that_says_nothing_of_its_last_step_is_inconclusive(profile: Profile) -> None:
    workload = trained(profile, "fp32-stock-course")
    workload.still = None
    with pytest.raises(Inconclusive, match="no gradient was looked at"):
        workload.verify(Recorder())


@pytest.mark.parametrize(
    ("gradient", "good"),
    [(None, False), (torch.zeros(3), False), (torch.tensor([1.0, float("nan")]), False), (torch.ones(2), True)],
)
def test_a_gradient_is_there_finite_and_not_zero(gradient: Any, good: bool) -> None:
    assert is_usable(gradient) == good


def test_what_trainer_does_between_two_steps_counts_and_it_stops_when_told(
    monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    right = lora_batches.padded

    def slow(rows: Any, width: int | None = None) -> Any:
        time.sleep(0.05)
        return right(rows, width)

    workload = lora.prepare(CPU, profile, Case("fp32", "stock", "course"))
    monkeypatch.setattr(lora_trainer.lora_batches, "padded", slow)
    few = Few(3)
    workload.run_rounds(few)
    assert len(few.seconds) == 3
    assert min(few.seconds) > 0.05, "the collator's sleep lies between two steps"
    assert len(workload.losses) == 5, "a first step that begins the first interval, and a last one for its gradients"


def test_every_batch_is_the_same_work_in_rows_of_different_lengths() -> None:
    for batches in (lora_batches.prose(4, 24, 8192), lora_batches.classified(4, 24, 512)):
        assert {tuple(len(row.ids) for row in batch) for batch in batches} == {(24, 20, 16, 12)}
        assert len({row.ids for batch in batches for row in batch}) == 16, "no row comes twice"
    batch = lora_batches.prose(2, 24, 8192)[0]
    inputs = lora_batches.padded(batch)
    assert inputs["input_ids"].shape == (2, 24)
    assert int((inputs["labels"] == lora_batches.IGNORED).sum()) == 12 == int((inputs["attention_mask"] == 0).sum())
    together = lora_batches.packed(batch)
    assert together["input_ids"].shape == (1, 36)
    assert int((together["labels"] == lora_batches.IGNORED).sum()) == 2, "no row predicts the next one's first token"


def test_the_classes_share_no_word() -> None:
    batch = lora_batches.classified(6, 40, 512)[0]
    words = [{token for row in batch if row.label == label for token in row.ids} for label in (0, 1)]
    assert not words[0] & words[1]


def test_activations_are_recomputed_only_where_memory_asks(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    monkeypatch.setattr(lora_setup.allocation, "allowed_bytes", lambda device: 2**40)
    assert not lora_setup.find(CPU, profile, Case("fp32", "tuned", "small")).recomputes
    monkeypatch.setattr(lora_setup.allocation, "allowed_bytes", lambda device: 2**10)
    tuned = lora_setup.find(CPU, profile, Case("fp32", "tuned", "small"))
    assert tuned.recomputes
    assert tuned.beside_bytes < tuned.activation_bytes
    assert not lora_setup.find(CPU, profile, Case("fp32", "stock", "small")).recomputes
    workload = lora.Tuned(tuned, profile)
    workload.run_rounds(Few())
    evidence = Recorder()
    workload.verify(evidence)
    assert not evidence.violated
    assert workload.model.get_base_model().is_gradient_checkpointing


def test_training_that_does_not_fit_is_said_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    available = memory.Memory(total_gib=8, available_gib=1.2, swap_gib=0, swap_used_gib=0)
    monkeypatch.setattr(memory, "read", lambda: available)
    monkeypatch.setattr(seeded, "_fill", None)
    lora_training._reference.cache_clear()
    with pytest.raises(Inconclusive, match=r"1\.2 GiB are available"):
        lora.prepare(CPU, profile, Case("fp32", "stock", "small"))


@pytest.mark.parametrize("setting", ["small", "course"])
def test_a_step_takes_the_operations_that_its_bound_counts(profile: Profile, setting: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    setup = lora_setup.find(CPU, profile, Case("fp32", "tuned", setting))
    model = setup.build()
    arrange = lora_batches.padded if setup.classifies else lora_batches.packed
    options = {} if setup.classifies else {"use_cache": False}
    with FlopCounterMode(display=False) as counter:
        model(**arrange(setup.batches[0]), **options).loss.backward()
    counted = counter.get_total_flops()
    assert 0.6 * counted < setup.cost.flops <= counted, "a bound must not claim more than the work takes"


def test_a_lora_step_of_8b_costs_four_operations_per_weight_and_token() -> None:
    cost = rooflines.lora(architectures.find("llama-3.1-8b"), "bf16", "bf16", 1024)
    assert cost.flops == pytest.approx(4 * 7.5e9 * 1024, rel=0.01)
