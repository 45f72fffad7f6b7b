"""The checks of the course, done for real on this CPU: they pass, and what is planted in torch fails them by name.

A minute where torch and transformers must be loaded first.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import check_file
import paths
import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")
pytest.importorskip("transformers", reason="the workloads need transformers: make setup")

from torch.nn import functional
from torch.utils import data as torch_data

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Distillation
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.course import attention_by_hand, batches, distilbert_lab, distillation, padding
from dgxcert.workloads.models import architectures, encoders, nf4, text

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and its friends warn about is no finding here

COURSE = paths.CHECKS / "course"
CPU = Device("cpu", 0, "CPU")
MACHINE = Machine(hostname="here", kernel="6.14", architecture="x86_64", cores=2, cpu="a CPU")


def load(name: str) -> ModuleType:
    return check_file.load(f"course/test_{name}")


TENSORS, MODES, BATCHES, PADDING = (load(name) for name in ("tensors", "modes", "batches", "padding"))
HEADS, WEIGHTS, TRAINING = (load(name) for name in ("heads", "weights", "training"))

TENSOR = TENSORS.test_a_random_bf16_tensor_lives_on_the_device
NO_GRAD = TENSORS.test_no_grad_builds_no_graph_and_keeps_no_activations
DROPOUT = MODES.test_dropout_drops_in_training_and_only_there
NORMALISATION = MODES.test_normalisation_learns_in_training_and_only_there
ORDER = BATCHES.test_every_item_comes_once_and_in_the_order_of_the_seed
WORKERS = BATCHES.test_workers_make_the_batches_and_hand_them_over_whole
PADS = PADDING.test_padding_changes_no_answer
ATTENTION = HEADS.test_attention_by_hand_is_torchs_attention
HEAD = HEADS.test_hidden_states_become_logits_probabilities_and_a_label
MEMORY = WEIGHTS.test_a_parameter_takes_two_bytes_in_fp16_and_half_a_byte_in_int4
SPEED = TRAINING.test_the_smaller_student_is_faster_than_its_teacher
DISTILLATION = TRAINING.test_one_step_of_distillation_brings_the_student_closer
LAB = TRAINING.test_the_courses_lora_lab_trains


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The cpu profile with smaller models: what is tested here is the comparing."""
    found = profiles.load("cpu")
    sizes = {"hidden": 128, "heads": 4, "intermediate": 512, "teacher_layers": 8, "student_layers": 4}
    small = Distillation(**sizes, batch=8, length=64)
    return found.model_copy(update={"workloads": found.workloads.model_copy(update={"distillation": small})})


@pytest.fixture(scope="module")
def short(profile: Profile) -> Profile:
    """The same with so few steps that the lab learns little."""
    few = profile.workloads.lab.model_copy(update={"steps": 8, "hidden": 32, "heads": 2, "length": 16})
    return profile.model_copy(update={"workloads": profile.workloads.model_copy(update={"lab": few})})


@pytest.fixture(autouse=True)
def _there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_available_gib", lambda device: 64.0)


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def fails(check: Callable[..., None], *arguments: Any, by: str) -> Recorder:
    evidence = Recorder()
    with pytest.raises(AssertionError):
        check(*arguments, evidence)
    assert [kept.name for kept, _ in evidence.violated] == [by]
    return evidence


def useless_in_a_notebook(right: Callable[[], Any]) -> Callable[[], Any]:
    """A no_grad that does nothing for whoever calls it from outside of torch, which needs it itself."""

    def no_grad() -> Any:
        caller = sys._getframe(1).f_globals["__name__"]
        return nullcontext() if caller.startswith("dgxcert") else right()

    return no_grad


@pytest.mark.parametrize(
    ("check", "more"),
    [
        (TENSOR, ()),
        (NO_GRAD, ()),
        (DROPOUT, ()),
        (NORMALISATION, ()),
        (WORKERS, ()),
        (PADS, ("right",)),
        (PADS, ("left",)),
        (ATTENTION, ("plain",)),
        (ATTENTION, ("causal",)),
        (ATTENTION, ("grouped",)),
        (HEAD, ()),
    ],
)
def test_a_machine_that_is_well_passes(evidence: Recorder, check: Callable[..., None], more: tuple[str, ...]) -> None:
    check(CPU, *more, evidence)
    assert evidence.compared
    assert not evidence.violated


