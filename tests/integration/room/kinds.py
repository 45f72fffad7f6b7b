"""What a host of a simulated room can be: a machine of tests/simulated/machines, and one trouble with it or none."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of host."""

    says: str
    """In one line, for whom chooses."""
    machine: str = "spark-idle"
    trouble: str = ""
    """What `become_host.sh` and `hosts.up` do otherwise, by name."""
    held: bool = False
    """Whether each measurement waits until a test lets it begin."""
    variables: dict[str, Any] = field(default_factory=dict)
    """Of the host in the inventory."""


KINDS = {
    "healthy": Kind("a DGX Spark that is well"),
    "held": Kind("well, and measures no more than `Room.let` allows: one at first", held=True),
    "sudo": Kind("well, and works as another user, by the right sudo password", variables={"ansible_become": True}),
    "stuck": Kind("stuck in its low-power state: a third of its clock under load", "spark-stuck-low-power"),
    "old-driver": Kind("a driver from before CUDA 13", "spark-driver-too-old"),
    "little-memory": Kind("a quarter of its memory is missing", "spark-memory-missing"),
    "hot": Kind("too hot under load", "spark-thermal"),
    "no-driver": Kind("no NVIDIA driver", "spark-no-driver"),
    "refused": Kind("nothing listens on its SSH port", trouble="hidden"),
    "no-route": Kind("its cable is not plugged in", trouble="unplugged"),
    "silent": Kind("takes a connection and says nothing", trouble="silent"),
    "hangs": Kind("hangs after log-in", trouble="hangs"),
    "key-changed": Kind("has another host key than `known_hosts` of this room says", trouble="key-changed"),
    "password": Kind("lets in neither the key nor the password", trouble="password"),
    "wrong-sudo": Kind("its sudo has another password", trouble="wrong-sudo", variables={"ansible_become": True}),
    "full": Kind("its disk is full", trouble="full"),
    "no-python": Kind("has no Python", trouble="no-python", variables={"dgxcert_environment": ""}),
    "other-processor": Kind("is said to have a profile for another processor", trouble="other-processor"),
    "dies": Kind("loses its power while its validation works", trouble="dies"),
    "twin": Kind("has the machine-id, the host key and the GPU of the first host", trouble="twin"),
}
"""By the word that `--kinds` takes."""
