"""nccl-tests' tables are read as public reports show them, and compared with what a run.json says."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from paths import ROOT

from dgxcert.profiles import profile as profiles

# coreweave/nccl-tests, pull request 43: GB200
GB200 = """\
#  Rank 71 Group  0 Pid  14840 on slurm-gb200-207-171 device  3 [0x01] NVIDIA Graphics Device
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
   536870912     134217728     float     sum      -1   1806.7  297.16  586.06      0   1835.9  292.43  576.74      0
  1073741824     268435456     float     sum      -1   3108.8  345.38  681.17      0   2924.7  367.13  724.06      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 745.53
"""
# NVIDIA/nccl-tests, issue 107 and others of its time: no root, and an error in place of what is wrong
OLD = """\
#       size         count      type   redop     time   algbw   busbw  error     time   algbw   busbw  error
#        (B)    (elements)                       (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
     1048576        262144     float     sum    27.76   37.78   66.11  0e+00    27.49   38.15   66.76    N/A
"""


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import peer_nccl

    return peer_nccl


def test_both_columns_of_each_size_are_read(peer: ModuleType) -> None:
    found = peer.parse(GB200)
    assert [(row.size_bytes, row.out_of_place, row.in_place) for row in found] == [
        (536870912, 586.06, 576.74),
        (1073741824, 681.17, 724.06),
    ]
    assert peer.parse(OLD) == (peer.Row(1048576, 66.11, 66.76),)
    assert peer.parse("nccl-tests: no CUDA-capable device is detected\n") == ()


def result(operation: str, gbs: float, size_bytes: int) -> dict[str, Any]:
    timed = {"name": f"{operation} by nvls", "value": gbs, "rounds_s": [0.1], "source": "6 rounds"}
    how = {
        "name": f"algorithm of {operation}",
        "value": "nvls",
        "source": f"SIMPLE, NCCL 2.27.7, for {size_bytes} bytes",
    }
    return {"id": "COLLECTIVE-SPEED", "evidence": [how, timed]}


def test_the_ratio_is_of_the_same_size_with_both_figures(peer: ModuleType) -> None:
    other = {"id": "PAIR-SPEED", "evidence": [{"name": "x", "value": 1, "rounds_s": [1.0], "source": "for 8 bytes"}]}
    unmeasured = {"id": "COLLECTIVE-SPEED", "evidence": []}
    ours = peer.of_suite({"results": [result("all_reduce", 700.0, 1073741824), other, unmeasured]})
    assert ours == {"all_reduce": peer.Ours(1073741824, 700.0)}
    (row,) = peer.rows(ours, {"all_reduce": peer.parse(GB200)})
    assert row == (
        "all_reduce of 1073741824 bytes, GB/s: suite / nccl-tests",
        "0.967 (700 / 724.1)",
        "0.95 to 1.05",
    )
    assert list(peer.rows(ours, {"all_reduce": peer.parse(OLD)})) == []


def test_one_sentence_says_why_nothing_is_compared(
    peer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert peer.missing(profiles.load("cpu")).startswith("Profile cpu uses no GPU")
    assert peer.compared(profiles.load("dgx-h100")) == []
    assert capsys.readouterr().err.startswith("nccl-tests is not installed (in PATH, or in the folder NCCL_TESTS)")
    built = tmp_path / "build"
    built.mkdir()
    for name in ("all_reduce_perf", "alltoall_perf"):
        (built / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (built / name).chmod(0o755)
    monkeypatch.setenv("NCCL_TESTS", str(built))
    assert peer.missing(profiles.load("dgx-h100")) == ""
    assert [peer.program(name) is None for name in ("all_reduce", "all_to_all", "broadcast")] == [False, False, True]


def test_its_programs_are_run_on_the_size_that_the_suite_used(
    peer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    asked = tmp_path / "asked"
    keeps = f"open({str(asked)!r}, 'w').write(' '.join(sys.argv[1:]))"
    played = f"#!{sys.executable}\nimport sys\n{keeps}\nprint({GB200!r})\n"
    (tmp_path / "all_reduce_perf").write_text(played, encoding="utf-8")
    (tmp_path / "all_reduce_perf").chmod(0o755)
    monkeypatch.setenv("NCCL_TESTS", str(tmp_path))
    assert len(peer._measured("all_reduce", 1073741824)) == 2
    assert asked.read_text(encoding="utf-8") == "-b 1073741824 -e 1073741824 -g 8 -w 5 -n 20"