@pytest.mark.parametrize("check", [MEMORY, DISTILLATION])
def test_models_of_a_profile_pass(evidence: Recorder, profile: Profile, check: Callable[..., None]) -> None:
    check(CPU, profile, evidence)
    assert evidence.compared
    assert not evidence.violated


def test_batches_that_are_right_pass(evidence: Recorder) -> None:
    ORDER(evidence)
    assert not evidence.violated


def test_numbers_of_another_distribution_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn", torch.rand)
    fails(TENSOR, CPU, by="mean")


def test_numbers_of_another_type_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *sizes, dtype, **how: right(*sizes, dtype=torch.float16, **how))
    fails(TENSOR, CPU, by="type of the tensor")


def test_a_no_grad_that_does_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "no_grad", useless_in_a_notebook(torch.no_grad))
    fails(NO_GRAD, CPU, by="no graph under no_grad")


def test_gradients_that_are_switched_off_everywhere_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.nn.Sequential.forward

    def without(self: Any, rows: Any) -> Any:
        return right(self, rows).detach()

    monkeypatch.setattr(torch.nn.Sequential, "forward", without)
    fails(NO_GRAD, CPU, by="graph without no_grad")


@pytest.mark.parametrize(
    ("always", "by"), [(True, "values changed in eval()"), (False, "dropped in train()")], ids=["always", "never"]
)
def test_a_dropout_that_does_not_heed_the_mode_is_caught(
    monkeypatch: pytest.MonkeyPatch, always: bool, by: str
) -> None:
    right = functional.dropout
    monkeypatch.setattr(functional, "dropout", lambda values, p, training, inplace: right(values, p, always, inplace))
    fails(DROPOUT, CPU, by=by)


def test_a_dropout_that_does_not_scale_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = functional.dropout

    def unscaled(values: Any, p: float, training: bool, inplace: bool) -> Any:
        return right(values, p, training, inplace) * (1 - p if training else 1)

    monkeypatch.setattr(functional, "dropout", unscaled)
    fails(DROPOUT, CPU, by="error of the scale in train()")


def test_an_eval_that_does_not_reach_inner_modules_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "eval", lambda self: self)
    fails(DROPOUT, CPU, by="values changed in eval()")
    fails(NORMALISATION, CPU, by="statistics moved by eval()")


def test_a_batch_normalisation_that_ignores_its_statistics_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = functional.batch_norm

    def by_batch(values: Any, mean: Any, variance: Any, *rest: Any) -> Any:
        weight, bias, training, *others = rest
        kept = (mean, variance) if training else (None, None)
        return right(values, *kept, weight, bias, True, *others)

    monkeypatch.setattr(functional, "batch_norm", by_batch)
    fails(NORMALISATION, CPU, by="BatchNorm in eval()")


def test_a_layer_normalisation_that_heeds_the_mode_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.nn.LayerNorm.forward
    monkeypatch.setattr(torch.nn.LayerNorm, "forward", lambda self, rows: right(self, rows) * (2 - self.training))
    fails(NORMALISATION, CPU, by="values of LayerNorm that differ between modes")


def drops_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch_data.BatchSampler.__iter__

    def without(self: Any) -> Any:
        return (batch[:-1] if len(batch) < batches.BATCH else batch for batch in right(self))

    monkeypatch.setattr(torch_data.BatchSampler, "__iter__", without)


def test_a_lost_item_is_caught_in_one_process_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    drops_the_last(monkeypatch)
    fails(ORDER, by="sizes of batches")
    fails(WORKERS, CPU, by="sizes of batches")


def test_an_item_that_comes_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch_data.SequentialSampler.__iter__
    monkeypatch.setattr(torch_data.SequentialSampler, "__iter__", lambda self: (max(1, index) for index in right(self)))
    fails(ORDER, by="items that did not come once")


