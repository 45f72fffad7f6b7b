"""Neighbours: how much of a CPU or a GPU others may use before measurements beside them are disturbed."""

OVERALL, AT_TIMES = 0.1, 0.25
"""Shares of the whole CPU or GPU: over a measurement, and in the stretch of it in which others used the most."""


def is_busy(overall: float, at_times: float = 0.0) -> bool:
    """Whether others use so much that a rate is that much lower, or a few rounds are.

    >>> is_busy(0.04), is_busy(0.04, at_times=0.9)
    (False, True)
    """
    return overall > OVERALL or at_times > AT_TIMES
