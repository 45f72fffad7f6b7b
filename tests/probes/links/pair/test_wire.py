"""ib_write_bw is read as perftest writes it, each half alone and then both at once; what fails says why."""

import os
from pathlib import Path

import pytest

from dgxcert.probes.links.pair import wire
from dgxcert.probes.links.pair.wire import Half

HALVES = [Half("rocep1s0f0", "192.168.100.2"), Half("roceP2p1s0f0", "192.168.101.2")]
RULE = "-" * 87
OUTPUT = f"""{RULE}
                    RDMA_Write BW Test
 Dual-port       : OFF\t\tDevice         : rocep1s0f0
 Number of qps   : 4\t\tTransport type : IB
 Connection type : RC\t\tUsing SRQ      : OFF
 Link type       : Ethernet
 Data ex. method : Ethernet
{RULE}
 local address: LID 0000 QPN 0x0108 PSN 0x63ad7d RKey 0x17eedf VAddr 0x007f760c947000
{RULE}
 #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
 65536      353147           0.00               92.57  \t\t   0.176565
{RULE}
"""
"""As in linux-rdma/perftest#234 and #132, with the speed that NVIDIA's performance guide of the DGX Spark shows."""


def test_the_average_of_a_documented_output() -> None:
    assert wire.parse(OUTPUT) == 92.57


@pytest.mark.parametrize(
    "output",
    [
        "",
        "Couldn't connect to 192.168.100.2:29420",
        OUTPUT.replace("Gb/sec", "MB/sec"),
        OUTPUT.replace("92.57", "n/a"),
        "\n".join(line for line in OUTPUT.splitlines() if "353147" not in line),
    ],
)
def test_what_is_no_result_is_none(output: str) -> None:
    assert wire.parse(output) is None


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ib_write_bw that notes its arguments and prints what is in `output`, or fails where there is none."""
    path = tmp_path / "ib_write_bw"
    path.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ -e {tmp_path}/output ] && exec cat {tmp_path}/output\n'
        "echo Unable to open the device >&2; exit 1\n",
        encoding="ascii",
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(wire, "ASKS_S", 0.2)
    monkeypatch.setattr(wire, "TRIES_S", 0.05)
    return tmp_path


@pytest.mark.parametrize("asks", [True, False])
def test_each_half_is_measured_alone_and_then_both_at_once(program: Path, asks: bool) -> None:
    (program / "output").write_text(OUTPUT, encoding="utf-8")
    assert wire.is_installed()
    found = wire.measure(HALVES, asks=asks)
    assert [(each.hcas, round(each.gbits, 2), each.says) for each in found] == [
        (("rocep1s0f0",), 92.57, ""),
        (("roceP2p1s0f0",), 92.57, ""),
        (("rocep1s0f0", "roceP2p1s0f0"), 185.14, ""),
    ]
    calls = (program / "calls").read_text(encoding="ascii").splitlines()
    assert len({call.split("-p ")[1].split()[0] for call in calls}) == 4
    assert all(call.split()[-1].startswith("192.168.10") is asks for call in calls)


@pytest.mark.parametrize("asks", [True, False])
def test_a_program_that_fails_says_why(program: Path, asks: bool) -> None:
    assert program.is_dir()
    (found,) = wire.measure(HALVES[:1], asks=asks)
    assert found.gbits == 0
    assert found.says.endswith("exited with 1: Unable to open the device")
    tries = len((program / "calls").read_text(encoding="ascii").splitlines())
    assert (tries > 1) is asks  # the one that serves is asked once
