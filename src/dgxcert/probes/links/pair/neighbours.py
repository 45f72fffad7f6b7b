"""Neighbours: whose network card has an address of the link, as this end's kernel has found out by ARP.

It tells who is at the other end of a cable also where that machine runs no test of this pair.
"""

from pathlib import Path

ARP = Path("/proc/net/arp")
COMPLETE = 0x2
"""ATF_COM of arp(7): the hardware address is known."""
FIELDS = 6


def read(path: Path = ARP) -> dict[tuple[str, str], str]:
    """MAC addresses by interface and IPv4 address."""
    return parse(path.read_text(encoding="ascii", errors="replace"))


def parse(text: str) -> dict[tuple[str, str], str]:
    """The known entries of /proc/net/arp (proc(5)).

    >>> parse('''IP address       HW type     Flags       HW address            Mask     Device
    ... 192.168.100.2    0x1         0x2         4c:bb:47:00:00:02     *        enp1s0f0np0
    ... 192.168.101.2    0x1         0x0         00:00:00:00:00:00     *        enP2p1s0f0np0
    ... ''')
    {('enp1s0f0np0', '192.168.100.2'): '4c:bb:47:00:00:02'}
    """
    rows = (line.split() for line in text.splitlines()[1:])
    return {
        (row[5], row[0]): row[3].lower()
        for row in rows
        if len(row) == FIELDS and row[2].startswith("0x") and int(row[2], 16) & COMPLETE
    }
