"""Lines about power and cooling of the machine, whichever monitor reports them.

drivers/thermal/thermal_core.c, drivers/acpi/thermal.c, drivers/regulator/core.c, drivers/hwmon, kernel/reboot.c.
"""

from dgxcert.probes.host.log.pattern import fault, note, quiet, suspicious

PATTERNS = (
    quiet(r".*mlx5_pcie_event.*insufficient power on the PCIe slot"),  # every Spark: NVIDIA calls it harmless
    fault(
        r".*(?i:critical temperature reached|(?:reached|above|exceeds?) (?:the )?critical|thermal shutdown"
        r"|hardware protection shutdown|emergency (?:shutdown|poweroff))",
        "overheated",
        "the machine was about to switch itself off",
        "supply",
    ),
    suspicious(
        r"mlx5_core .*(?i:high temperature)", "overheated", "a network adapter was too warm"
    ),  # mlx5_core/events.c, health.c
    note(r"(?:usb|hub) .*over-?current", "USB port", "a device drew too much"),
    quiet(r".*(?i:voltage normalised|(?:over|under)-?(?:current|voltage) (?:protection|threshold|limit|support))"),
    fault(
        r"(?:hwmon|regulator|power_supply|pmbus|ipmi|acpi|ACPI|\S*psu\S*|\S+-i2c|i2c)\b.*(?i:under-?\s?voltage"
        r"|over-?\s?current|over-?\s?voltage|brown-?\s?out|power (?:supply )?(?:fail|fault|lost))",
        "power",
        "the power supply gave too little, or a part drew too much",
        "supply",
    ),
    suspicious(
        r"(?!nvidia|NVRM|audit|systemd).*(?i:\bunder-?\s?voltage|\bover-?\s?current|\bover-?\s?voltage|\bbrown-?out"
        r"|power supply (?:fail|fault|lost|error)|redundancy lost)",
        "power",
        "a part of the machine speaks of too little or too much",
    ),
)
