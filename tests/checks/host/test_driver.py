"""A driver whose library and kernel module differ in version fails."""

import check_file
import pytest
from suites import nvidia
from suites.judged import judge

from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import kernel_module
from dgxcert.probes.host.kernel_module import KernelModule

CHECKS = check_file.load("host/test_driver")


@pytest.mark.parametrize(
    ("module", "mismatch", "fault"),
    [
        ("580.95.05", None, None),
        ("580.95.05", "Driver/library version mismatch", "library fits the module"),
        ("580.126.09", None, "version of the library"),
    ],
)
def test_a_driver_of_two_versions_fails_whether_or_not_it_reports_that(
    monkeypatch: pytest.MonkeyPatch, module: str, mismatch: str | None, fault: str | None
) -> None:
    monkeypatch.setattr(kernel_module, "read", lambda: KernelModule(module, is_open=True))
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(1, mismatch=mismatch))
    judge(CHECKS.test_the_drivers_library_and_kernel_module_are_of_one_version, fault=fault)
