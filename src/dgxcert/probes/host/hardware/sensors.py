"""Sensors: fans, temperatures, power limits and power input of the board, as the kernel tells them without root.

Sensors lie. A disconnected input reads -128, 127 or 255 °C, a fan that is not there 0 or 65535 rpm, firmware without
a critical trip 0 K; a read may fail while a device sleeps. What cannot be true is dropped, and only what a part says
about itself is judged: drives, network cards, memory, processors, the kernel's thermal zones.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from dgxcert.judgement.limit import Limit
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive

SYS = Path("/sys")
FOLDERS = (
    "class/hwmon/hwmon*",
    "class/thermal/thermal_zone*",
    "class/power_supply/*",
    "bus/platform/devices/NVDA8800:*",
    "bus/acpi/devices/NVDA8800:*",
)
"""hwmon, thermal, USB-C supplies (ucsi), and the device that the module spark_hwmon binds to."""
WANTED = re.compile(
    r"name|fan\d+_(input|fault)|temp\d+_(input|crit|crit_alarm|label|fault)|power\d+_(input|average|cap|label)"
    r"|type|temp|trip_point_\d+_(type|temp)|online|usb_type|(voltage|current)_(now|max)|prochot"
)
MOST_FILES, READS_S = 3000, 5.0
"""Files that are read, and seconds after which no further one is: a sensor on a slow bus takes a second."""
AGAIN_S = 2.0
"""What is critical must be so again after this time: a processor touches its limit for moments by design."""

SENSIBLE_C = (-40.0, 125.0)
"""What a part of a running machine can have; 127, 128 and 255 are empty inputs."""
SENSIBLE_CRITICAL_C = (50.0, 125.0)
"""Limits outside it were never set, such as the 0 K of an ACPI zone."""
FASTEST_RPM = 50_000
MOST_W = 1000.0
NEAR_C = 5.0

JUDGED = re.compile(r"nvme|drivetemp|coretemp|mlx5|ice|bnxt_en|spd5118|jc42")
"""hwmon chips whose critical limit is that of the part itself. Board monitors (nct6775, it87 and their like) leave
inputs and alarms without a part behind them."""
ALARMING = re.compile(r"nvme|ice")
"""Of these, the alarm is a state of now; in coretemp it is a log of the past (IA32_THERM_STATUS, bit 5)."""
FIRMWARE_FANS = re.compile(
    r"acpi_fan|spbm|dell_smm|dell_ddv|thinkpad|hp|asus|cros_ec|applesmc|surface_fan|msi_wmi_platform|system76_acpi|oxp_ec"
)
"""hwmon names of fans that the firmware drives, so that each is a real one; a board monitor's header may be empty."""
COOL_C = 85.0
"""PROCHOT asserted below it is no answer to heat: software slowdown of a GB10 begins at 85 °C."""
OF_SOC = re.compile(r"acpitz|spbm|coretemp|\w*thermal")
NOT_READABLE = 0xFF
"""PROCHOT is a status of few bits; a register that cannot be read is all ones."""

HOT = (
    "Read each temperature and its limit: grep -s . /sys/class/hwmon/hwmon*/name /sys/class/hwmon/hwmon*/temp*_input "
    "/sys/class/hwmon/hwmon*/temp*_crit; cat /sys/class/thermal/thermal_zone*/temp",
    "Give it air: clear the space around it, clean the filters, keep the room below 30 °C; then run this again.",
    "Check that the fans turn, and update the firmware: grep -s . /sys/class/hwmon/hwmon*/fan*_input; "
    "sudo fwupdmgr update",
    "Shut down and open a hardware case with this run folder if the part is still as hot in a cool room.",
)
FANS = (
    "Watch fans and temperature under load: grep -s . /sys/class/hwmon/hwmon*/fan*_input; nvidia-smi -q -d TEMPERATURE",
    "Shut down and clear what blocks the fans; listen whether they turn at the next start.",
    "Stop programs that set the speed of fans: systemctl list-units '*fan*'",
    "Update the firmware: sudo fwupdmgr update",
    Trait.PHYSICAL.only("Shut down, unplug the power supply for a minute, and start again."),
    "Open a hardware case with this run folder if they still stand while the machine is hot.",
)
LOW_POWER = (
    "Read limits and input: grep -s . /sys/class/hwmon/hwmon*/power*_label /sys/class/hwmon/hwmon*/power*_cap; "
    "cat /sys/class/power_supply/*/uevent",
    "Use the supplied power supply (240 W) with its own cable, on an outlet of its own, without a dock or hub between.",
    "Take back limits that were set through spark_hwmon: "
    "sudo sh -c 'for cap in /sys/bus/acpi/devices/NVDA8800:00/hwmon/hwmon*/power*_cap; do echo 0 > $cap; done'",
    Trait.PHYSICAL.only(
        "Shut down, unplug the power supply from the wall and from the machine for a minute, start again. "
        "A reboot alone does not help."
    ),
    "Update the firmware of USB-C power delivery and embedded controller: sudo fwupdmgr update",
    "Open a hardware case with this run folder, and return the machine, if it is still limited.",
)
THROTTLED = (
    "Read what the board asserts: grep -s . /sys/bus/platform/devices/NVDA8800:*/prochot "
    "/sys/bus/acpi/devices/NVDA8800:*/prochot",
    *LOW_POWER[1:2],
    *LOW_POWER[3:5],
    "Open a hardware case with this run folder if a cool machine still asserts it.",
)
NO_READING = "none is reported"


