"""The container of one end has the machine's own network and its RDMA devices, and is else as closed as a run's."""

from pathlib import Path

import pytest
import yaml
from paths import ROOT

from dgxcert.container import engine, pair_service

SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
OWN = {"profiles", "network_mode", "devices", "ulimits", "deploy"}
"""What a pair's services may have for themselves."""


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "compose", lambda: ("docker", "compose"))
    monkeypatch.setattr(engine, "environment", lambda **settings: settings)


@pytest.mark.parametrize("name", ["pair", "pair-gpu"])
def test_a_pair_has_no_privilege_that_a_run_has_not(name: str) -> None:
    pair, run = SERVICES[name], SERVICES["cpu"]
    closed = run.keys() - OWN
    assert {key: pair[key] for key in closed} == {key: run[key] for key in closed}
    assert pair.keys() - closed <= OWN
    assert pair["network_mode"] == "host"


def test_only_a_pair_on_gpus_locks_memory_without_end() -> None:
    assert "memlock" not in SERVICES["pair"]["ulimits"]
    assert SERVICES["pair-gpu"]["ulimits"] == SERVICES["gpu"]["ulimits"]
    assert SERVICES["pair-gpu"]["deploy"] == SERVICES["gpu"]["deploy"]


@pytest.mark.parametrize(("kind", "service"), [("cuda", "pair-gpu"), ("cpu", "pair")])
def test_the_program_works_in_the_folder_of_its_end(kind: str, service: str, tmp_path: Path) -> None:
    args, settings = pair_service.client("dgxcert-pair-1", "sha256:5f", kind, tmp_path, {"DGXCERT_SHM": "1"})
    assert args[-7:] == ["run", "--rm", "-T", "--name", "dgxcert-pair-1", service, "pair-work", "/results"][-7:]
    assert settings["DGXCERT_RESULTS"] == str(tmp_path)
    assert (settings["DGXCERT_IMAGE"], settings["DGXCERT_SHM"]) == ("sha256:5f", "1")


@pytest.mark.parametrize("there", [True, False])
def test_rdma_devices_are_handed_in_where_there_are_some(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = tmp_path / "infiniband"
    monkeypatch.setattr(pair_service, "RDMA", devices)
    if there:
        devices.mkdir()
    _, settings = pair_service.client("dgxcert-pair-1", "sha256:5f", "cuda", tmp_path, {})
    assert settings["DGXCERT_RDMA"] == (str(devices) if there else "/dev/null")
