"""Links, errors and peers as the real nvidia-ml-py reads them of a simulated driver: eight GPUs that NVSwitch joins."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulated import machine

PROGRAM = """
import json
from dgxcert.machine.identity import Machine
from dgxcert.probes.gpu import nvml
from dgxcert.probes.links import fabric, link_errors, nvlinks, peers
machine = Machine(hostname="h", kernel="6", architecture="x86_64", cores=1, gpus=nvml.read().gpus)
links, errors, reach, told = nvlinks.read(machine), link_errors.read(machine), peers.read(machine), fabric.read(machine)
print(json.dumps({
    "links": links.describe(18), "slow": links.slow_source, "silent": errors.silent, "rate": errors.worst_rate,
    "counted": [errors.text(gpu) for gpu in errors.counters], "peers": reach.source, "unknown": len(reach.unknown),
    "fabric": told.source, "apart": told.apart,
}))
"""


UP = "; links up 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return machine.build(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def board(library: Path, tmp_path: Path) -> Callable[[str], Any]:
    """What is read of three healthy H100 that differ in what is said."""

    def read(said: str) -> Any:
        text = f"summary: mine\nlike: h100-idle\ndevice_count: 3\n{said}\n"
        (tmp_path / "h100-mine.yaml").write_text(text, encoding="utf-8")
        env = machine.load("h100-mine", tmp_path).played(tmp_path, library)
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


def test_a_healthy_board_is_quiet(board: Callable[[str], Any]) -> None:
    assert board("") == {
        "links": "NVML: 18 links up on each of 3 GPUs",
        "slow": "NVML, each way: all links that are up, alike",
        "silent": [],
        "rate": None,
        "counted": ["none" + UP] * 3,
        "peers": "NVML: 3 pairs, each may read and write the other",
        "unknown": 0,
        "fabric": "NVML, of 3 GPUs with a fabric: none waits",
        "apart": [],
    }


def test_a_fault_of_one_link_or_pair_is_named(board: Callable[[str], Any]) -> None:
    found = board(
        "each:\n  1: {nvlinks: {5: {state: down}, 7: {speed_gbs: 13.281, errors: {recovery: 2}}}}\n"
        'peers: {"0>2": {read: OK, write: NS, nvlink: OK}}\n'
    )
    assert found["links"] == "NVML: 17 to 18 links up: GPU 1 link 5 inactive"
    assert found["slow"] == "NVML, each way: GPU 1 link 7 at 13.281 GB/s"
    assert found["counted"] == ["none" + UP, "link 7 recovery 2" + UP.replace(" 5 ", " "), "none" + UP]
    assert found["peers"] == "NVML: 3 pairs, not GPU 0 and GPU 2 (write: not supported)"


def test_a_blackwell_has_other_counters_and_a_rate(board: Callable[[str], Any]) -> None:
    found = board(
        'nvlink_version: "5.0"\nnvlink_speed_gbs: 53.125\nnvlink_errors: {xmit_discards: 1, effective_ber: 271}'
    )
    assert found["counted"][0].startswith("link 0 discard 1, link 1 discard 1")
    assert found["rate"] == 1e-15


@pytest.mark.parametrize("said", ["nvlink_fields: false", "fabric_state: not supported\nnvlink_fields: false"])
def test_links_before_hopper_are_told_by_function(board: Callable[[str], Any], said: str) -> None:
    found = board(f"{said}\nnvlink_speed_gbs: 25\nnvlink_count: 12\nnvlink_errors: {{crc_flit: 3}}")
    assert found["links"].startswith("NVML: 12 links up on each of 3 GPUs")
    assert found["counted"][0].startswith("link 0 crc_flit 3, link 1 crc_flit 3")


def test_gpus_without_nvlink_have_none(board: Callable[[str], Any]) -> None:
    found = board("nvlink_count: not supported\npeer_access: CNS")
    assert found["links"] == "NVML: no NVLink (GPU 0: Not Supported; GPU 1: Not Supported; GPU 2: Not Supported)"
    assert found["peers"].startswith("NVML: 3 pairs, not GPU 0 and GPU 1 (read: chipset not supported")
    assert (found["counted"], found["silent"]) == (["none", "none", "none"], [])
