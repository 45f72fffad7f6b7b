"""What NCCL chose is read from the lines of its versions, as public reports show them."""

import pytest

from dgxcert.workloads.distributed import nccl_log
from dgxcert.workloads.distributed.nccl_log import Choice

H100 = """\
n:1:1 [0] NCCL INFO NCCL version 2.30.7+cuda13.1
n:1:1 [0] NCCL INFO Channel 23/0 : 0[0] -> 1[1] via P2P/CUMEM
n:1:1 [0] NCCL INFO 24 coll channels, 24 collnet channels, 16 nvls channels, 32 p2p channels, 32 p2p channels per peer
n:1:1 [0] NCCL INFO AllReduce: 4096 Bytes -> Algo RING proto LL channel{Lo..Hi}={0..0}
n:1:1 [0] NCCL INFO AllReduce: 1048576 Bytes -> Algo RING proto LL channel{Lo..Hi}={0..23}
n:1:1 [0] NCCL INFO AllReduce: 2097152 Bytes -> Algo NVLS proto SIMPLE channel{Lo..Hi}={0..15}
"""


def test_the_algorithm_belongs_to_the_size() -> None:
    log = nccl_log.parse(H100)
    assert log.version == "2.30.7"
    assert log.transports == ("P2P/CUMEM",)
    assert log.channels == "24 coll channels, 24 collnet channels, 16 nvls channels, 32 p2p channels"
    assert log.chosen("all_reduce", (2097152,)) == Choice("AllReduce", 2097152, "nvls", "SIMPLE", 16)
    assert log.chosen("all_reduce", (1048576,)) == Choice("AllReduce", 1048576, "ring", "LL", 24)
    assert log.chosen("all_gather", (2097152,)) is None


@pytest.mark.parametrize(
    ("line", "choice"),
    [
        ("[0] NCCL INFO 262144 Bytes -> Algo 0 proto 1 time 54.707825", Choice("", 262144, "tree", "LL128")),
        (
            "[0] NCCL INFO AllReduce: 4 Bytes -> Algo TREE proto LL channel{Lo..Hi}={0..0}",
            Choice("AllReduce", 4, "tree", "LL", 1),
        ),
        (
            "[0] NCCL INFO AllGather: 1048576 Bytes -> Algo Ring proto LL128 channel{Lo..Hi}={0..3} comm 0x55",
            Choice("AllGather", 1048576, "ring", "LL128", 4),
        ),
        ("[0] NCCL INFO 8 Bytes -> Algo 11 proto 2 time 1.0", Choice("", 8, "number 11", "SIMPLE")),
    ],
)
def test_lines_of_other_versions(line: str, choice: Choice) -> None:
    assert nccl_log.parse(line).choices == (choice,)


@pytest.mark.parametrize("text", ["", "NCCL INFO AllReduce: x Bytes -> Algo"])
def test_a_log_that_says_nothing(text: str) -> None:
    assert nccl_log.parse(text) == nccl_log.Log()
