"""The next command depends on where it is typed: here in the clone, by nobody with keys, in front of no screen."""

from pathlib import Path

import pytest
from paths import ROOT


@pytest.fixture(autouse=True)
def in_a_clone_without_a_screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
