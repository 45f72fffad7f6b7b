"""Counters tell which interface carried the bytes: the kernel's for what goes through it, an RDMA port's else."""

from pathlib import Path

import pytest

from dgxcert.probes.links.pair import counters


def write(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n", encoding="ascii")


def test_bytes_of_an_interface_and_words_of_an_rdma_port(tmp_path: Path) -> None:
    net, infiniband = tmp_path / "net", tmp_path / "infiniband"
    write(net / "p0/statistics", rx_bytes=10, tx_bytes=20, rx_crc_errors=1)
    write(infiniband / "rocep1s0f0/ports/1/counters", port_rcv_data=100, port_xmit_data=1, link_downed=2)
    interface, port = counters.read(net, infiniband)
    assert (interface.name, interface.kind, interface.received_bytes, interface.sent_bytes) == ("p0", "net", 10, 20)
    assert interface.others == {"rx_crc_errors": 1}
    assert (port.name, port.kind, port.received_bytes, port.sent_bytes) == ("rocep1s0f0/1", "infiniband", 400, 4)
    assert port.others == {"link_downed": 2}


def test_an_interface_without_counters_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "net/p0/statistics", rx_bytes=10)
    write(tmp_path / "net/p1/statistics", rx_bytes="N/A", tx_bytes=1)
    assert counters.read(tmp_path / "net", tmp_path / "none") == ()


@pytest.mark.parametrize("came", [True, False])
def test_an_interface_that_came_or_went_meanwhile_has_carried_nothing(tmp_path: Path, came: bool) -> None:
    write(tmp_path / "net/p0/statistics", rx_bytes=10, tx_bytes=20)
    there = counters.read(tmp_path / "net", tmp_path / "none")
    assert counters.carried_bytes(*(((), there) if came else (there, ()))) == {}
