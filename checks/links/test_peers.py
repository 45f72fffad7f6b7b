"""Peers: every pair of GPUs may read and write one another's memory, and copies between them arrive unchanged."""

from dgxcert import requirement
from dgxcert.probes.links import peers
from dgxcert.workloads.hardware import peer_copies


@requirement(
    "PEER-ACCESS",
    title="Every pair of GPUs may read and write one another's memory",
    why="NCCL sends gradients of a pair without access through the host's memory, at a fraction of the speed.",
    remedy=peers.REMEDY,
    takes_s=2.5,
    stage="host",
)
def test_every_pair_of_gpus_may_reach_one_another(machine, profile, evidence):
    reach, allowed = peers.read(machine), profile.limit("links.pairs")
    joined = evidence.record(
        "pairs apart in spite of NVLink", len(reach.apart_on_nvlink), unit="pair", source=reach.source
    )
    apart = evidence.record("pairs without access", len(reach.apart), unit="pair", source=reach.source)
    assert joined == 0
    assert apart <= allowed
    reach.require_known(allowed)


@requirement(
    "PEER-COPIES",
    title="What one GPU copies to another arrives unchanged",
    why="Weights and gradients that change on their way between GPUs train a model that is silently broken.",
    remedy=peer_copies.REMEDY,
    takes_s=5,
    budget_s=180,
)
def test_what_one_gpu_copies_to_another_arrives_unchanged(gpus, profile, evidence):
    copied = peer_copies.between(gpus)
    apart = evidence.record("pairs without access", len(copied.apart), unit="pair", source=copied.access_source)
    wrong = evidence.record("words that arrived wrong", copied.wrong, unit="word", source=copied.source)
    assert wrong == 0
    assert apart <= profile.limit("links.pairs")
