"""The options of a room."""

import pytest

from dgxcert.judgement.requirement import Tier
from dgxcert.room.options import HOUR_S, RoomOptions


def test_what_differs_is_said_as_it_is_typed() -> None:
    asked = RoomOptions(only=("GPU-XID", "stack"), build=False)
    assert asked.differences(RoomOptions()) == ("only GPU-XID,stack instead of none", "build False instead of True")
    assert RoomOptions().differences(RoomOptions()) == ()


@pytest.mark.parametrize(
    ("tier", "minutes", "hours"), [(Tier.QUICK, 600, 1), (Tier.STANDARD, 600, 8), (Tier.BURN_IN, 600, 48)]
)
def test_a_validation_has_a_time_limit_with_room_for_its_burn_in(tier: Tier, minutes: float, hours: float) -> None:
    assert RoomOptions(tier=tier, minutes=minutes).limit_s == hours * HOUR_S
