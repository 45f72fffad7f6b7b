"""NVML's errors: the table has every code of the installed nvidia-ml-py, and a message names its error."""

import pynvml
import pytest

from dgxcert.machine import driver_query, nvml_errors
from dgxcert.machine.driver_query import Answers
from dgxcert.outcome import Inconclusive

CODES = {
    code: name.removeprefix("NVML_ERROR_") for name, code in vars(pynvml).items() if name.startswith("NVML_ERROR_")
}


def test_the_table_has_every_error_of_the_installed_bindings() -> None:
    assert {error.code: error.name for error in nvml_errors.TABLE} == CODES


@pytest.mark.parametrize("error", nvml_errors.TABLE, ids=lambda error: error.name)
def test_every_error_has_a_meaning_and_a_remedy(error: nvml_errors.NvmlError) -> None:
    assert error.meaning
    assert error.remedy
    assert nvml_errors.named_in(f"NVML: NVML_ERROR_{error.name}") is error
    assert "-i N" not in " ".join(error.remedy_for(3))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Unable to determine the device handle for GPU0000:1A:00.0: GPU requires reset", 16),
        ("Unable to determine the device handle for GPU 0000:0B:00.0: Unknown Error", 999),
        ("NVIDIA-SMI has failed: GPU is lost.  Reboot the system to recover this GPU", 15),
        ("Failed to initialize NVML: Driver/library version mismatch", 18),
        ("Failed to initialize NVML: Insufficient Permissions", 4),
        ("WARNING: infoROM is corrupted at gpu 0000:65:00.0 (nvidia-smi)", 14),
        ("nvidia-container-cli: initialization error: nvml error: driver not loaded", 9),
        ("nvidia-container-cli: load library failed: libnvidia-ml.so.1: cannot open shared object file", 12),
        ("nvidia-smi: The following GPUs could not be reset: In use by another client", 19),
    ],
)
def test_a_message_names_its_error(message: str, code: int) -> None:
    found = nvml_errors.named_in(message)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize("message", ["", "unknown error", "CUDA error: unknown error", "no data in the stream"])
def test_other_messages_name_none(message: str) -> None:
    assert nvml_errors.named_in(message) is None


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (16, "sudo nvidia-smi --gpu-reset -i 2"),
        (15, "fell off the bus"),
        (4, "ls -l /dev/nvidia*"),
        (14, "inforom"),
        (13, "Update the driver"),
        (10, "--gpu-reset -i 2"),
        (999, "sudo reboot"),
        (3, "not applicable"),
        (77, "sudo reboot"),
    ],
)
def test_a_refused_figure_has_the_remedy_of_its_error(code: int, word: str) -> None:
    answers = Answers(2, {}, {"power_w": {"code": code, "says": "No"}})
    with pytest.raises(Inconclusive, match=r"does not report power w of GPU 2: No \(") as raised:
        _ = answers["power_w"]
    assert word in " ".join(raised.value.remedy)


def test_a_question_that_a_driver_is_too_old_for_is_no_error() -> None:
    for code in (2, 3, 13, 25):
        assert Answers(0, {}, {"fabric": {"code": code, "says": "No"}}).if_known("fabric") is None
    with pytest.raises(Inconclusive, match="No"):
        Answers(0, {}, {"fabric": {"code": 13, "says": "No"}}).if_supported("fabric")
    with pytest.raises(Inconclusive, match="reset"):
        Answers(0, {}, {"fabric": {"code": 16, "says": "GPU requires reset"}}).if_known("fabric")


def test_a_gpu_that_cannot_be_opened_has_the_remedy_of_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_query, "ask", lambda *_, **__: {"code": 16, "says": "GPU requires reset"})
    with pytest.raises(Inconclusive, match="does not answer for GPU 5: GPU requires reset") as raised:
        driver_query.ask_gpu(5, "uuid", timeout_s=1)
    assert "-i 5" in " ".join(raised.value.remedy)
