"""NUMA nodes of processors, as sysfs shows them."""

from pathlib import Path

import pytest

from dgxcert.probes.host import numa


@pytest.fixture
def two_nodes(tmp_path: Path) -> Path:
    """Four processors: two beside each of two nodes, and a folder that is none of a processor."""
    for processor in range(4):
        (tmp_path / f"cpu{processor}" / f"node{processor // 2}").mkdir(parents=True)
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpuidle").mkdir()
    return tmp_path


def test_processors_are_beside_their_nodes(two_nodes: Path) -> None:
    assert numa.nodes_of([2, 3], two_nodes) == (1,)
    assert numa.nodes_of([3, 0], two_nodes) == (0, 1)
    assert numa.nodes(two_nodes) == (0, 1)


def test_a_kernel_without_nodes_reports_none(tmp_path: Path) -> None:
    (tmp_path / "cpu0").mkdir()
    assert numa.nodes_of([0], tmp_path) == numa.nodes(tmp_path) == ()
