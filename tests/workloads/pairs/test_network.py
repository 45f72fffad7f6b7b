"""The variables by which gloo and NCCL take the link, and what NCCL's log says of the way that it took."""

from pathlib import Path

import pytest

from dgxcert.outcome import CannotStart
from dgxcert.workloads.distributed import launch, nccl_log
from dgxcert.workloads.pairs import network

HALVES, HCAS = ("enp1s0f1np1", "enP2p1s0f1np1"), ("rocep1s0f1", "roceP2p1s0f1")


@pytest.mark.parametrize(
    ("interfaces", "hcas", "backend", "wanted"),
    [
        (("enp1s0f1np1",), (), "gloo", {"GLOO_SOCKET_IFNAME": "enp1s0f1np1"}),
        (HALVES, HCAS, "gloo", {"GLOO_SOCKET_IFNAME": "enp1s0f1np1"}),
        (
            HALVES,
            HCAS,
            "nccl",
            {
                "GLOO_SOCKET_IFNAME": "enp1s0f1np1",
                "NCCL_SOCKET_IFNAME": "=enp1s0f1np1,enP2p1s0f1np1",
                "NCCL_IB_HCA": "=rocep1s0f1:1,roceP2p1s0f1:1",
            },
        ),
        (("eth0",), (), "nccl", {"GLOO_SOCKET_IFNAME": "eth0", "NCCL_SOCKET_IFNAME": "=eth0"}),
    ],
)
def test_a_link_decides_over_which_devices_data_goes(
    interfaces: tuple[str, ...], hcas: tuple[str, ...], backend: str, wanted: dict[str, str]
) -> None:
    made = network.variables(interfaces, hcas, backend)
    logged = network.VARIABLES if backend == "nccl" else {}
    assert made == wanted | logged


def test_the_link_goes_before_what_a_user_has_set() -> None:
    mine = {"NCCL_SOCKET_IFNAME": "wlan0", "NCCL_IB_HCA": "mlx5_9", "GLOO_SOCKET_IFNAME": "wlan0", "NCCL_ALGO": "Ring"}
    made = launch.environment(mine, network.variables(HALVES, HCAS, "nccl"))
    assert network.kept(made) == {**network.variables(HALVES, HCAS, "nccl"), "NCCL_ALGO": "Ring"}


def test_an_interface_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(CannotStart, match=r"There is no network interface enp9 on this machine; it has .*lo") as raised:
        network.require(["lo", "enp9"])
    assert raised.value.remedy
    network.require(["lo"])


def test_the_address_of_an_interface_is_its_own() -> None:
    assert network.address_of("lo") == "127.0.0.1"
    with pytest.raises(CannotStart, match="enp9 has no IPv4 address"):
        network.address_of("enp9")


def test_rdma_devices_are_those_of_the_same_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for interface, hca in zip(HALVES, HCAS, strict=True):
        (tmp_path / interface / "device" / "infiniband" / hca).mkdir(parents=True)
    (tmp_path / "eth0").mkdir()
    monkeypatch.setattr(network, "INTERFACES", tmp_path)
    assert network.hcas(HALVES) == HCAS
    assert network.hcas(["eth0", "lo"]) == ()


SPARK = """\
spark-9f8f:315:315 [0] NCCL INFO Bootstrap: Using enp1s0f1np1:10.100.216.2<0>
spark-9f8f:315:315 [0] NCCL INFO NCCL_IB_HCA set to roce
spark-9f8f:315:315 [0] NCCL INFO NET/IB : Using [0]rocep1s0f1:1/RoCE [1]roceP2p1s0f1:1/RoCE [RO]; \
OOB enp1s0f1np1:10.100.216.2<0>
spark-9f8f:315:315 [0] NCCL INFO Using network IB
spark-9f8f:315:401 [0] NCCL INFO Channel 00/0 : 1[0] -> 0[0] [receive] via NET/IB/0
spark-9f8f:315:401 [0] NCCL INFO Channel 01/0 : 1[0] -> 0[0] [receive] via NET/IB/1
spark-9f8f:315:401 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0
"""
"""The lines of NCCL 2.30.7 on two Sparks: MiaAI-Lab/DeepSeek-v4-Flash-DSpark-2x-DGX-Spark, pull request 95."""

H100 = """\
dgxh100-4:460770:460770 [0] NCCL INFO Bootstrap : Using enp220s0np0:11.1.128.136<0>
NCCL version 2.19.3+cuda12.3
dgxh100-4:460770:460842 [0] NCCL INFO NET/IB : Using [0]mlx5_10:1/RoCE [1]mlx5_11:1/RoCE [RO]; \
OOB enp220s0np0:11.1.128.136<0>
dgxh100-4:460770:460842 [0] NCCL INFO Using non-device net plugin version 0
dgxh100-4:460770:460842 [0] NCCL INFO Using network IB
misc/ibvwrap.cc:187 NCCL WARN Call to ibv_modify_qp failed with error Network is unreachable
"""
"""NVIDIA/nccl-tests, issue 185."""

SOCKETS = """\
one:7:7 [0] NCCL INFO Bootstrap : Using eth0:10.0.0.1<0>
one:7:9 [0] NCCL INFO NET/IB : No device found.
one:7:9 [0] NCCL INFO NET/Socket : Using [0]eth0:10.0.0.1<0>
one:7:9 [0] NCCL INFO Using network Socket
"""
"""What NCCL falls back to without RDMA: NVIDIA/nccl, issue 958."""


@pytest.mark.parametrize(
    ("text", "network", "hcas", "interfaces"),
    [
        (SPARK, "IB", ("rocep1s0f1:1", "roceP2p1s0f1:1"), ("enp1s0f1np1",)),
        (H100, "IB", ("mlx5_10:1", "mlx5_11:1"), ("enp220s0np0",)),
        (SOCKETS, "Socket", (), ("eth0",)),
        ("", "", (), ()),
    ],
    ids=["spark", "h100", "sockets", "empty"],
)
def test_nccl_says_over_which_network_it_went(
    text: str, network: str, hcas: tuple[str, ...], interfaces: tuple[str, ...]
) -> None:
    log = nccl_log.parse(text)
    assert (log.network, log.hcas, log.interfaces) == (network, hcas, interfaces)


def test_the_transports_and_warnings_are_kept() -> None:
    assert nccl_log.parse(SPARK).transports == ("NET/IB/0", "NET/IB/1")
    assert nccl_log.parse(H100).warnings == ("Call to ibv_modify_qp failed with error Network is unreachable",)
    assert nccl_log.parse(H100).version == "2.19.3"
