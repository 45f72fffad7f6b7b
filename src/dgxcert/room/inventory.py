"""The inventory of a room: a lab's own Ansible inventory, and what dgxcert reads from it.

```yaml
all:
  vars:
    ansible_user: lab
    pairs: [[spark-01, spark-02]]
  hosts:
    spark-01: {ansible_host: 10.0.0.1, link_address: [192.168.100.1, 192.168.101.1], link_port: [p0, p1]}
    spark-02: {ansible_host: 10.0.0.2, link_address: [192.168.100.2, 192.168.101.2], link_port: [p0, p1]}
```
"""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Link:
    """One end of a cable, as the lab wrote it: one or both halves of a port, in the same order."""

    addresses: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    """Network interfaces."""
    gbits: float | None = None
    """What the cable carries in Gbit/s (`link_speed`); None leaves it to the profile."""
    mtu: int | None = None
    """What both ends must have (`link_mtu`); None where the lab wrote none."""


@dataclass(frozen=True)
class Host:
    """One machine of a room."""

    name: str
    address: str
    """What SSH connects to (`ansible_host`)."""
    profile: str = "auto"
    """`dgxcert_profile`."""
    sudo_user: str = ""
    """Whom it works as by sudo (`ansible_become` with `ansible_become_user`); "" for who logs in."""
    environment: str = ""
    """An environment that the lab has prepared there (`dgxcert_environment`), whose Python has what dgxcert needs; ""
    has one made in the room's folder on the host."""
    link: Link = field(default_factory=Link)


@dataclass(frozen=True)
class Inventory:
    """The hosts of a room in the order of the inventory, and the pairs that cables join."""

    path: Path
    hosts: tuple[Host, ...]
    pairs: tuple[tuple[str, str], ...] = ()
