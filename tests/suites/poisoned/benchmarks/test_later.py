"""A benchmark after the CUDA error in the checks."""

from dgxcert import requirement


@requirement("LAST", title="Last", why="a run must end in the truth", remedy=("look",))
def test_last(evidence):
    assert evidence.record("awake", True, source="here").holds()
