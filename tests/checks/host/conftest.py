"""The machine on which the checks of the host run."""

import pytest
from suites.host_machine import HostMachine


@pytest.fixture
def host(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> HostMachine:
    """A healthy Spark."""
    return HostMachine(pytester, monkeypatch)