@dataclass(frozen=True)
class Temperature:
    """One temperature in °C, and whether the part itself says that it is at its critical limit."""

    name: str
    celsius: float
    critical: float | None = None
    is_critical: bool = False

    @property
    def description(self) -> str:
        """Name, reading and limit.

        >>> Temperature("nvme Composite", 86.0, 84.8).description
        'nvme Composite 86.0 °C (critical: 84.8)'
        """
        limit = "" if self.critical is None else f" (critical: {self.critical:.1f})"
        return f"{self.name} {self.celsius:.1f} °C{limit}"


@dataclass(frozen=True)
class Fan:
    """One fan in revolutions per minute; `is_firmwares` where the firmware drives it, and no header can be empty."""

    name: str
    rpm: int
    is_firmwares: bool = False


@dataclass(frozen=True)
class Sensors:
    """What the board reports. Power in W by the label of spark_hwmon; contracts of USB-C inputs in W by their name."""

    temperatures: tuple[Temperature, ...] = ()
    fans: tuple[Fan, ...] = ()
    limits_w: Mapping[str, float] = field(default_factory=dict)
    power_w: Mapping[str, float] = field(default_factory=dict)
    contracts_w: Mapping[str, float] = field(default_factory=dict)
    prochot: int | None = None

    @property
    def hottest(self) -> str:
        """The hottest part, for evidence."""
        found = max(self.temperatures, key=lambda each: each.celsius, default=None)
        return found.description if found else NO_READING

    @property
    def critical(self) -> tuple[Temperature, ...]:
        """The parts that are at their critical limit."""
        return tuple(each for each in self.temperatures if each.is_critical)

    @property
    def critical_source(self) -> str:
        """Which parts are at their critical limit, else how many were read."""
        said = ", ".join(each.description for each in self.critical)
        return f"sysfs: {said}" if said else f"sysfs: {len(self.temperatures)} temperatures, none critical"

    @property
    def slowest_fan(self) -> str:
        """The slowest fan, for evidence.

        >>> Sensors(fans=(Fan("acpi_fan fan1", 0), Fan("acpi_fan fan1", 2100))).slowest_fan
        'acpi_fan fan1 0 rpm, of 2 fans'
        """
        found = min(self.fans, key=lambda each: each.rpm, default=None)
        return f"{found.name} {found.rpm} rpm, of {len(self.fans)} fans" if found else NO_READING

    @property
    def standing(self) -> int:
        """How many fans stand still, where the firmware drives fans and none of them turns.

        >>> Sensors(fans=(Fan("acpi_fan fan1", 0, True), Fan("nct6775 fan3", 900))).standing
        1
        """
        own = [fan for fan in self.fans if fan.is_firmwares]
        return 0 if any(fan.rpm for fan in own) else len(own)

    @property
    def turning(self) -> str:
        """The names of the fans that turn, for evidence.

        >>> Sensors(fans=(Fan("nct6775 fan1", 900), Fan("nct6775 fan2", 0), Fan("nct6775 fan3", 800))).turning
        'nct6775 fan1, nct6775 fan3'
        """
        return ", ".join(fan.name for fan in self.fans if fan.rpm) or "none"

    def stopped_since(self, turning: str) -> int:
        """How many of the fans that turned before, named as by `turning`, stand still now.

        >>> Sensors(fans=(Fan("nct6775 fan1", 0),)).stopped_since("nct6775 fan1, nct6775 fan3")
        1
        """
        turned = turning.split(", ")
        return sum(fan.rpm == 0 and fan.name in turned for fan in self.fans)

    @property
    def is_unthrottled(self) -> bool:
        """Whether the board does not assert PROCHOT while it is cool; also where nothing reports it.

        >>> Sensors(prochot=1).is_unthrottled, Sensors((Temperature("acpitz", 96),), prochot=1).is_unthrottled
        (False, True)
        """
        return not self.prochot or any(each.celsius >= COOL_C for each in self.temperatures if OF_SOC.match(each.name))

    @property
    def prochot_source(self) -> str:
        """What spark_hwmon says about PROCHOT, and how hot the machine is."""
        said = "not reported" if self.prochot is None else str(self.prochot)
        return f"spark_hwmon: prochot {said}; hottest: {self.hottest}"

    def short_of(self, system: Limit, package: Limit, contract: Limit) -> str:
        """Power limits and USB-C contracts below the profile's; `nothing` where none is, or none is reported.

        >>> least = Limit(name="power", min=100, unit="W", source="data sheet")
        >>> Sensors(limits_w={"pl1": 20.0, "syspl1": 231.0}).short_of(least, least, least)
        'pl1 is limited to 20 W'
        """
        least_w = {"pl1": _least(package), "pl2": _least(package), "syspl1": _least(system), "syspl2": _least(system)}
        low = [
            f"{label} is limited to {watts:.0f} W"
            for label, watts in self.limits_w.items()
            if watts < least_w.get(label, 0.0)
        ]
        best = max(self.contracts_w.items(), key=lambda each: each[1], default=None)
        # The firmware's own limits tell more than the ports, of which the supply's may be the one that is not listed.
        if best and best[1] < _least(contract) and not self.limits_w:
            low.append(f"{best[0]} is offered {best[1]:.0f} W")
        return ", ".join(low) or "nothing"

    @property
    def power_source(self) -> str:
        """Every limit, contract and the input power, for evidence."""
        said = [f"{label} limit {watts:.0f} W" for label, watts in self.limits_w.items()]
        said += [f"{name} contract {watts:.0f} W" for name, watts in self.contracts_w.items()]
        said += [f"{label} {self.power_w[label]:.0f} W" for label in ("dc_input", "sys_total") if label in self.power_w]
        return f"spark_hwmon and ucsi: {', '.join(said) or NO_READING}"

    @property
    def power_remedy(self) -> tuple[str, ...]:
        """What to do about the board's throttling, else about limited power."""
        return LOW_POWER if self.is_unthrottled else THROTTLED


