"""A container may take so much that sized work never meets its limit, and never all of the machine."""

from pathlib import Path

import pytest

from dgxcert.container import limits

GIB = 2**30


@pytest.mark.parametrize(("total_gib", "floor_gib"), [(121.6, 4), (8, 1), (2000, 8), (2, 4)])
def test_the_limit_is_the_machine_less_the_floor_and_never_less_than_half(total_gib: float, floor_gib: float) -> None:
    found = {name: int(value) / GIB for name, value in limits.of(int(total_gib * GIB), floor_gib).items()}
    assert found["DGXCERT_MEMORY"] == pytest.approx(max(total_gib - floor_gib, total_gib / 2))
    assert found["DGXCERT_SHM"] == found["DGXCERT_TMP"] == pytest.approx(total_gib / 2)


def test_where_the_kernel_tells_no_size_there_is_no_limit_from_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "MEMINFO", tmp_path / "none")
    assert limits.read(4) == {}
    (tmp_path / "none").write_text("MemFree: 1 kB\n")
    assert limits.read(4) == {}
    (tmp_path / "none").write_text("MemTotal: 8388608 kB\n")
    assert limits.read(1)["DGXCERT_MEMORY"] == str(7 * GIB)
