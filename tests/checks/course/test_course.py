"""Each comparison of each check of the course fails alone, and is named; all pass where all is well. Nothing heavy."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import paths
import pytest
from paths import ROOT

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import first_cell, ngc
from dgxcert.probes.stack.first_cell import FirstCell
from dgxcert.probes.stack.ngc import Ngc
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.course import (
    attention_by_hand,
    batches,
    classification,
    distilbert_lab,
    distillation,
    no_grad,
    padding,
    random_tensor,
    train_eval,
    weights_memory,
)
from dgxcert.workloads.course.batches import Batches, Order, Worked
from dgxcert.workloads.course.classification import Classified
from dgxcert.workloads.course.distilbert_lab import Trained
from dgxcert.workloads.course.distillation import Speeds, Step
from dgxcert.workloads.course.no_grad import EXPECTED_BYTES, Pass, Passes
from dgxcert.workloads.course.padding import Padded
from dgxcert.workloads.course.random_tensor import Sample
from dgxcert.workloads.course.train_eval import Dropout, Normalisation
from dgxcert.workloads.course.weights_memory import Taken
from dgxcert.workloads.models import architectures

COURSE = paths.CHECKS / "course"
CPU = Device("cpu", 0, "CPU")
PROFILE = profiles.load("cpu")
MACHINE = Machine(hostname="here", kernel="6.14", architecture="aarch64", cores=20, cpu="a CPU")
PIECE = architectures.find("llama-2-7b-piece")


def load(name: str) -> ModuleType:
    return check_file.load(f"course/test_{name}")


PACKAGES = load("packages_together")
NGC, TENSORS, MODES, BATCHES = (load(name) for name in ("ngc", "tensors", "modes", "batches"))
PADDING, HEADS, WEIGHTS, TRAINING = (load(name) for name in ("padding", "heads", "weights", "training"))

EVERY = tuple(range(batches.ITEMS))
PLAIN, WHOLE = Order(batches.sizes(), EVERY), Order(batches.sizes(drop_last=True), EVERY[:96])
SHUFFLED, OTHER = Order(batches.sizes(), EVERY[::-1]), Order(batches.sizes(), (*EVERY[50:], *EVERY[:50]))
LOST = (*EVERY[:-1], 0)
"""The last item never comes, the first twice."""

Case = tuple[Callable[..., None], tuple[Any, ...], ModuleType, str, Any]

CHECKS: dict[str, Case] = {
    "container": (NGC.test_the_work_is_done_in_the_courses_container, (), ngc, "read", Ngc("25.11", "241")),
    "packages": (PACKAGES.test_the_packages_of_the_course_import_together, (), first_cell, "read", FirstCell({})),
    "tensor": (
        TENSORS.test_a_random_bf16_tensor_lives_on_the_device,
        (CPU,),
        random_tensor,
        "draw",
        Sample("cpu", "bfloat16", 0.001, 0.999, 0),
    ),
    "no_grad": (
        TENSORS.test_no_grad_builds_no_graph_and_keeps_no_activations,
        (CPU,),
        no_grad,
        "compare",
        Passes(Pass(True, True, EXPECTED_BYTES), Pass(False, False, 0), "hooks"),
    ),
    "dropout": (
        MODES.test_dropout_drops_in_training_and_only_there,
        (CPU,),
        train_eval,
        "dropout",
        Dropout(0, train_eval.P, 1e-7),
    ),
    "normalisation": (
        MODES.test_normalisation_learns_in_training_and_only_there,
        (CPU,),
        train_eval,
        "normalisation",
        Normalisation(1e-6, 1e-6, 1e-6, 0, 0, 1e-6),
    ),
    "batches": (
        BATCHES.test_every_item_comes_once_and_in_the_order_of_the_seed,
        (),
        batches,
        "order",
        Batches(PLAIN, SHUFFLED, SHUFFLED, OTHER, WHOLE),
    ),
    "workers": (
        BATCHES.test_workers_make_the_batches_and_hand_them_over_whole,
        (CPU,),
        batches,
        "work",
        Worked(PLAIN, 0, frozenset({1, 2})),
    ),
    "padding": (PADDING.test_padding_changes_no_answer, (CPU, "left"), padding, "compare", Padded(0, 222, 1e-6, 2.0)),
    "attention": (HEADS.test_attention_by_hand_is_torchs_attention, (CPU, "plain"), attention_by_hand, "error", 1e-7),
    "classification": (
        HEADS.test_hidden_states_become_logits_probabilities_and_a_label,
        (CPU,),
        classification,
        "run",
        Classified(4, 1e-7, 1e-7, 0),
    ),
    "weights": (
        WEIGHTS.test_a_parameter_takes_two_bytes_in_fp16_and_half_a_byte_in_int4,
        (CPU, PROFILE),
        weights_memory,
        "measure",
        Taken(PIECE, False, 2 * PIECE.parameters, int(0.5625 * PIECE.layer_parameters) + 7, 7, "counted"),
    ),
    "speed": (
        TRAINING.test_the_smaller_student_is_faster_than_its_teacher,
        (CPU, PROFILE),
        distillation,
        "speeds",
        Speeds((1.9, 2.0, 2.0, 2.1, 2.0), 0.2, 0.1),
    ),
    "distillation": (
        TRAINING.test_one_step_of_distillation_brings_the_student_closer,
        (CPU, PROFILE),
        distillation,
        "step",
        Step(2.0, 1.5, 0),
    ),
    "lab": (
        TRAINING.test_the_courses_lora_lab_trains,
        (PROFILE, MACHINE),
        distilbert_lab,
        "train",
        Trained([], 12, [], 40, [], [0.7] * 20 + [0.1] * 20),
    ),
}
"""A check, its arguments, and the function that it looks through, with what that says where all is well."""


def run(name: str, monkeypatch: pytest.MonkeyPatch, answer: Any) -> Recorder:
    check, arguments, module, function, _ = CHECKS[name]
    monkeypatch.setattr(module, function, lambda *_: answer)
    evidence = Recorder()
    check(*arguments, evidence)
    return evidence


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_well_passes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    evidence = run(name, monkeypatch, CHECKS[name][4])
    assert evidence.compared
    assert not evidence.violated


SEEN = CHECKS["no_grad"][4]
RIGHT = CHECKS["batches"][4]
TAKEN = CHECKS["weights"][4]


@pytest.mark.parametrize(
    ("name", "wrong", "by"),
    [
        ("container", {"release": "25.09"}, "release of NVIDIA's image"),
        ("packages", {"problems": {"peft": "ImportError: no"}}, "packages that do not import"),
        ("tensor", {"device": "cuda:0"}, "device of the tensor"),
        ("tensor", {"dtype": "float32"}, "type of the tensor"),
        ("tensor", {"mean": 0.01}, "mean"),
        ("tensor", {"mean": -0.01}, "mean"),
        ("tensor", {"deviation": 0.58}, "standard deviation"),
        ("tensor", {"changed": 1}, "values that moving changed"),
        ("no_grad", {"recorded": Pass(False, True, EXPECTED_BYTES)}, "graph without no_grad"),
        ("no_grad", {"recorded": Pass(True, True, EXPECTED_BYTES // 2)}, "activations kept"),
        ("no_grad", {"recorded": Pass(True, True, EXPECTED_BYTES * 2)}, "activations kept"),
        ("no_grad", {"free": Pass(True, False, 0)}, "no graph under no_grad"),
        ("no_grad", {"free": Pass(False, True, 0)}, "output asks for no gradient"),
        ("no_grad", {"free": Pass(False, False, EXPECTED_BYTES // 7)}, "kept under no_grad"),
        ("dropout", {"changed": 1}, "values changed in eval()"),
        ("dropout", {"dropped": 0.0}, "dropped in train()"),
        ("dropout", {"dropped": 0.5}, "dropped in train()"),
        ("dropout", {"scale_error": 0.3}, "error of the scale in train()"),
        ("normalisation", {"moved": 1}, "statistics moved by eval()"),
        ("normalisation", {"layer_differs": 1}, "values of LayerNorm that differ between modes"),
        ("normalisation", {"batch_train": 0.1}, "BatchNorm in train()"),
        ("normalisation", {"batch_eval": 0.1}, "BatchNorm in eval()"),
        ("normalisation", {"running": 0.1}, "running statistics"),
        ("normalisation", {"layer": 0.1}, "LayerNorm"),
        ("batches", {"plain": Order((103,), EVERY)}, "sizes of batches"),
        ("batches", {"whole": PLAIN}, "sizes with drop_last"),
        ("batches", {"plain": Order(batches.sizes(), LOST)}, "items that did not come once"),
        (
            "batches",
            {key: Order(batches.sizes(), LOST[::-1]) for key in ("shuffled", "again")},
            "shuffled items that did not come once",
        ),
        ("batches", {"again": OTHER}, "the seed decides the order"),
        ("batches", {"other": SHUFFLED}, "the seed decides the order"),
        ("batches", {"shuffled": PLAIN, "again": PLAIN}, "the seed decides the order"),
        ("workers", {"pids": frozenset({1})}, "processes that made items"),
        ("workers", {"order": Order((103,), EVERY)}, "sizes of batches"),
        ("workers", {"order": Order(batches.sizes(), LOST)}, "items that did not come once"),
        ("workers", {"wrong": 1}, "wrong values"),
        ("padding", {"misplaced": 1}, "wrong token ids and marks"),
        ("padding", {"with_mask": 0.5}, "difference with the mask"),
        ("attention", 0.3, "error of plain attention"),
        ("classification", {"logits_error": 0.1}, "error of the logits"),
        ("classification", {"sum_error": 0.1}, "sum of probabilities less one"),
        ("classification", {"mislabelled": 1}, "labels that are not the largest logit's"),
        ("weights", {"fp16_bytes": 4 * PIECE.parameters}, "fp16"),
        ("weights", {"fp16_bytes": PIECE.parameters}, "fp16"),
        ("weights", {"int4_bytes": 2 * PIECE.layer_parameters}, "int4 (NF4 layers, scales included)"),
        ("weights", {"int4_bytes": PIECE.layer_parameters // 4}, "int4 (NF4 layers, scales included)"),
        ("speed", {"ratios": (1.0, 1.1, 1.0, 1.0, 1.0)}, "speed of the student"),
        ("distillation", {"after": 2.0}, "loss after one step"),
        ("distillation", {"teacher_gradients": 1}, "teacher's weights with a gradient"),
        ("lab", {"strays": ["distilbert.embeddings"]}, "tensors wrongly trained or frozen"),
        ("lab", {"still": ["lora_A"]}, "tensors without a gradient"),
        ("lab", {"changed": ["distilbert.embeddings"]}, "frozen tensors that changed"),
        ("lab", {"losses": [0.7] * 40}, "loss at the end"),
    ],
)
def test_each_comparison_fails_alone(monkeypatch: pytest.MonkeyPatch, name: str, wrong: Any, by: str) -> None:
    well = CHECKS[name][4]
    answer = dataclasses.replace(well, **wrong) if isinstance(wrong, dict) else wrong
    check, arguments, module, function, _ = CHECKS[name]
    monkeypatch.setattr(module, function, lambda *_: answer)
    evidence = Recorder()
    with pytest.raises(AssertionError):
        check(*arguments, evidence)
    assert [kept.name for kept, _ in evidence.violated] == [by]


def test_rounds_that_do_not_agree_on_the_students_speed_are_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    for ratios in ((0.5, 0.9, 2.0, 2.1, 2.2), (0.5, 0.9, 1.0, 2.1, 2.2)):
        with pytest.raises(Inconclusive, match="do not agree"):
            run("speed", monkeypatch, Speeds(ratios, 0.2, 0.1))


def test_a_model_that_is_blind_to_padding_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Inconclusive, match="blind to padding"):
        run("padding", monkeypatch, Padded(0, 222, 1e-6, 1e-5))


def test_the_evidence_states_both_sizes_of_7_b_and_which_shape_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {each.name: each for each in run("weights", monkeypatch, TAKEN).kept}
    assert kept["7 B parameters in fp16"].value == 14.0
    assert kept["7 B parameters in int4"].value == pytest.approx(3.94, abs=0.01)
    assert "14 GB in FP16 and 3.5 GB in INT4" in kept["7 B parameters in int4"].source
    assert "1 layers of width 1024" in kept["fp16"].source
    assert "a smaller shape than 7 B" in kept["fp16"].source
    whole = dataclasses.replace(TAKEN, shape=architectures.find("llama-2-7b"), whole=True)
    assert "6.738 B parameters" in whole.says
    assert "smaller" not in whole.says


def test_nvidias_container_says_its_release() -> None:
    found = ngc.parse({ngc.RELEASE: "25.11", ngc.BUILD: "241"})
    assert (found.release, "241" in found.says) == ("25.11", True)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "outside NVIDIA's container"),
        ({ngc.RELEASE: ""}, "outside NVIDIA's container"),
        ({ngc.RELEASE: "25.11", ngc.STANDIN: "1"}, "stand-in"),
    ],
)
def test_where_there_is_no_such_container_nothing_is_known(environment: dict[str, str], words: str) -> None:
    with pytest.raises(Inconclusive, match=words):
        ngc.parse(environment)


def test_the_container_is_the_one_that_is_pinned() -> None:
    pinned = (ROOT / "container" / "base.env").read_text(encoding="utf-8")
    assert f"pytorch:{ngc.COURSE_RELEASE.equals}-py3@" in pinned


def test_the_first_cell_is_really_run_and_names_what_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_cell, "PACKAGES", ("json", "no_such_package", "this"))
    assert first_cell.read() == FirstCell({"no_such_package": "ModuleNotFoundError: No module named 'no_such_package'"})


def test_packages_after_the_one_that_takes_the_process_along_are_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_cell, "PACKAGES", ("json", "os", "scikit-learn"))
    monkeypatch.setattr(first_cell, "PROGRAM", "print('dgxcert: yes json', flush=True); import os; os.abort()")
    found = first_cell.read()
    assert list(found.problems) == ["os", "scikit-learn"]
    assert "no answer" in found.says


def test_imports_that_come_to_no_end_are_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_cell, "PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(first_cell, "LIMIT_S", 0.5)
    with pytest.raises(Inconclusive, match="came to no end"):
        first_cell.read()
    monkeypatch.setattr(first_cell, "PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Inconclusive, match="came to no end"):
        first_cell.read()


def test_trainer_is_given_the_device_that_it_takes() -> None:
    spark = profiles.load("dgx-spark")
    gpu = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-1", compute_capability="12.1")
    found = distilbert_lab.first_device(spark, MACHINE.model_copy(update={"gpus": (gpu,)}))
    assert found == Device("cuda", 0, "NVIDIA GB10", unified_memory=True, margin_gib=spark.memory.margin.value)
    assert distilbert_lab.first_device(PROFILE, MACHINE).name == "cpu"
    with pytest.raises(Inconclusive, match="no GPU"):
        distilbert_lab.first_device(spark, MACHINE)


def test_a_7_b_model_is_measured_whole_or_in_as_many_layers_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = architectures.find("llama-2-7b")
    assert asked.parameters == 6_738_415_616

    def layers(available_gib: float) -> int:
        monkeypatch.setattr(weights_memory.allocation, "_available_gib", lambda device: available_gib)
        return weights_memory.fitting(CPU, asked).layers

    assert [layers(gib) for gib in (64, 16, 6, 3.8)] == [32, 16, 4, 1]
    with pytest.raises(Inconclusive, match="1 layers of a 7 B model needs"):
        layers(2.5)
