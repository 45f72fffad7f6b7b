"""A pytest plugin: a stage of a run on a host of the room, whose machine is simulated and computes with little."""

import time
from typing import Any

from integration.room import played_host
from integration.room.played_machine import PLAYED

from dgxcert.workloads.hardware import sustained

SECONDS, SIZE = 0.8, 64
"""The load: shorter and smaller than in the profile, since simulated time runs faster and a CPU computes."""

LOOK_S = 0.05

_measure = sustained._measure


def _measure_little(device: Any, sizes: Any, *rest: Any) -> Any:
    return _measure(device, sizes.model_copy(update={"seconds": SECONDS, "size": SIZE, "products": 1}), *rest)


sustained._measure = _measure_little  # type: ignore[assignment]  # its cache is within
played_host.play()


def pytest_runtest_setup() -> None:
    """Wait until this measurement may begin."""
    while not played_host.may_measure():
        time.sleep(LOOK_S)
    with (PLAYED / "begun").open("a", encoding="ascii") as begun:
        begun.write(".")
