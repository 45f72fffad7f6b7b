"""Prerequisites: every row names requirements that exist, and every requirement of the course is in a row."""

import pytest
from pydantic import ValidationError

from dgxcert.plan import suite
from dgxcert.plan.selection import any_gpu
from dgxcert.profiles import prerequisites
from dgxcert.profiles.prerequisites import Row

ROWS = prerequisites.load()


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    """Every requirement of the suite: how a row may name it, and its id."""
    entries = suite.collect(suite.root(), gpus=1)
    return {name: entry.id for entry in entries for name in (entry.id, any_gpu(entry.key))}


def test_every_row_names_requirements_that_exist(names: dict[str, str]) -> None:
    assert set(prerequisites.names(ROWS)) <= set(names)


def test_every_requirement_of_the_course_proves_a_row(names: dict[str, str]) -> None:
    course = {name for name in names.values() if name.startswith("COURSE-")}
    assert len(course) == 15
    assert course <= set(prerequisites.names(ROWS))


@pytest.mark.parametrize(
    "phrase",
    [
        "25.11-py3",
        "torch.cuda.is_available()",
        "Hub",
        *("transformers", "datasets", "peft", "accelerate", "evaluate", "scikit-learn"),
        *("random bf16 tensor", "no_grad", "model.eval() against model.train()", "DataLoader"),
        *("input_ids and attention_mask", "attention", "classification head", "memory from a parameter count"),
        *("LoRA lab", "distillation"),
    ],
)
def test_every_prerequisite_of_the_module_is_a_row(phrase: str) -> None:
    assert any(phrase in row.sentence for row in ROWS)


@pytest.mark.parametrize(
    "phrase",
    ["What does no_grad do", "model.eval() change", "batches", "zeros in attention_mask", "7 B", "by hand", "logits"],
)
def test_what_only_a_student_can_answer_is_asked(phrase: str) -> None:
    assert any(phrase in row.question and row.question.endswith("?") for row in ROWS)
    assert not any(phrase in row.proof and "know" in row.proof for row in ROWS)


def test_rows_can_be_read_on_any_terminal_and_name_no_lesson_by_number() -> None:
    for row in ROWS:
        assert (row.sentence + row.proof + row.question + row.review + row.snippet).isascii()
        assert row.review.startswith("Lesson: ")
        assert not any(char.isdigit() for char in row.review)


def test_a_row_needs_a_requirement() -> None:
    with pytest.raises(ValidationError):
        Row(sentence="I can", proof="it can", proved_by=(), review="Lesson: it", snippet="it")
