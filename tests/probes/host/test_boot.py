"""A run that began under another boot, or under an unknown one, has lost its faults and is inconclusive."""

from pathlib import Path

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import boot

BEFORE, AFTER = "0c2e9a9e-5b5c-4f0a-9d5f-6b0f8d1f3c11", "6f7f0b1c-2f7e-4f5c-8a39-8f0c2b9f6a77"


@pytest.fixture
def boot_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The kernel's file, not yet written."""
    monkeypatch.setattr(boot, "ID", tmp_path / "boot_id")
    return tmp_path / "boot_id"


def test_the_id_is_the_kernels(boot_id: Path) -> None:
    boot_id.write_text(f"{BEFORE}\n", encoding="ascii")
    assert boot.read() == BEFORE
    boot.require_since(BEFORE)


@pytest.mark.parametrize("text", [None, "", "\n"], ids=["missing", "empty", "blank"])
def test_a_boot_without_an_id_is_unknown_and_never_the_same(boot_id: Path, text: str | None) -> None:
    if text is not None:
        boot_id.write_text(text, encoding="ascii")
    assert boot.read() is None
    for began in (None, BEFORE):
        with pytest.raises(Inconclusive, match="and this is boot unknown"):
            boot.require_since(began)


@pytest.mark.parametrize(("began", "shown"), [(BEFORE, BEFORE), (None, "unknown")])
def test_a_restart_during_the_run_is_inconclusive(boot_id: Path, began: str | None, shown: str) -> None:
    boot_id.write_text(f"{AFTER}\n", encoding="ascii")
    with pytest.raises(Inconclusive, match=f"the run began under boot {shown} and this is boot {AFTER}") as raised:
        boot.require_since(began)
    assert "journalctl -k -b -1" in raised.value.remedy[0]
