"""A workload is drawn at its arithmetic intensity and the TFLOP/s that it reached."""

import pytest
from suites.certified import speed

from dgxcert.report.plots import roofline


def test_a_workload_is_drawn_at_its_intensity_and_rate() -> None:
    rate = speed("decode", 14.0, intensity=2.0)
    ((share, x, y),) = roofline._points((rate,))
    assert (share, x, y) == (14.0 / 20.0, 2.0, pytest.approx(14.0 / 20.0 * 0.54))
