"""The state checks pass on the GPU that the profile expects, and each of their comparisons fails alone."""

from typing import Any

import check_file
import pytest
from suites import nvidia
from suites.judged import judge

from dgxcert.machine.device import Device
from dgxcert.probes.gpu import health, nvml
from dgxcert.probes.gpu.health import EccErrors, RemappedRows
from dgxcert.profiles import profile as profiles

CHECKS = check_file.load("gpu/test_state")
H200 = profiles.load("h200")
GPU = Device("cuda", 0, "NVIDIA H200")


@pytest.mark.parametrize(("product", "fault"), [("NVIDIA H200", None), ("NVIDIA H100 80GB HBM3", "model")])
def test_another_model_fails(monkeypatch: pytest.MonkeyPatch, product: str, fault: str | None) -> None:
    listed = nvidia.driver(1).gpus[0].model_copy(update={"product": product})
    monkeypatch.setattr(nvml, "gpu", lambda index: listed)
    judge(CHECKS.test_the_gpu_is_the_model_that_the_profile_expects, GPU, H200, fault=fault)


@pytest.mark.parametrize(
    ("probe", "value", "test", "fault"),
    [
        ("persistence", True, "the_driver_stays_loaded", None),
        ("persistence", False, "the_driver_stays_loaded", "persistence"),
        ("compute_mode", "Default", "several_programs_may_use_the_gpu", None),
        ("compute_mode", "Exclusive_Process", "several_programs_may_use_the_gpu", "compute mode"),
        ("mig_enabled", False, "the_gpu_is_not_divided", None),
        ("mig_enabled", True, "the_gpu_is_not_divided", "divided into instances (MIG)"),
        ("ecc_enabled", True, "error_correction_is_on", None),
        ("ecc_enabled", False, "error_correction_is_on", "error correction is on and stays on"),
    ],
)
def test_each_mode_that_is_set_otherwise_fails(
    monkeypatch: pytest.MonkeyPatch, probe: str, value: Any, test: str, fault: str | None
) -> None:
    monkeypatch.setattr(health, probe, lambda index: value)
    judge(getattr(CHECKS, f"test_{test}"), GPU, H200, fault=fault)


@pytest.mark.parametrize(
    ("uncorrected", "corrected", "fault"),
    [
        (0, 20, None),
        (1, 20, "uncorrected errors"),
        (0, 10_000_000, None),
        (0, 10_000_001, "corrected errors"),
        (0, 9_600_000_000, "corrected errors"),
    ],
)
def test_an_uncorrected_error_fails_and_corrected_ones_where_they_are_millions(
    monkeypatch: pytest.MonkeyPatch, uncorrected: int, corrected: int, fault: str | None
) -> None:
    errors = EccErrors(True, uncorrected, corrected, 300, source="NVML")
    monkeypatch.setattr(health, "ecc_errors", lambda index: errors)
    judge(CHECKS.test_memory_has_had_no_uncorrected_error, GPU, H200, fault=fault)


@pytest.mark.parametrize(
    ("pending", "failed", "fault"),
    [
        (False, False, None),
        (True, False, "rows waiting to be replaced"),
        (False, True, "rows that could not be replaced"),
    ],
)
def test_a_row_that_is_pending_or_could_not_be_replaced_fails(
    monkeypatch: pytest.MonkeyPatch, pending: bool, failed: bool, fault: str | None
) -> None:
    monkeypatch.setattr(health, "remapped_rows", lambda index: RemappedRows(7, 2, pending, failed, source="NVML"))
    judge(CHECKS.test_no_memory_row_waits_to_be_replaced, GPU, fault=fault)
