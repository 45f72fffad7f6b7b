"""The kernel module's version and kind are read for the open and the closed module; no module is inconclusive."""

from pathlib import Path

import paths
import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import kernel_module
from dgxcert.probes.host.kernel_module import KernelModule

RECORDED = paths.RECORDED / "kernel_module"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("open-spark", KernelModule("580.126.09", is_open=True)),
        ("open-x86", KernelModule("580.142", is_open=True)),
        ("closed-x86", KernelModule("565.57.01", is_open=False)),
    ],
)
def test_version_and_kind_are_read_as_recorded(
    monkeypatch: pytest.MonkeyPatch, name: str, module: KernelModule
) -> None:
    monkeypatch.setattr(kernel_module, "VERSION", RECORDED / f"{name}.txt")
    assert kernel_module.read() == module


def test_every_recorded_text_has_a_test() -> None:
    assert {path.stem for path in RECORDED.glob("*.txt")} == {"open-spark", "open-x86", "closed-x86"}


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("NVRM version: NVIDIA UNIX aarch64 Kernel Module  535.216.01  Tue Sep 17", KernelModule("535.216.01", False)),
        ("NVRM version: NVIDIA UNIX Kernel Module for aarch64  34.1.1  Release Build", KernelModule("34.1.1", False)),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.173.02", KernelModule("580.173.02", True)),
    ],
)
def test_other_forms_of_the_line_are_read(line: str, module: KernelModule) -> None:
    assert kernel_module.parse(line) == module


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no version: it is empty"),
        ("GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04.1)\n", "names no version: GCC version"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64 malformed\n", "names no version: NVRM version"),
    ],
)
def test_a_text_without_a_version_is_inconclusive(text: str, problem: str) -> None:
    with pytest.raises(Inconclusive, match=problem):
        kernel_module.parse(text)


def test_without_a_module_it_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernel_module, "VERSION", tmp_path / "version")
    with pytest.raises(Inconclusive, match=r"no NVIDIA kernel module is loaded: there is no .*/version") as raised:
        kernel_module.read()
    assert raised.value.remedy[0].startswith("Load it: sudo modprobe nvidia")


def test_a_file_that_cannot_be_read_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernel_module, "VERSION", tmp_path)
    with pytest.raises(Inconclusive, match=r"cannot be read: Is a directory"):
        kernel_module.read()
