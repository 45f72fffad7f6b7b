"""Two ranks on the CPU, and work whose faults are planted by modules beside this file."""

from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.workloads.distributed import launch

HERE = Path(__file__).parent


@pytest.fixture
def ranks() -> tuple[Device, ...]:
    pytest.importorskip("torch")
    return tuple(Device("cpu", index, "CPU", margin_gib=0.5) for index in range(2))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is looked for in tests/workloads/distributed/planted."""
    monkeypatch.setattr(launch, "PACKAGE", "planted")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
