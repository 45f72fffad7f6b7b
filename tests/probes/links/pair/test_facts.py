"""Facts of a link come from /sys as a DGX Spark has it: two functions of one port, one of them narrow or down."""

from pathlib import Path

import pytest

from dgxcert.probes.links.pair import facts
from dgxcert.record.room.pair_answer import Port

INTERFACES = {"enp1s0f0np0": ("0000:01:00.0", "rocep1s0f0"), "enP2p1s0f0np0": ("0002:01:00.0", "roceP2p1s0f0")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="ascii")


def spark(sys: Path) -> Path:
    """The tree of a port with its cable, as lspci, ethtool and ibstat show it on healthy units."""
    for number, (name, (function, hca)) in enumerate(INTERFACES.items()):
        device = sys / "devices" / f"pci{function[:7]}" / function
        for attribute, value in {
            "current_link_speed": "32.0 GT/s PCIe",
            "max_link_speed": "32.0 GT/s PCIe",
            "current_link_width": "4",
            "max_link_width": "4",
            f"infiniband/{hca}/fw_ver": "28.45.4028",
            f"infiniband/{hca}/ports/1/state": "4: ACTIVE",
            f"infiniband/{hca}/ports/1/rate": "200 Gb/sec (4X HDR)",
        }.items():
            write(device / attribute, value)
        driver = sys / "bus/pci/drivers/mlx5_core"
        driver.mkdir(parents=True, exist_ok=True)
        (device / "driver").symlink_to(driver)
        interface = sys / "class/net" / name
        for attribute, value in {
            "address": f"4c:bb:47:00:01:0{number}",
            "carrier": "1",
            "flags": "0x1003",
            "mtu": "1500",
            "operstate": "up",
            "speed": "200000",
        }.items():
            write(interface / attribute, value)
        (interface / "device").symlink_to(device)
    write(sys / "class/net/bonding_masters", "")
    write(sys / "class/dmi/id/bios_version", "5.36_0ACUM018")
    write(sys / "class/dmi/id/bios_date", "11/03/2025")
    write(sys / "class/dmi/id/product_name", "NVIDIA_DGX_Spark")
    return sys


@pytest.fixture(autouse=True)
def _addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    said = '[{"ifname": "enp1s0f0np0", "addr_info": [{"local": "192.168.100.1", "prefixlen": 24}]}, {}]'
    monkeypatch.setattr(facts, "_ip_addresses", lambda: said)


def test_a_healthy_port_of_a_spark(tmp_path: Path) -> None:
    found = facts.read(["enp1s0f0np0"], spark(tmp_path))
    assert (found.bios, found.bios_date, found.product) == ("5.36_0ACUM018", "11/03/2025", "NVIDIA_DGX_Spark")
    assert [port.interface for port in found.ports] == ["enP2p1s0f0np0", "enp1s0f0np0"]
    assert found.ports[1] == Port(
        interface="enp1s0f0np0",
        up=True,
        carrier=True,
        gbits=200,
        mtu=1500,
        addresses=("192.168.100.1/24",),
        mac="4c:bb:47:00:01:00",
        driver="mlx5_core",
        firmware="28.45.4028",
        function="0000:01:00.0",
        pcie_gts=32,
        pcie_width=4,
        pcie_most_gts=32,
        pcie_most_width=4,
        hca="rocep1s0f0",
        hca_state="ACTIVE",
        hca_gbits=200,
        asked=True,
    )
    assert not found.ports[0].asked


def test_a_narrow_and_slow_half(tmp_path: Path) -> None:
    function = spark(tmp_path) / "class/net/enP2p1s0f0np0"
    write(function / "device/current_link_width", "2")
    write(function / "device/current_link_speed", "2.5 GT/s PCIe")
    write(function / "speed", "100000")
    port = facts.read([], tmp_path).ports[0]
    assert (port.pcie_width, port.pcie_gts, port.pcie_most_width, port.gbits) == (2, 2.5, 4, 100)


def test_an_interface_that_is_down_says_neither_carrier_nor_speed(tmp_path: Path) -> None:
    interface = spark(tmp_path) / "class/net/enp1s0f0np0"
    write(interface / "flags", "0x1002")
    write(interface / "device/infiniband/rocep1s0f0/ports/1/state", "1: DOWN")
    (interface / "carrier").unlink()  # reading it fails with EINVAL
    write(interface / "speed", "-1")
    port = facts.read([], tmp_path).ports[1]
    assert (port.up, port.carrier, port.gbits, port.hca_state) == (False, None, None, "DOWN")


def test_a_cable_that_is_not_plugged_in(tmp_path: Path) -> None:
    interface = spark(tmp_path) / "class/net/enp1s0f0np0"
    write(interface / "carrier", "0")
    assert facts.read([], tmp_path).ports[1].carrier is False


def test_a_virtual_interface_is_no_pcie_function(tmp_path: Path) -> None:
    for attribute, value in {
        "address": "02:00:00:00:00:01",
        "flags": "0x1003",
        "mtu": "1500",
        "speed": "10000",
    }.items():
        write(tmp_path / "class/net/veth0" / attribute, value)
    (port,) = facts.read(["veth0"], tmp_path).ports
    assert (port.function, port.driver, port.hca, port.pcie_width, port.gbits) == ("", "", "", None, 10)


@pytest.mark.parametrize("said", ["", "[", "{}", "[3]", '[{"ifname": "p0", "addr_info": [{}]}]', "Object is unknown"])
def test_addresses_that_cannot_be_read_are_unknown(said: str) -> None:
    assert facts.addresses(said) == {}


def test_the_facts_of_this_machine_have_its_loopback() -> None:
    (loopback,) = [port for port in facts.read([]).ports if port.interface == "lo"]
    assert loopback.up
    assert loopback.function == ""
