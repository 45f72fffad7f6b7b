"""CPU usage of other processes is what is neither idle nor our own; text of another format is inconclusive."""

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import processors

STAT = "cpu  100 10 50 1000 20 5 5 10 0 0\ncpu0 50 5 25 500 10 2 2 5 0 0\ncpu1 50 5 25 500 10 3 3 5 0 0\nintr 1\n"


def test_busy_time_is_neither_idle_nor_iowait() -> None:
    assert processors.parse(STAT, 100) == (1.8, 2)


@pytest.mark.parametrize("text", ["", "cpu  1 2\n", "intr 5\n"])
def test_text_of_another_format_is_inconclusive(text: str) -> None:
    with pytest.raises(Inconclusive, match="does not begin with the times of all CPUs"):
        processors.parse(text, 100)


def test_our_own_cpu_time_does_not_count_as_others() -> None:
    before = processors.Processors(at_s=10, busy_s=100, own_s=5, count=2)
    assert processors.Processors(20, 110, 10, 2).others_since(before) == pytest.approx(5 / 20)
    assert processors.Processors(20, 104, 10, 2).others_since(before) == 0, "ticks are coarse"
    assert processors.Processors(10, 100, 5, 2).others_since(before) == 0
