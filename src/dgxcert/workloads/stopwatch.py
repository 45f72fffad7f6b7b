"""Stopwatch: the best time of a few rounds, for ceilings; benchmarks are timed by pytest-benchmark."""

import time
from collections.abc import Callable


def fastest_s(run: Callable[[], None], rounds: int = 4) -> float:
    """Seconds of the fastest round; the first one only warms up."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times[1:])
