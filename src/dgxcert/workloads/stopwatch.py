"""Stopwatch: the fastest of a few rounds, for ceilings and size sweeps; benchmarks are timed by `round_timer`."""

import time
from collections.abc import Callable


def fastest_s(run: Callable[[], None], rounds: int = 4) -> float:
    """Seconds of the fastest round of a function that returns when the device is done; the first one only warms up.

    >>> fastest_s(lambda: time.sleep(0.01)) >= 0.01
    True
    """
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
