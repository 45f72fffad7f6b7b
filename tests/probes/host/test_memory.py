"""System memory is read in GiB; a figure that is missing or in another unit is inconclusive."""

from collections.abc import Callable
from pathlib import Path

import paths
import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory


def recorded(name: str) -> str:
    return (paths.RECORDED / f"{name}.txt").read_text(encoding="utf-8")


def test_memory_is_read_in_gib() -> None:
    spark = recorded("meminfo-x86").replace("24684084", "127535084")
    assert memory.parse(spark).total_gib == pytest.approx(121.63, abs=0.005)
    parsed = memory.parse(
        "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nMemFree: 1 kB\nSwapTotal: 1048576 kB\nSwapFree: 524288 kB\n"
    )
    assert parsed == memory.Memory(total_gib=4.0, available_gib=2.0, swap_gib=1.0, swap_used_gib=0.5)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda text: "", "MemAvailable, MemTotal, SwapFree, SwapTotal"),
        (lambda text: "<html>", "MemAvailable, MemTotal, SwapFree, SwapTotal"),
        (lambda text: text.replace("MemAvailable", "MemAvail"), "MemAvailable"),
        (lambda text: text.replace("24684084 kB", "24684084 MB"), "MemTotal"),
        (lambda text: text.replace("24684084 kB", "24684084"), "MemTotal"),
        (lambda text: text.replace("24684084", "-24684084"), "MemTotal"),
        (lambda text: text[: text.index("SwapTotal") + 12], "SwapFree, SwapTotal"),
    ],
    ids=["empty", "another file", "old kernel", "another unit", "no unit", "negative", "cut off"],
)
def test_a_figure_that_is_missing_or_not_in_kib_is_inconclusive(change: Callable[[str], str], missing: str) -> None:
    with pytest.raises(Inconclusive, match=f"has no {missing} in kB"):
        memory.parse(change(recorded("meminfo-x86")))


def test_memory_without_proc_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    with pytest.raises(Inconclusive, match="cannot be read: No such file"):
        memory.read()
