"""Fabric: the NVLink fabric has admitted every GPU, and each that must have one has it."""

from dgxcert import requirement
from dgxcert.probes.links import fabric


@requirement(
    "FABRIC-READY",
    title="The NVLink fabric has admitted every GPU that it links",
    why="Until the fabric manager has set up the links, torch finds no GPU at all: CUDA refuses with error 802.",
    remedy=(
        "Read how far it has come: nvidia-smi -q | grep -A 4 Fabric",
        "Look whether the fabric manager runs: systemctl status nvidia-fabricmanager",
        "Start it, in the driver's own version: sudo systemctl enable --now nvidia-fabricmanager",
    ),
    takes_s=2.5,
    stage="host",
)
def test_the_fabric_has_admitted_every_gpu(machine, profile, evidence):
    links, allowed = fabric.read(machine), profile.limit("links.without_fabric")
    links.require_known(allowed)
    evidence.advise(*links.remedy)
    evidence.record("GPUs with a fabric", len(links.linked), unit="GPU", source=links.source)
    waiting = evidence.record("GPUs that wait for the fabric", len(links.waiting), unit="GPU", source=links.source)
    ill = evidence.record("GPUs that are ill in the fabric", len(links.ill), unit="GPU", source=links.source)
    apart = evidence.record("GPUs without a fabric", len(links.apart), unit="GPU", source=links.source)
    assert waiting == 0
    assert ill == 0
    assert apart <= allowed