def read() -> Sensors:
    """What the board reports now."""
    return parse(dict(_files()))


def settled() -> Sensors:
    """What the board reports; what is critical or throttled was so at two readings, two seconds apart."""
    first = read()
    if not first.critical and first.is_unthrottled:
        return first
    time.sleep(AGAIN_S)
    second, names = read(), {each.name for each in first.critical}
    kept = tuple(replace(each, is_critical=each.is_critical and each.name in names) for each in second.temperatures)
    return replace(second, temperatures=kept, prochot=second.prochot if first.prochot else first.prochot)


def parse(files: Mapping[str, str]) -> Sensors:
    """The sensors in the files of sysfs, by path below /sys.

    >>> found = parse({"class/hwmon/hwmon3/name": "nvme", "class/hwmon/hwmon3/temp1_input": "85850",
    ...     "class/hwmon/hwmon3/temp1_crit": "84850", "class/hwmon/hwmon3/temp1_label": "Composite"})
    >>> found.critical_source
    'sysfs: nvme (hwmon3) Composite 85.8 °C (critical: 84.8)'
    """
    folders: dict[str, dict[str, str]] = {}
    for path, text in files.items():
        folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
        folders.setdefault(folder, {})[name] = text.strip()
    chips = {path: each for path, each in folders.items() if "/hwmon" in path}
    zones = [_zone(path, each) for path, each in folders.items() if "/thermal_zone" in path]
    temperatures = [reading for path, each in chips.items() for reading in _temperatures(path, each)]
    supplies = {PurePosixPath(path).name: each for path, each in folders.items() if "/power_supply/" in path}
    told = [value for each in folders.values() if (value := _number(each, "prochot")) is not None]
    offered = {name: watts for name, each in supplies.items() if (watts := _contract(each))}
    spark = [each for each in chips.values() if {"pl1", "syspl1", "dc_input"} & set(_labels(each))]
    return Sensors(
        temperatures=tuple(temperatures + [zone for zone in zones if zone]),
        fans=tuple(fan for path, each in chips.items() for fan in _fans(path, each)),
        limits_w={label: watts for each in spark for label, watts in _powers(each, "cap")},
        power_w={label: watts for each in spark for label, watts in _powers(each, "input")},
        contracts_w=offered,
        prochot=max((value for value in told if 0 <= value < NOT_READABLE), default=None),
    )


