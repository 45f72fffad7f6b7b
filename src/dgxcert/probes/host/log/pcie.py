"""Lines about PCIe and the devices on it; the severity is that of the text, whichever port or device reports it.

drivers/pci/pcie/{aer,dpc,err}.c, drivers/pci/pci.c, drivers/cxl, drivers/iommu, mlx5_core of Linux 4.15 to 6.17. A
non-fatal error lost one transfer. Its driver may have repeated it, or computed with what did not arrive: the log does
not say.
"""

from dgxcert.probes.host.log.pattern import PCI, fault, note, suspicious

AER = r"(?:AER: (?:Multiple )?|(?:PCIe|CXL) Bus Error: severity=)"
BUS = rf"(?:\S+ )?{PCI}\S+ "
MLX5 = rf"mlx5_core {PCI}\S+ "
GONE = "it did not come back after an error of the bus"

PATTERNS = (
    fault(rf"{BUS}{AER}Uncorrect(?:ed|able) \(Fatal\)", "PCIe error", "fatal", "bus"),
    fault(rf"{BUS}DPC: .*ERR_FATAL", "PCIe error", "fatal, contained", "bus"),
    fault(
        rf"{BUS}.*(?i:secondary bus reset failed|Data Link Layer Link Active not set)", "PCIe error", "no link", "bus"
    ),
    suspicious(rf"{BUS}{AER}Uncorrect(?:ed|able) \(Non-Fatal\)", "PCIe error", "uncorrected, not fatal"),
    suspicious(rf"{BUS}{AER}Uncorrect(?:ed|able)\b", "PCIe error", "uncorrected"),
    suspicious(rf"{BUS}DPC: (?:containment event|.*uncorrectable error)", "PCIe error", "uncorrected, contained"),
    suspicious(rf"{BUS}AER: (?:can't recover|device recovery failed)", "PCIe error", "its driver did not recover"),
    suspicious(
        rf"{BUS}(?:broken device, retraining|retraining failed|not ready \d+ms after .*giving up)",
        "PCIe link",
        "it did not come up at once",
    ),
    note(rf"{BUS}{AER}Correct(?:ed|able)", "PCIe error", "corrected"),
    fault(r"(?:cxl\S*|\S*mem\d+)\b.*(?i:fatal event|uncorrectable.*fatal)", "CXL error", "fatal", "bus"),
    suspicious(r"cxl\S* .*(?i:uncorrectable|media error|poison)", "CXL error", "uncorrected"),
    # A laptop's sleeping GPU takes its sound and USB functions along.
    note(rf"(?:snd_hda_intel|xhci_hcd|i2c\S*|nvidia-gpu) {PCI}\S+ .*change power state", "power state", "asleep"),
    suspicious(
        rf"(?!nvme )\w+ {PCI}\S+ (?i:(?:can't|unable to|refused to) change power state)",
        "power state",
        "a device did not wake up",
    ),
    note(rf"{BUS}pciehp: Slot\(\S+\): (?:Link Down|Card not present)", "slot", "a device was removed"),
    fault(rf"{MLX5}.*pci_slot_reset.*(?:failed with error|wait vital fail)", "network adapter", GONE, "bus"),
    fault(rf"{MLX5}.*(?:pci_err_detected.*pci channel state = [23]\b|disabled-error)", "network adapter", GONE, "bus"),
    fault(
        rf"mlx5_core(?: {PCI}\S+ probe with driver mlx5_core|: probe of {PCI}\S+) failed with error",
        "network adapter",
        "its driver could not start it",
        "bus",
    ),
    suspicious(
        r"NETDEV WATCHDOG: (?:\S+ \((?:mlx5_core|bnxt_en|ice|r8127)\)|CPU: .* mlx5_core).*timed out",
        "network adapter",
        "it sent nothing for seconds",
    ),
    suspicious(
        rf"{MLX5}.*(?i:health compromised|fatal error|fatal sensors|firmware internal error|handling bad device"
        r"|pci_err_detected|will cause a leak of a command|(?:mlx5_)?init_one failed"
        r"|in (?:pre-)?initializing state, abort|unrecoverable hardware error|health recovery failed)",
        "network adapter",
        "its firmware failed or was slow",
    ),
    suspicious(
        r"(?:arm-smmu\S* \S+ (?:event 0x|.*CMD_SYNC timeout|GERROR)|DMAR: (?:\[DMA (?:Read|Write)|.*Time-out Error)"
        r"|.*AMD-Vi: (?:Event logged \[\w*(?:PAGE_FAULT|TIMEOUT|HARDWARE_ERROR)|Completion-Wait loop timed out))",
        "IOMMU fault",
        "a device used memory that is not its own",
    ),
)
