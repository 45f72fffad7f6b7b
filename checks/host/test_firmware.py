"""Firmware: kernel and firmware versions are recorded, so that machines can be compared."""

from dgxcert import requirement


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
    known = evidence.record("kernel and firmware are known", bool(machine.kernel and firmware), source="as above")
    assert known.holds()
