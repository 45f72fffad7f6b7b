"""Sensors: what a part says about itself is judged, and what cannot be true is dropped."""

from pathlib import Path
from typing import Any

import pytest

from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host.hardware import sensors
from dgxcert.probes.host.hardware.sensors import LOW_POWER, THROTTLED, Fan, Sensors, Temperature

MILLION = 1_000_000


def least(watts: float) -> Limit:
    return Limit(name="power", min=watts, unit="W", source="data sheet")


def chip(**files: object) -> Sensors:
    """The sensors of one hwmon chip."""
    return sensors.parse({f"class/hwmon/hwmon2/{name}": f"{text}\n" for name, text in files.items()})


def zone(**files: object) -> Sensors:
    return sensors.parse({f"class/thermal/thermal_zone0/{name}": str(text) for name, text in files.items()})


def supply(**changed: object) -> dict[str, str]:
    """A USB-C port through which ucsi is fed 20 V at 1.5 A."""
    fed = {"type": "USB", "online": 1, "usb_type": "C [PD] PD_PPS", "voltage_now": 20 * MILLION}
    files: dict[str, object] = {**fed, "current_now": 1_500_000, **changed}
    return {f"class/power_supply/ucsi-source-psy-USBC000:001/{name}": str(text) for name, text in files.items()}


@pytest.mark.parametrize(
    ("files", "critical"),
    [
        ({"name": "nvme", "temp1_input": 60850, "temp1_crit": 84850, "temp1_crit_alarm": 0}, 0),
        ({"name": "nvme", "temp1_input": 84850, "temp1_crit": 84850}, 1),
        ({"name": "nvme", "temp1_input": 70000, "temp1_crit": 84850, "temp1_crit_alarm": 1}, 1),
        ({"name": "mlx5", "temp1_input": 106000, "temp1_crit": 105000}, 1),
        ({"name": "coretemp", "temp1_input": 71000, "temp1_crit": 100000, "temp1_crit_alarm": 1}, 0),
        ({"name": "coretemp", "temp1_input": 98000, "temp1_crit": 100000, "temp1_crit_alarm": 1}, 1),
        ({"name": "coretemp", "temp1_input": 98000, "temp1_crit": 100000}, 0),
        ({"name": "jc42", "temp1_input": 45000, "temp1_crit": 0}, 0),
        ({"name": "jc42", "temp1_input": 45000, "temp1_crit": 0, "temp1_crit_alarm": 1}, 0),
        ({"name": "nct6798", "temp1_input": 100000, "temp1_crit": 85000, "temp1_crit_alarm": 1}, 0),
        ({"name": "nvme", "temp1_input": 127000, "temp1_crit": 84850}, 0),
        ({"name": "nvme", "temp1_input": -128000, "temp1_crit": 84850, "temp1_crit_alarm": 1}, 0),
        ({"name": "nvme", "temp1_input": 86850, "temp1_crit": 84850, "temp1_fault": 1}, 0),
        ({"name": "nvme", "temp1_input": "garbage", "temp1_crit": 84850}, 0),
        ({"temp1_input": 99000, "temp1_crit": 84850}, 0),
    ],
)
def test_only_a_part_at_its_own_limit_is_critical(files: dict[str, Any], critical: int) -> None:
    assert len(chip(**files).critical) == critical


@pytest.mark.parametrize(
    ("files", "critical"),
    [
        ({"type": "acpitz", "temp": 27800}, 0),
        ({"type": "acpitz", "temp": 104900, "trip_point_0_type": "critical", "trip_point_0_temp": 105000}, 0),
        ({"type": "acpitz", "temp": 105000, "trip_point_0_type": "critical", "trip_point_0_temp": 105000}, 1),
        ({"type": "acpitz", "temp": 96000, "trip_point_0_type": "passive", "trip_point_0_temp": 95000}, 0),
        ({"type": "acpitz", "temp": 27800, "trip_point_0_type": "critical", "trip_point_0_temp": -273200}, 0),
        ({"type": "acpitz", "temp": 40000, "trip_point_0_type": "critical", "trip_point_0_temp": 20800}, 0),
    ],
)
def test_a_zone_is_critical_at_its_critical_trip(files: dict[str, Any], critical: int) -> None:
    assert len(zone(**files).critical) == critical


