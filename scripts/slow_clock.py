"""A pytest plugin that makes every timed round read longer by the share in DGXCERT_SLOWER: a slowdown in the timer."""

import os
import time
from types import SimpleNamespace

from dgxcert.workloads import round_timer
from dgxcert.workloads.inference import token_times

LONGER = 1.0 + float(os.environ["DGXCERT_SLOWER"])


def pytest_configure() -> None:
    """Rounds are timed by `perf_counter`, of this plugin's make from now on; time limits go by another clock."""
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() * LONGER, monotonic=time.monotonic)
    for module in (round_timer, token_times):
        vars(module)["time"] = clock
