"""Certifying: what keeps a profile from certifying, so that no shipped one certifies by a guess."""

from collections.abc import Iterable, Mapping

from dgxcert.judgement.units import OF_CEILING, SPEEDS
from dgxcert.profiles.quantity import Quantity, WrittenLimit

JOINING = ("NVLINK-", "PEER-ACCESS", "FABRIC-READY", "COLLECTIVE", "ALL-GPUS-")
"""How the ids of requirements about what joins several GPUs begin, and about all of them at once."""


def unjoined(not_applicable: Iterable[str]) -> list[str]:
    """Of the requirements that a profile excludes, those without which several GPUs are not certified.

    >>> unjoined(["NVLINK-COUNT", "POWER-INPUT"])
    ['NVLINK-COUNT']
    """
    return [key for key in not_applicable if key.startswith(JOINING)]


def suppositions(limits: Mapping[str, Quantity]) -> list[str]:
    """Problems of limits that are assumed, and of speeds that are compared with the machine itself.

    >>> own = WrittenLimit(min=0.2, unit="of ceiling", source="fused steps")
    >>> suppositions({"decode.bf16.tuned.single": own, "clock.boost": own})
    ['limits.decode.bf16.tuned.single: wanted no share of its own ceiling, which a machine slow in every way reaches']
    """
    assumed = [f"limits.{name}: what is assumed certifies nothing" for name, each in limits.items() if _assumed(each)]
    own = [name for name, each in limits.items() if each.unit == OF_CEILING and name.split(".")[0] in SPEEDS]
    why = "wanted no share of its own ceiling, which a machine slow in every way reaches"
    return [*assumed, *(f"limits.{name}: {why}" for name in own)]


def reasons(limits: Mapping[str, Quantity]) -> str:
    """Why a profile with these limits certifies nothing, in one sentence; it may, where neither number is above none.

    >>> reasons({"decode.bf16.tuned.single": WrittenLimit(min=0.2, unit="of ceiling", source="fused steps")})
    "0 limits are assumed, and 1 speed is a share of the machine's own ceiling."
    """
    assumed = sum(map(_assumed, limits.values()))
    own = len(suppositions(limits)) - assumed
    speeds = f"{own} speed{' is a share' if own == 1 else 's are shares'} of the machine's own ceiling"
    return f"{assumed} limit{' is' if assumed == 1 else 's are'} assumed, and {speeds}."


def _assumed(limit: Quantity) -> bool:
    return isinstance(limit, WrittenLimit) and limit.assumed
