"""What must be true of two machines and the cable between them. No machine's own plan has these requirements."""

from dgxcert.judgement.limit import Limit
from dgxcert.judgement.requirement import Requirement, Tier
from dgxcert.machine.trait import Trait
from dgxcert.profiles.profile import Profile

GROUP = "pairs"

STALE = Trait.PHYSICAL.only(
    "Shut both machines down, unplug their power supplies from the wall for a minute, and start them again: a reboot "
    "alone does not initialise a stale network card."
)
UPDATE = "Update the firmware, then restart: sudo fwupdmgr update"

LINK = Requirement(
    id="PAIR-LINK",
    title="The cable joins the ports that the lab wrote, at the speed that it promises",
    why=(
        "Two machines that load one large model move its activations through this cable for every token; a half that "
        "is down, a narrow PCIe lane or a wrong MTU makes every token wait."
    ),
    remedy=(
        "Look at the ports on both machines: ip -br link; ip -br address; ibdev2netdev",
        "Compare `link_address`, `link_port`, `link_speed` and `link_mtu` in the inventory with what they show, and "
        "correct what is wrong.",
        "Plug the cable in again on both ends until it clicks, and test the pair again.",
        "Try another cable, then the other port of each machine.",
        "Open a hardware case with the folder of the room for the machine that fails with every cable.",
    ),
    tier=Tier.STANDARD,
    takes_s=5,
    budget_s=60,
)
COLLECTIVES = Requirement(
    id="PAIR-COLLECTIVES",
    title="Two machines exchange exact data over the cable, as fast as it carries",
    why=(
        "accelerate, FSDP and tensor parallelism wait for all_reduce and all_gather in every layer or step; over the "
        "wrong network, or with one half of a port, two machines are slower than one."
    ),
    remedy=(
        "Read the finding above: which operation is slow or wrong, and which interfaces carried the bytes.",
        "See that nothing else uses GPUs and cable on both machines: nvidia-smi; ip -s link",
        STALE,
        UPDATE,
        "Try another cable, then open a hardware case with the folder of the room.",
    ),
    tier=Tier.STANDARD,
    takes_s=120,
    budget_s=1200,
)
TRAINING = Requirement(
    id="PAIR-TRAINING",
    title="Two machines that train together keep the same weights, which one machine would get too",
    why=(
        "Trainer over two machines with DistributedDataParallel saves the weights of rank 0: where the other machine's "
        "have drifted, the checkpoint is of neither."
    ),
    remedy=(
        "Read the finding above: which quantity differs, and which machine's own results are in doubt.",
        "Validate both machines alone: make validate",
        "Open a hardware case for the machine whose GRADIENTS-CORRECT or MATMUL-CORRECT fails, with the folder of the "
        "room.",
    ),
    tier=Tier.STANDARD,
    takes_s=60,
    budget_s=1200,
)
ALL = (LINK, COLLECTIVES, TRAINING)
OF_LINK = ("pair.halves", "pair.speed", "pair.mtu", "pair.pcie.width", "pair.pcie.speed", "pair.answered")
"""The limits of PAIR-LINK; every other one of pairs is of PAIR-COLLECTIVES."""


def find(name: str) -> Requirement | None:
    """The requirement of that id, in whatever case it was typed; None where it is no requirement of pairs.

    >>> find("pair-link") is LINK, find("GPU-PRESENT") is None
    (True, True)
    """
    return next((each for each in ALL if each.id == name.strip().upper()), None)


def limits(requirement: Requirement, profile: Profile) -> dict[str, Limit]:
    """The limits of a profile that a requirement is compared with, by name; none where it does not apply."""
    if profile.not_applicable_pair.get(requirement.id) or requirement is TRAINING:
        return {}
    of_pairs = {name: limit for name, limit in profile.limits.items() if name.startswith("pair.")}
    return {name: limit for name, limit in of_pairs.items() if (name in OF_LINK) == (requirement is LINK)}
