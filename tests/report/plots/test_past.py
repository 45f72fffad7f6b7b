"""The history is drawn relative to each median; its caption counts what it shows and names what changed."""

import re
from itertools import pairwise

from suites.certified import past as earlier_runs
from suites.certified import run

from dgxcert.report.plots import past


def test_the_caption_counts_runs_and_steps_and_names_what_changed_at_each_line() -> None:
    plot = past.plot(run(earlier=earlier_runs(12, slower_from=8)))
    assert plot is not None
    assert plot.alternative.startswith("2 benchmarks over 13 runs, each relative to its median; half a row is 15%; ")
    assert "what is further away (1) is drawn there." in plot.alternative, "this run's prefill is 360 times slower"
    circled = re.search(r"Steps in speed are circled: (\d+)[.]", plot.alternative)
    assert circled is not None
    assert int(circled[1]) == len(past.steps(run(earlier=earlier_runs(12, slower_from=8))))
    assert "Dotted lines are changes of hardware or software: 1 driver; 2 " in plot.alternative


def test_a_steady_machine_has_neither_steps_nor_changes() -> None:
    made = run(earlier=earlier_runs(6))
    steady = made.model_copy(update={"results": ()})
    plot = past.plot(steady)
    assert plot is not None
    assert "No step in speed was found." in plot.alternative
    assert "further away" not in plot.alternative


def test_numbers_of_changes_do_not_collide() -> None:
    changes = [(at, ["driver"]) for at in range(1, 60)]
    numbered = past._numbered(changes, 60)
    assert [at for at, _ in numbered] == [at for at, _ in changes], "every change has its line"
    places = [at for at, number in numbered if number]
    assert places[0] == 1
    assert all(after - before >= past.APART * 59 for before, after in pairwise(places))
    assert [(at, number) for at, number in past._numbered([(1, []), (30, [])], 60)] == [(1, "1"), (30, "2")]


def test_a_first_run_has_no_history() -> None:
    assert past.plot(run()) is None
