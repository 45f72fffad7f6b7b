"""Firmware: versions are recorded, so that machines can be compared, and are in no combination known to be bad."""

from dgxcert import requirement
from dgxcert.probes.host.hardware import firmware as parts
from dgxcert.probes.host.hardware import known_versions


@requirement(
    "FIRMWARE-RECORDED",
    title="Kernel and firmware versions are recorded",
    why="Old firmware halves a DGX Spark's training speed without any sign; only its version explains the difference.",
    remedy=(
        "Read it: cat /sys/class/dmi/id/bios_version; sudo dmidecode -t bios -t 45; fwupdmgr get-devices",
        "Run on the machine itself: a virtual machine or a container hides the firmware. make validate",
    ),
    stage="host",
)
def test_kernel_and_firmware_are_recorded(machine, evidence):
    evidence.record("kernel", machine.kernel, source="uname")
    evidence.record("DGX OS", machine.dgx_release or "none", source="/etc/dgx-release")
    firmware = machine.require("firmware")
    evidence.record("firmware", firmware, source="/sys/class/dmi/id/bios_version")
    evidence.record("firmware of the parts", parts.read().description, source="DMI, sysfs, fwupdmgr")
    known = evidence.record("kernel and firmware are known", bool(machine.kernel and firmware), source="as above")
    assert known.holds()


@requirement(
    "KNOWN-BAD-VERSIONS",
    title="System, driver and firmware are in no combination that is known to be bad",
    why="Some pairs of kernel, driver and firmware lose memory or hang under training, and nothing else shows it.",
    remedy=(
        "Read the versions: uname -r; nvidia-smi --version; cat /etc/dgx-release /proc/cmdline",
        "Update them as one unit: sudo apt update && sudo apt full-upgrade; sudo fwupdmgr update; sudo reboot",
    ),
    stage="host",
)
def test_no_versions_are_known_to_be_bad(machine, evidence):
    known = known_versions.read(machine)
    evidence.advise(*known.remedy)
    evidence.record("versions", known.versions, source="driver, kernel, DMI, fwupdmgr")
    evidence.record("also known of them", known.said("note"), source=known_versions.TABLE.name)
    bad = evidence.record("known to be bad", known.said("fault"), source=known_versions.TABLE.name)
    assert bad == "nothing"
