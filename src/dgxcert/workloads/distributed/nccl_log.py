"""NCCL's log: which algorithm, protocol, channels and transport it chose, from what NCCL_DEBUG=INFO writes.

With NCCL_DEBUG_SUBSYS=INIT,TUNING. Rank 0 alone writes a line for each call. Formats differ: until about 2.21 numbers
stand for names, and no operation is named; later lines end with the communicator.
"""

import re
from collections import Counter
from dataclasses import dataclass

VARIABLES = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,TUNING"}
"""What makes NCCL write it; the lines of transports belong to INIT too."""
ALGORITHMS = ("tree", "ring", "collnet_direct", "collnet_chain", "nvls", "nvls_tree", "pat")
PROTOCOLS = ("LL", "LL128", "SIMPLE")
"""In the order of NCCL's numbers (src/include/nccl_common.h)."""
FUNCTIONS = {
    "all_reduce": "AllReduce",
    "all_gather": "AllGather",
    "reduce_scatter": "ReduceScatter",
    "broadcast": "Broadcast",
}
"""NCCL's names of operations; the others are made of Send and Recv, for which it chooses no algorithm."""
VERSION = re.compile(r"NCCL version (\d[\w.]*)")
CHOICE = re.compile(
    r"(?:(?P<function>\w+): )?(?P<bytes>\d+) Bytes -> Algo (?P<algorithm>\w+) proto (?P<protocol>\w+)"
    r"(?: channel\{Lo\.\.Hi\}=\{(?P<low>\d+)\.\.(?P<high>\d+)\})?"
)
CHANNELS = re.compile(r"\d+ coll channels, (?:\d+ collnet channels, )?(?:\d+ nvls channels, )?\d+ p2p channels")
NETWORK = re.compile(r"NCCL INFO (?:\[[\d,]+\] )?Using network (.+)")
RDMA = re.compile(r"NET/IB\s*: Using (.+)")
HCA = re.compile(r"\[\d+\]([\w.+-]+:\d+)/\w+")
"""`[0]rocep1s0f0:1/RoCE`: device and port, and what it speaks."""
BOOTSTRAP = re.compile(r"(?:Bootstrap\s*: Using|OOB|NET/Socket\s*: Using \[\d+\]) ?([\w.@-]+):[\w.:%]+<")
WARNING = re.compile(r"NCCL WARN (.+)")
MOST_WARNINGS = 5
VIA = re.compile(r"\d+\[\w+\] -> \d+\[\w+\](?: \[(?:send|receive)\])? via (\S+)")


@dataclass(frozen=True)
class Choice:
    """What NCCL chose for one call."""

    function: str
    """Empty in logs that name none."""
    size_bytes: int
    algorithm: str
    protocol: str
    channels: int | None = None


@dataclass(frozen=True)
class Log:
    """What is known from the log of one rank."""

    version: str = ""
    choices: tuple[Choice, ...] = ()
    transports: tuple[str, ...] = ()
    """The most used one first."""
    channels: str = ""
    """How many there are for what, as NCCL says it."""
    network: str = ""
    """What joins machines: `IB` for RDMA, `Socket`, or a plugin's name. With NET among NCCL_DEBUG_SUBSYS."""
    hcas: tuple[str, ...] = ()
    """RDMA devices with their port."""
    interfaces: tuple[str, ...] = ()
    """Network interfaces by which ranks meet, and exchange data where there is no RDMA."""
    warnings: tuple[str, ...] = ()

    def chosen(self, operation: str, sizes: tuple[int, ...]) -> Choice | None:
        """The last choice for an operation on one of these sizes; None where the log has none.

        >>> log = parse("[0] NCCL INFO AllReduce: 8388608 Bytes -> Algo NVLS proto SIMPLE channel{Lo..Hi}={0..15}")
        >>> log.chosen("all_reduce", (8388608,)).algorithm
        'nvls'
        """
        function = FUNCTIONS.get(operation)
        fitting = [each for each in self.choices if each.size_bytes in sizes and each.function in (function, "")]
        return fitting[-1] if fitting else None


def parse(text: str) -> Log:
    """What a log says.

    >>> parse("node:1:1 [0] NCCL INFO 262144 Bytes -> Algo 1 proto 2 time 54.707825").choices
    (Choice(function='', size_bytes=262144, algorithm='ring', protocol='SIMPLE', channels=None),)
    """
    version, channels = VERSION.search(text), CHANNELS.search(text)
    transports = Counter(VIA.findall(text))
    return Log(
        version[1] if version else "",
        tuple(_choice(found) for found in CHOICE.finditer(text)),
        tuple(name for name, _ in transports.most_common()),
        channels[0] if channels else "",
        *_network(text),
        tuple(dict.fromkeys(found.strip() for found in WARNING.findall(text)))[:MOST_WARNINGS],
    )


def _network(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The network, its RDMA devices, and the interfaces; each once, in the order in which NCCL names them."""
    network = NETWORK.search(text)
    hcas = [hca for line in RDMA.findall(text) for hca in HCA.findall(line)]
    return (
        network[1].strip() if network else "",
        tuple(dict.fromkeys(hcas)),
        tuple(dict.fromkeys(BOOTSTRAP.findall(text))),
    )


def _choice(found: re.Match[str]) -> Choice:
    low, high = found["low"], found["high"]
    return Choice(
        found["function"] or "",
        int(found["bytes"]),
        _named(found["algorithm"], ALGORITHMS).lower(),
        _named(found["protocol"], PROTOCOLS).upper(),
        None if low is None else int(high) - int(low) + 1,
    )


def _named(word: str, names: tuple[str, ...]) -> str:
    """A name, also where NCCL writes its number.

    >>> _named("4", ALGORITHMS), _named("NVLS", ALGORITHMS), _named("9", ALGORITHMS)
    ('nvls', 'NVLS', 'number 9')
    """
    if not word.isdigit():
        return word
    return names[int(word)] if int(word) < len(names) else f"number {word}"
