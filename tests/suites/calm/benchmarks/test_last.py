"""The last requirement, which a run that ends early does not measure."""

from dgxcert import requirement


@requirement("LAST", title="Last", why="a run must end in the truth", remedy=("look",), tier="standard")
def test_last(benchmark, evidence):
    benchmark.pedantic(lambda: None, rounds=3)
    assert evidence.record("reached", True, source="here").holds()
