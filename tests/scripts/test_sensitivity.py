"""Every requirement that judges numbers says which fault is the smallest that it catches, by a test that plants it."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from dgxcert.plan import suite

JUDGES_NUMBERS = {
    *("MATMUL-CORRECT", "NF4-CORRECT", "MEMORY-PATTERN", "TRAINING-REPEATS", "TRITON-KERNEL", "COMPILE-CORRECT"),
    *("MATMUL-SPEED", "MEMORY-BANDWIDTH", "PREFILL-SPEED", "DECODE-SPEED", "LORA-SPEED", "GPU-CLOCK-UNDER-LOAD"),
    *("LORA-SCALING", "DATA-PARALLEL-CORRECT"),
    *("BURN-IN", "PEFT-LORA", "COURSE-LORA-LAB", "COURSE-DISTILLATION", "ATTENTION-CORRECT", "GRADIENTS-CORRECT"),
}
"""Requirements that compare what a device computed, copied or kept with what is right."""


@pytest.fixture
def sensitivity(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("sensitivity")


def test_every_requirement_that_judges_numbers_has_a_planted_fault(sensitivity: ModuleType) -> None:
    named = {fault.requirement.partition("[")[0] for fault in sensitivity.planted()}
    assert named >= JUDGES_NUMBERS
    assert named <= {entry.id for entry in suite.collect(ROOT, gpus=1)}


def test_the_page_shows_fault_limit_and_test(
    sensitivity: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text(
        '@pytest.mark.catches("MATMUL-SPEED[bf16]", "one element\\n set to 0", unseen="its last bit")\n'
        "@pytest.mark.parametrize('a', [1])\n"
        "def test_it(a): ...\n"
    )
    monkeypatch.setattr(sensitivity, "ROOT", tmp_path)
    assert (
        "| [MATMUL-SPEED[bf16]](requirements.md#matmul-speed) | one element set to 0 | its last bit | "
        "[test_it](../tests/test_one.py) |"
    ) in sensitivity.page()


def test_a_mark_that_cannot_be_read_without_running_the_test_is_an_error(
    sensitivity: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text("@pytest.mark.catches(NAME, 'a fault')\ndef test_it(): ...\n")
    monkeypatch.setattr(sensitivity, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"test_it: .*literals"):
        sensitivity.planted()