def test_what_was_dropped_is_not_the_hottest() -> None:
    assert chip(name="nvme", temp1_input=60850).hottest == "nvme (hwmon2) temp1 60.9 °C"
    assert chip(name="nct6798", temp1_input=127000, temp2_input=-128000).hottest == "none is reported"


@pytest.mark.parametrize("rpm", [65535, -1, "", "n/a", 4294967295])
def test_an_absurd_speed_is_no_fan(rpm: object) -> None:
    assert chip(name="acpi_fan", fan1_input=rpm).fans == ()


def test_a_fan_with_a_fault_is_not_there() -> None:
    assert chip(name="acpi_fan", fan1_input=0, fan1_fault=1).fans == ()
    assert chip(name="acpi_fan", fan1_input=0, fan1_fault=0).standing == 1


def test_fans_stand_where_none_that_the_firmware_drives_turns() -> None:
    assert chip(name="thinkpad", fan1_input=0, fan2_input=0).standing == 2
    assert chip(name="thinkpad", fan1_input=2400, fan2_input=0).standing == 0
    assert chip(name="nct6798", fan1_input=0).standing == 0
    assert chip(name="corsairpsu", fan1_input=0).standing == 0


def test_a_fan_stops_that_turned_before() -> None:
    before, after = chip(name="nct6798", fan1_input=900, fan2_input=0), chip(name="nct6798", fan1_input=0, fan2_input=0)
    assert after.stopped_since(before.turning) == 1
    assert before.stopped_since(after.turning) == 0
    assert after.stopped_since(after.turning) == 0
    assert after.stopped_since(Sensors().turning) == 0


def spbm(**caps: int) -> Sensors:
    """spark_hwmon with these limits in W."""
    files: dict[str, object] = {"name": "spbm", "power1_label": "dc_input", "power1_input": 26 * MILLION}
    for number, (label, watts) in enumerate(caps.items(), 2):
        files |= {f"power{number}_label": label, f"power{number}_cap": watts * MILLION}
    return chip(**files)


@pytest.mark.parametrize(
    ("found", "low"),
    [
        (spbm(pl1=140, pl2=142, syspl1=231, syspl2=244), "nothing"),
        (spbm(pl1=105, syspl1=150), "nothing"),
        (spbm(pl1=20, pl2=20), "pl1 is limited to 20 W, pl2 is limited to 20 W"),
        (spbm(syspl1=30), "syspl1 is limited to 30 W"),
        (spbm(pl1=0, syspl1=0), "nothing"),
        (spbm(pl1=140, syspl1=4_294_967), "nothing"),
        (chip(name="xe", power1_label="pkg", power1_cap=15 * MILLION), "nothing"),
        (chip(name="spbm", power1_label="dc_input", power1_cap=1), "nothing"),
        (Sensors(), "nothing"),
    ],
)
def test_limits_of_the_firmware_are_compared_with_the_profile(found: Sensors, low: str) -> None:
    assert found.short_of(least(150), least(105), least(90)) == low


@pytest.mark.parametrize(
    ("changed", "watts"),
    [
        ({}, 30.0),
        ({"voltage_max": 20 * MILLION, "current_max": 5 * MILLION}, 100.0),
        ({"online": 0}, None),
        ({"usb_type": "[C] PD PD_PPS"}, None),
        ({"type": "Mains"}, None),
        ({"current_now": 0}, None),
        ({"voltage_now": -20 * MILLION}, None),
        ({"current_now": "busy"}, None),
    ],
)
def test_a_contract_is_that_of_a_port_that_feeds_the_machine(changed: dict[str, object], watts: float | None) -> None:
    assert sensors.parse(supply(**changed)).contracts_w.get("ucsi-source-psy-USBC000:001") == watts


