"""Board: no part is at its critical temperature, and neither supply nor board holds the power back."""

from dgxcert import requirement
from dgxcert.probes.host.hardware import sensors


@requirement(
    "BOARD-TEMPERATURE",
    title="No part of the machine is at its critical temperature",
    why="A drive, a network card or a processor at its limit slows down, and ends a training when it switches off.",
    remedy=sensors.HOT,
    stage="host",
)
def test_no_part_is_at_its_critical_temperature(profile, evidence):
    board = sensors.settled()
    evidence.record("hottest part", board.hottest, source="hwmon and thermal zones")
    evidence.record("slowest fan", board.slowest_fan, source="hwmon")
    evidence.record("fans that turn", board.turning, source="hwmon")
    critical = evidence.record("parts at their limit", len(board.critical), unit="part", source=board.critical_source)
    assert critical <= profile.limit("board.critical")


@requirement(
    "POWER-INPUT",
    title="Neither the power supply nor the board holds the machine to low power",
    why="A DGX Spark held at 30 W by its supply or its board computes at a fraction of its speed, and shows no error.",
    remedy=sensors.LOW_POWER,
    stage="host",
)
def test_neither_supply_nor_board_holds_the_power_back(profile, evidence):
    board = sensors.settled()
    evidence.advise(*board.power_remedy)
    free = evidence.record("no PROCHOT on a cool board", board.is_unthrottled, source=board.prochot_source)
    least = profile.limit("power.system"), profile.limit("power.package"), profile.limit("power.contract")
    low = evidence.record("limited power", board.short_of(*least), source=board.power_source)
    assert low == "nothing"
    assert free.holds()
