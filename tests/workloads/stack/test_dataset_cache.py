"""Data set cache: the second map of the same rows calls the function for none of them."""

import pytest

from dgxcert.workloads.stack import dataset_cache
from dgxcert.workloads.stack.dataset_cache import PROCESSES, ROWS


def test_the_second_map_is_answered_by_the_cache() -> None:
    pytest.importorskip("datasets", reason="mapping needs datasets: make setup")
    maps = dataset_cache.run()
    assert (maps.processes, maps.wrong) == (PROCESSES, 0)
    assert (maps.calls, maps.calls_again) == (ROWS, 0)
    assert maps.same_fingerprint