def test_a_contract_counts_where_the_firmware_tells_no_limit() -> None:
    poor = sensors.parse(supply())
    assert poor.short_of(least(150), least(105), least(90)) == "ucsi-source-psy-USBC000:001 is offered 30 W"
    assert poor.short_of(least(150), least(105), least(30)) == "nothing"
    told = Sensors(limits_w={"syspl1": 231.0}, contracts_w=poor.contracts_w)
    assert told.short_of(least(150), least(105), least(90)) == "nothing"
    two = Sensors(contracts_w={"display": 15.0, "supply": 100.0})
    assert two.short_of(least(150), least(105), least(90)) == "nothing"


def test_a_limit_without_a_minimum_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="min"):
        Sensors().short_of(Limit(name="power", max=1, unit="W", source="x"), least(1), least(1))


@pytest.mark.parametrize(("text", "prochot"), [("1", 1), ("0", 0), ("4294967295", None), ("255", None), ("", None)])
def test_prochot_is_a_status_of_few_bits(text: str, prochot: int | None) -> None:
    found = sensors.parse({"bus/platform/devices/NVDA8800:00/prochot": text})
    assert found.prochot == prochot
    assert found.is_unthrottled is (prochot != 1)
    assert found.power_remedy == (THROTTLED if prochot else LOW_POWER)


def test_prochot_of_a_hot_processor_is_no_fault_of_the_board() -> None:
    assert Sensors((Temperature("acpitz (thermal_zone0)", 85.0),), prochot=1).is_unthrottled
    assert not Sensors((Temperature("acpitz (thermal_zone0)", 84.9),), prochot=1).is_unthrottled
    assert not Sensors((Temperature("mlx5 (hwmon1) asic", 92.0),), prochot=1).is_unthrottled


def test_what_is_over_at_the_second_reading_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "AGAIN_S", 0.0)
    hot = Sensors((Temperature("nvme", 86, 84.8, True), Temperature("mlx5", 50, 105)), prochot=1)
    other = Sensors((Temperature("nvme", 80, 84.8), Temperature("mlx5", 106, 105, True)), prochot=0)
    for readings, critical, prochot in (((hot, hot), 1, 1), ((hot, other), 0, 0), ((other, hot), 0, 0)):
        monkeypatch.setattr(sensors, "read", iter(readings).__next__)
        found = sensors.settled()
        assert (len(found.critical), found.prochot) == (critical, prochot)


def test_a_machine_without_sensors_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "SYS", tmp_path)
    assert sensors.settled() == Sensors()
    assert Sensors().slowest_fan == Sensors().hottest == "none is reported"


def test_files_that_cannot_be_read_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the place of a file raises an OSError, as EIO and ENODATA do."""
    monkeypatch.setattr(sensors, "SYS", tmp_path)
    folder = tmp_path / "class/hwmon/hwmon0"
    (folder / "temp1_input").mkdir(parents=True)
    (folder / "fan1_input").write_bytes(b"\xff\xfe\x00")
    (folder / "fan2_input").write_text("1800\n", encoding="ascii")
    (folder / "name").write_text("acpi_fan\n", encoding="ascii")
    (tmp_path / "class/thermal").mkdir()
    (tmp_path / "class/thermal/thermal_zone0").write_text("no folder", encoding="ascii")
    assert sensors.read() == Sensors(fans=(Fan("acpi_fan (hwmon0) fan2", 1800, True),))


def test_reading_ends_at_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "SYS", tmp_path)
    for number in range(20):
        folder = tmp_path / f"class/hwmon/hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "fan1_input").write_text("1800", encoding="ascii")
    for name, value, fans in (("MOST_FILES", 5, 5), ("MOST_FILES", 3000, 20), ("READS_S", -1.0, 0)):
        monkeypatch.setattr(sensors, name, value)
        assert len(sensors.read().fans) == fans
