"""Fresh process: a workload that fails is wrong, one that was killed or had no space is inconclusive."""

import pytest
from completed import completed

from dgxcert.command import Completed
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.stack import beside
from dgxcert.probes.stack.placement import Package, Place
from dgxcert.workloads import fresh_process


def test_last_line_is_the_result() -> None:
    assert fresh_process.parse("metric", completed('a banner\n{"f1": 1.0}\n')) == {"f1": 1.0}


def test_exception_is_wrong() -> None:
    with pytest.raises(Wrong, match="AssertionError: not the same"):
        fresh_process.parse("metric", completed("", "Traceback\nAssertionError: not the same\n", 1))


@pytest.mark.parametrize(
    "done",
    [completed("", "", None), completed("", "", -9), completed("", "OSError: No space left on device", 1)],
    ids=["timeout", "killed", "disk full"],
)
def test_process_that_could_not_finish_is_inconclusive(done: Completed) -> None:
    with pytest.raises(Inconclusive):
        fresh_process.parse("metric", done)


def test_an_exception_of_a_package_beside_the_lock_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Package("dill", "0.3.4", "/site", Place.ENVIRONMENT, "pip", ("dill",))
    monkeypatch.setattr(beside, "of_this_environment", lambda: (guest,))
    output = 'Traceback\n  File "/site/dill/_dill.py", line 3, in dump\nPicklingError: no\n'
    with pytest.raises(Wrong, match=r"PicklingError: no \(the cause is dill 0\.3\.4") as raised:
        fresh_process.parse("metric", completed("", output, 1))
    assert "python -m pip uninstall -y dill" in raised.value.remedy[0]
