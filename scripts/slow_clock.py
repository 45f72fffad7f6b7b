"""A pytest plugin that makes every timed round appear longer by the share in DGXCERT_SLOWER: a simulated slowdown."""

import os
import time
from types import SimpleNamespace

from dgxcert.workloads import round_timer
from dgxcert.workloads.inference import token_times

LONGER = 1.0 + float(os.environ["DGXCERT_SLOWER"])


def pytest_configure() -> None:
    """Replace `perf_counter`, which times rounds; time limits use another clock."""
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() * LONGER, monotonic=time.monotonic)
    for module in (round_timer, token_times):
        vars(module)["time"] = clock