def test_an_order_that_no_seed_decides_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_seeded", lambda seed: torch.Generator("cpu").manual_seed(torch.seed() % 2**31))
    fails(ORDER, by="the seed decides the order")


def test_a_loader_that_starts_no_workers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = batches._loader
    monkeypatch.setattr(batches, "_loader", lambda width, num_workers, timeout, **how: right(width, **how))
    fails(WORKERS, CPU, by="processes that made items")


def test_what_a_worker_spoils_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = batches.Squares.__getitem__

    def spoiled(self: Any, index: int) -> Any:
        number, values, pid = right(self, index)
        values[-1] += index == 77
        return number, values, pid

    monkeypatch.setattr(batches.Squares, "__getitem__", spoiled)
    assert fails(WORKERS, CPU, by="wrong values").kept[-1].value == 1


@pytest.mark.parametrize("number", [signal.SIGBUS, signal.SIGKILL])
def test_a_worker_that_dies_fails_and_is_no_riddle(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(batches.Squares, "__getitem__", lambda self, index: os.kill(os.getpid(), number))
    with pytest.raises(Wrong, match="DataLoader worker"):
        WORKERS(CPU, Recorder())


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_mask_that_attention_ignores_is_caught(monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    right = functional.scaled_dot_product_attention

    def blind(query: Any, key: Any, value: Any, attn_mask: Any = None, **how: Any) -> Any:
        causal = side == "left"
        repeats = query.shape[1] // key.shape[1]
        keys, values = (each.repeat_interleave(repeats, 1) for each in (key, value))
        return right(query, keys, values, is_causal=causal, scale=how.get("scale"))

    monkeypatch.setattr(functional, "scaled_dot_product_attention", blind)
    fails(PADS, CPU, side, by="difference with the mask")


def test_a_tokenizer_that_marks_padding_as_text_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = text.tokenizer

    def all_marked() -> Any:
        reader = right()
        call = type(reader).__call__

        class Marked(type(reader)):  # type: ignore[misc]
            def __call__(self, *args: Any, **how: Any) -> Any:
                found = call(self, *args, **how)
                if how.get("return_tensors"):
                    found["attention_mask"][:] = 1
                return found

        reader.__class__ = Marked
        return reader

    monkeypatch.setattr(text, "tokenizer", all_marked)
    fails(PADS, CPU, "right", by="wrong token ids and marks")


def test_a_model_that_barely_attends_is_blind_and_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "_largest", lambda *_: 1e-5)
    with pytest.raises(Inconclusive, match="blind to padding"):
        PADS(CPU, "right", Recorder())


@pytest.mark.parametrize(
    ("variant", "fault"),
    [
        ("plain", {"scale": 1.0}),
        ("causal", {"is_causal": False}),
        ("plain", {"is_causal": True}),
    ],
)
def test_another_attention_is_caught(monkeypatch: pytest.MonkeyPatch, variant: str, fault: dict[str, Any]) -> None:
    right = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *values, **how: right(*values, **{**how, **fault})
    )
    fails(ATTENTION, CPU, variant, by=f"error of {variant} attention")


def test_heads_that_are_grouped_in_another_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = functional.scaled_dot_product_attention

    def interleaved(query: Any, key: Any, value: Any, **how: Any) -> Any:
        repeats = query.shape[1] // key.shape[1]
        return right(query, key.repeat(1, repeats, 1, 1), value.repeat(1, repeats, 1, 1), is_causal=how["is_causal"])

    monkeypatch.setattr(functional, "scaled_dot_product_attention", interleaved)
    fails(ATTENTION, CPU, "grouped", by="error of grouped attention")


def test_attention_has_a_tolerance_for_each_kind_of_device() -> None:
    assert attention_by_hand.tolerance(CPU).max == 1e-4
    assert attention_by_hand.tolerance(Device("cuda", 0, "GPU")).max == 1e-2


def test_a_softmax_that_does_not_sum_to_one_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda *values, **how: right(*values, **how) * 0.99)
    fails(HEAD, CPU, by="sum of probabilities less one")


