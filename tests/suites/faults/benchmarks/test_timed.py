"""A benchmark after every fault."""

import os

from dgxcert import requirement


@requirement("AFTER-ALL", title="Timed after every fault", why="a fault must not hide the rest", remedy=("look",))
def test_timed_after_every_fault(benchmark, evidence):
    benchmark.pedantic(lambda: None, rounds=3)
    assert evidence.record("pid", os.getpid(), source="kernel") == os.getpid()