def _temperatures(path: str, chip: Mapping[str, str]) -> Iterator[Temperature]:
    name = chip.get("name", "unknown")
    for key in chip:
        if not (match := re.fullmatch(r"(temp\d+)_input", key)) or _number(chip, f"{match[1]}_fault"):
            continue
        celsius, critical = _celsius(chip, key, SENSIBLE_C), _celsius(chip, f"{match[1]}_crit", SENSIBLE_CRITICAL_C)
        if celsius is None:
            continue
        alarm = _number(chip, f"{match[1]}_crit_alarm") == 1
        near = critical is not None and celsius >= critical - NEAR_C
        reached = critical is not None and celsius >= critical
        is_critical = JUDGED.fullmatch(name) is not None and (
            reached or (alarm and (near or ALARMING.fullmatch(name) is not None))
        )
        label = chip.get(f"{match[1]}_label", match[1])
        yield Temperature(f"{name} ({PurePosixPath(path).name}) {label}", celsius, critical, is_critical)


def _zone(path: str, zone: Mapping[str, str]) -> Temperature | None:
    """A thermal zone; at its critical trip the kernel shuts the machine down, unless it was told not to."""
    celsius = _celsius(zone, "temp", SENSIBLE_C)
    if celsius is None:
        return None
    trips = [key.removesuffix("_type") for key, text in zone.items() if key.startswith("trip") and text == "critical"]
    told = [_celsius(zone, f"{trip}_temp", SENSIBLE_CRITICAL_C) for trip in trips]
    critical = min((each for each in told if each is not None), default=None)
    name = f"{zone.get('type', 'unknown')} ({PurePosixPath(path).name})"
    return Temperature(name, celsius, critical, critical is not None and celsius >= critical)


def _fans(path: str, chip: Mapping[str, str]) -> Iterator[Fan]:
    name = chip.get("name", "unknown")
    for key in chip:
        match, rpm = re.fullmatch(r"(fan\d+)_input", key), _number(chip, key)
        if match and rpm is not None and 0 <= rpm <= FASTEST_RPM and not _number(chip, f"{match[1]}_fault"):
            label = f"{name} ({PurePosixPath(path).name}) {match[1]}"
            yield Fan(label, rpm, FIRMWARE_FANS.fullmatch(name) is not None)


def _labels(chip: Mapping[str, str]) -> dict[str, str]:
    """The channel of power by its label, as spark_hwmon names them."""
    return {text: key.removesuffix("_label") for key, text in chip.items() if re.fullmatch(r"power\d+_label", key)}


def _powers(chip: Mapping[str, str], kind: str) -> Iterator[tuple[str, float]]:
    """Label and W of each channel; 0 is a limit that was not set."""
    for label, channel in _labels(chip).items():
        microwatts = _number(chip, f"{channel}_{kind}")
        if microwatts is not None and 0 < microwatts <= MOST_W * 1e6:
            yield label, microwatts / 1e6


def _contract(supply: Mapping[str, str]) -> float:
    """The power in W that a USB-C source gives this machine by contract; 0 where it is none, or makes no sense.

    A port that feeds a device is not online (drivers/usb/typec/ucsi/psy.c). The kernel brackets the type in use.
    """
    if supply.get("type") != "USB" or supply.get("online") != "1" or "[PD" not in supply.get("usb_type", ""):
        return 0.0
    pairs = (("voltage_max", "current_max"), ("voltage_now", "current_now"))
    products = [(_number(supply, volts) or 0) * (_number(supply, amperes) or 0) / 1e12 for volts, amperes in pairs]
    return max((watts for watts in products if 0 < watts <= MOST_W), default=0.0)


def _celsius(files: Mapping[str, str], name: str, sensible: tuple[float, float]) -> float | None:
    value = _number(files, name)
    lowest, highest = sensible
    return value / 1000 if value is not None and lowest <= value / 1000 <= highest else None


def _number(files: Mapping[str, str], name: str) -> int | None:
    text = files.get(name, "")
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else None


def _least(limit: Limit) -> float:
    if limit.min is None:
        raise Inconclusive(f"limit {limit.name} needs a `min`", "Complete it in the profile.")
    return limit.min


def _files() -> Iterator[tuple[str, str]]:
    """Path below /sys and text of each file that is wanted and readable."""
    until, count = time.monotonic() + READS_S, 0
    for pattern in FOLDERS:
        for folder in sorted(SYS.glob(pattern)):
            for path in _wanted(folder):
                if count >= MOST_FILES or time.monotonic() > until:
                    return
                count += 1
                try:
                    yield str(path.relative_to(SYS)), path.read_text(encoding="utf-8", errors="replace")
                except OSError:  # absent, asleep (ENODATA, EAGAIN), or a bus error (EIO)
                    continue


def _wanted(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if WANTED.fullmatch(path.name))
    except OSError:
        return []
