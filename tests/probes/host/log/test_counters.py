"""EDAC's counters and the state of drives are read without root, and a machine without them counts nothing."""

from pathlib import Path

import pytest

from dgxcert.probes.host.log import counters


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("EDAC", "NVME", "BLOCK"):
        monkeypatch.setattr(counters, name, tmp_path / name)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def test_a_machine_without_any_counts_nothing(sysfs: Path) -> None:
    assert sysfs.exists()
    found = counters.read()
    assert (found.uncorrected, found.corrected, found.dead_drives) == (0, 0, ())


def test_errors_of_all_memory_controllers_add_up(sysfs: Path) -> None:
    for number, (uncorrected, corrected) in enumerate(((0, 3), (2, 4))):
        write(sysfs / "EDAC" / f"mc{number}" / "ue_count", f"{uncorrected}\n")
        write(sysfs / "EDAC" / f"mc{number}" / "ce_count", f"{corrected}\n")
    assert (counters.read().uncorrected, counters.read().corrected) == (2, 7)


@pytest.mark.parametrize(
    ("nvme", "sda", "dead"),
    [
        ("live", "running", ()),
        ("resetting", "running", ()),
        ("dead", "running", ("nvme0 is dead",)),
        ("deleting", "offline", ("nvme0 is deleting", "sda is offline")),
    ],
)
def test_a_drive_that_the_kernel_gave_up_is_named(sysfs: Path, nvme: str, sda: str, dead: tuple[str, ...]) -> None:
    write(sysfs / "NVME" / "nvme0" / "state", f"{nvme}\n")
    write(sysfs / "BLOCK" / "sda" / "device" / "state", f"{sda}\n")
    assert counters.read().dead_drives == dead
