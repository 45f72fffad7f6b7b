"""Lines about PCIe and the devices on it; the severity is that of the text, whichever port or device reports it.

drivers/pci/pcie/{aer,dpc,err}.c, drivers/pci/pci.c, drivers/cxl, drivers/iommu, mlx5_core of Linux 4.15 to 6.17. A
non-fatal error lost one transfer. Its driver may have repeated it, or computed with what did not arrive: the log does
not say.
"""

from dgxcert.probes.host.log.pattern import PCI, fault, note, suspicious

AER = r"(?:AER: (?:Multiple )?|(?:PCIe|CXL) Bus Error: severity=)"
BUS = rf"(?:\S+ )?{PCI}\S+ "

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
    suspicious(
        rf"(?!nvme )\w+ {PCI}\S+ (?i:(?:can't|unable to) change power state)",
        "power state",
        "a device did not wake up",
    ),
    suspicious(rf"mlx5_core {PCI}\S+ .*(?:health compromised|fatal error)", "network adapter", "its firmware failed"),
    suspicious(
        r"(?:arm-smmu\S* \S+ event 0x|DMAR: \[DMA (?:Read|Write)|.*AMD-Vi: Event logged \[\w*PAGE_FAULT)",
        "IOMMU fault",
        "a device used memory that is not its own",
    ),
)
