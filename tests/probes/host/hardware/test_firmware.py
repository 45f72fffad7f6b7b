"""Firmware of the parts: what sysfs and fwupdmgr report, and nothing where they are missing."""

import shutil
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.probes.host.hardware import firmware


def test_each_part_is_read_from_its_own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {
        "dmi/bios_version": "5.36_0ACUM027",
        "nvme/nvme0/model": "SAMSUNG MZALC4T0HBL1",
        "nvme/nvme0/firmware_rev": "NXZ73K0Q",
        "infiniband/rocep1s0f0/fw_ver": "28.45.4028",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n", encoding="ascii")
    for name in ("DMI", "NVME", "INFINIBAND"):
        monkeypatch.setattr(firmware, name, tmp_path / name.lower())
    answer = '{"Devices": [{"Name": "Embedded Controller", "Version": "0x03000508"}, {"Version": "1"}]}'
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/fwupdmgr")
    monkeypatch.setattr(command, "run", lambda args, timeout_s: command.Completed(tuple(args), 0, answer, ""))
    found = firmware.read()
    assert found.of("Embedded Controller") == "0x03000508"
    assert "network card rocep1s0f0 28.45.4028" in found.description
    assert "drive SAMSUNG MZALC4T0HBL1 NXZ73K0Q" in found.description
    assert found.of("Power Delivery") == ""


def test_a_machine_that_reports_nothing_is_described_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DMI", "NVME", "INFINIBAND"):
        monkeypatch.setattr(firmware, name, tmp_path / "none")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert firmware.read().description == "none is readable"


@pytest.mark.parametrize("answer", ["", "not JSON", "[]", "{}"])
def test_an_answer_that_fwupdmgr_did_not_give_has_no_versions(answer: str) -> None:
    assert firmware.fwupd(answer) == {}