def test_a_head_that_computes_something_else_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "relu", lambda values, inplace=False: values)
    fails(HEAD, CPU, by="error of the logits")


def test_labels_in_another_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = encoders.build

    def mislabelled(*args: Any) -> Any:
        model = right(*args)
        model.config.id2label = {0: "arithmetic", 1: "bandwidth", 2: "memory"}
        return model

    monkeypatch.setattr(encoders, "build", mislabelled)
    fails(HEAD, CPU, by="labels that are not the largest logit's")


def test_fp16_weights_that_are_stored_in_32_bits_are_caught(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    right = numerics.dtype
    monkeypatch.setattr(numerics, "dtype", lambda name: torch.float32 if name == "fp16" else right(name))
    assert fails(MEMORY, CPU, profile, by="fp16").kept[0].value == pytest.approx(4.0, rel=0.01)


def test_four_bit_layers_that_stay_in_32_bits_are_caught(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    def never(model: Any, config: Any, device: Device, generator: Any, std: float) -> None:
        nf4._fill_what_is_left(model, device, generator, std)
        model.model.rotary_emb = type(model.model.rotary_emb)(config)

    monkeypatch.setattr(nf4, "materialise", never)
    fails(MEMORY, CPU, profile, by="int4 (NF4 layers, scales included)")


def test_the_measured_shape_has_the_proportions_of_the_7_b_model() -> None:
    piece, whole = architectures.find("llama-2-7b-piece"), architectures.find("llama-2-7b")
    assert piece.intermediate / piece.hidden == whole.intermediate / whole.hidden
    assert piece.head_dim == whole.head_dim


def test_a_student_as_large_as_its_teacher_is_not_faster(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(distillation, "_seconds", lambda device, model, ids: 1.0 + 1e-3 * (next(ticks) % 3))
    fails(SPEED, CPU, profile, by="speed of the student")


def test_teacher_and_student_are_timed_turn_by_turn(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    layers: list[int] = []

    def note(device: Device, model: Any, ids: Any) -> float:
        layers.append(model.config.num_hidden_layers)
        return 1e-3 * model.config.num_hidden_layers

    monkeypatch.setattr(distillation, "_seconds", note)
    SPEED(CPU, profile, Recorder())
    sizes = profile.workloads.distillation
    assert layers == [sizes.teacher_layers, sizes.student_layers] * (sizes.rounds + 2)


def test_timing_takes_the_time_of_the_whole_answer(profile: Profile) -> None:
    sizes = profile.workloads.distillation
    teacher, _ = distillation.models(CPU, sizes)
    with torch.inference_mode():
        assert 1e-4 < distillation._seconds(CPU, teacher, distillation.rows(CPU, sizes)) < 60


@pytest.mark.parametrize("check", ["distillation", "lab"])
def test_an_optimizer_that_does_not_step_is_caught(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, short: Profile, check: str
) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
    if check == "distillation":
        fails(DISTILLATION, CPU, profile, by="loss after one step")
    else:
        monkeypatch.setattr(
            distilbert_lab, "learns", lambda gradient: True
        )  # without steps half the gradients stay zero
        fails(LAB, short, MACHINE, by="loss at the end")


def test_a_teacher_that_is_trained_too_is_caught(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    monkeypatch.setattr(torch, "no_grad", useless_in_a_notebook(torch.no_grad))
    fails(DISTILLATION, CPU, profile, by="teacher's weights with a gradient")


def test_the_loss_of_distillation_is_the_divergence_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 5, generator=generator).double() for _ in range(2))
    t = distillation.TEMPERATURE
    p, q = (teacher / t).softmax(-1), (student / t).softmax(-1)
    by_hand = float((p * (p / q).log()).sum(-1).mean() * t**2)
    assert float(distillation.loss(student, teacher)) == pytest.approx(by_hand)
    assert float(distillation.loss(teacher, teacher)) == pytest.approx(0, abs=1e-12)


def test_the_lab_of_the_profile_trains_and_leaves_nothing_behind(evidence: Recorder, profile: Profile) -> None:
    from accelerate.state import AcceleratorState, PartialState

    before = dict(os.environ)
    LAB(profile, MACHINE, evidence)
    assert not evidence.violated
    assert dict(os.environ) == before
    assert (AcceleratorState._shared_state, PartialState._shared_state) == ({}, {})
    layers = profile.workloads.lab.layers
    assert f"{4 * layers + 4} tensors train" in evidence.kept[0].source


def planted(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """Change the lab's model after it was built."""
    right = distilbert_lab.adapted

    def changed(*args: Any) -> Any:
        model = right(*args)
        change(model)
        return model

    monkeypatch.setattr(distilbert_lab, "adapted", changed)


def weight(model: Any, words: str) -> Any:
    return next(each for name, each in model.named_parameters() if words in name)


def test_a_base_that_is_trained_too_is_caught(monkeypatch: pytest.MonkeyPatch, short: Profile) -> None:
    planted(monkeypatch, lambda model: weight(model, "word_embeddings").requires_grad_(True))
    found = fails(LAB, short, MACHINE, by="tensors wrongly trained or frozen")
    assert "word_embeddings" in found.kept[0].source


def test_adapters_that_do_not_train_are_caught(monkeypatch: pytest.MonkeyPatch, short: Profile) -> None:
    planted(monkeypatch, lambda model: weight(model, "lora_B").requires_grad_(False))
    fails(LAB, short, MACHINE, by="tensors wrongly trained or frozen")


def test_gradients_that_get_lost_are_caught_by_name(monkeypatch: pytest.MonkeyPatch, short: Profile) -> None:
    planted(monkeypatch, lambda model: weight(model, "lora_B").register_hook(torch.zeros_like))
    found = fails(LAB, short, MACHINE, by="tensors without a gradient")
    assert "lora_B" in found.kept[1].source


def test_a_frozen_weight_that_changes_is_caught_by_name(monkeypatch: pytest.MonkeyPatch, short: Profile) -> None:
    def drifts(model: Any) -> None:
        frozen = weight(model, "position_embeddings")

        def drift(*_: Any) -> None:
            frozen.data.view(torch.int32)[0, 0] += 1

        model.base_model.model.classifier.register_forward_hook(drift)

    planted(monkeypatch, drifts)
    found = fails(LAB, short, MACHINE, by="frozen tensors that changed")
    assert "position_embeddings" in found.kept[2].source


def test_a_trainer_that_says_nothing_of_its_steps_was_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, short: Profile
) -> None:
    handler = importlib.import_module("transformers.trainer_callback").CallbackHandler
    monkeypatch.setattr(handler, "on_pre_optimizer_step", lambda self, args, state, control: control)
    with pytest.raises(Inconclusive, match="no gradient was looked at"):
        distilbert_lab.train(CPU, short.workloads.lab)


def test_the_lab_is_the_courses() -> None:
    sizes = profiles.load("dgx-spark").workloads.lab
    assert (sizes.layers, sizes.hidden, sizes.heads, sizes.intermediate) == (6, 768, 12, 3072)
    assert (sizes.batch, sizes.length, sizes.learning_rate) == (32, 256, 3e-4)
    assert (distilbert_lab.TARGETS, distilbert_lab.HEADS) == (("q_lin", "v_lin"), ("classifier", "pre_classifier"))
    assert (distilbert_lab.RANK, distilbert_lab.ALPHA) == (16, 32)


def test_the_labels_of_the_lab_share_no_word(profile: Profile) -> None:
    reader = text.tokenizer()
    rows = distilbert_lab.rows(reader, profile.workloads.lab.model_copy(update={"length": 256}))
    words: tuple[set[str], set[str]] = (set(), set())
    for ids, label in zip(rows["input_ids"], rows["labels"], strict=True):
        words[label].update(reader.decode(ids, skip_special_tokens=True).split())
    assert [len(each) for each in words] == [distilbert_lab.FAMILY, distilbert_lab.FAMILY]
    assert not words[0] & words[1]
