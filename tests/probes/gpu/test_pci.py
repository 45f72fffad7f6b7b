"""GPUs on the PCI bus are NVIDIA's display devices, and a missing bus is not an empty one."""

from pathlib import Path
from typing import Any

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import pci

NVIDIA_GPU, NVIDIA_3D = {"vendor": "0x10de", "class": "0x030000"}, {"vendor": "0x10de", "class": "0x030200"}
OTHERS = [
    {"vendor": "0x10de", "class": "0x040300"},  # the audio device of a card
    {"vendor": "0x10de", "class": "0x068000"},  # an NVSwitch
    {"vendor": "0x15b3", "class": "0x020000"},  # ConnectX-7
    {"vendor": "0x1a03", "class": "0x030000"},  # the board's VGA controller
    {"class": "0x030000"},
    {},
]


def bus(devices: Path, *entries: dict[str, str]) -> Path:
    for number, entry in enumerate(entries):
        (devices / f"0000:{number:02}:00.0").mkdir(parents=True)
        for name, content in entry.items():
            (devices / f"0000:{number:02}:00.0" / name).write_text(f"{content}\n")
    return devices


@pytest.mark.parametrize(("devices", "count"), [((NVIDIA_GPU, *OTHERS, NVIDIA_3D), 2), (OTHERS, 0)])
def test_only_nvidias_display_devices_are_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, devices: tuple[Any, ...], count: int
) -> None:
    monkeypatch.setattr(pci, "DEVICES", bus(tmp_path / "bus", *devices))
    assert pci.read() == count


def test_a_missing_bus_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pci, "DEVICES", tmp_path / "nowhere")
    assert pci.read() is None
    monkeypatch.setattr(pci, "read", lambda: None)
    with pytest.raises(Inconclusive, match="could not be counted"):
        pci.count()
    monkeypatch.setattr(pci, "read", lambda: 0)
    assert pci.count() == 0
