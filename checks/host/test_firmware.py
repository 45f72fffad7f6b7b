"""Firmware: kernel and firmware are on record, so that two machines can be compared."""

from dgxcert import requirement


@requirement(
    "FIRMWARE-RECORDED",
    why="Old firmware halves a DGX Spark's speed without any sign; only a record of it lets two machines be compared.",
    remedy=(
        "Look at it: cat /sys/class/dmi/id/bios_version; sudo dmidecode -t bios -t 45; fwupdmgr get-devices",
        "Not readable in a virtual machine or a container: run on the machine itself.",
    ),
    stage="host",
)
def test_kernel_and_firmware_are_recorded(machine, evidence):
    evidence.record("kernel", machine.kernel, source="uname")
    evidence.record("DGX OS", machine.dgx_release or "none", source="/etc/dgx-release")
    firmware = machine.require("firmware")
    evidence.record("firmware", firmware, source="/sys/class/dmi/id/bios_version")
    known = evidence.record("kernel and firmware are known", bool(machine.kernel and firmware), source="as above")
    assert known.holds()
