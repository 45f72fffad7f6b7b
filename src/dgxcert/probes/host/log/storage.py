"""Lines about drives and file systems.

block/blk-core.c, drivers/nvme/host/{core,pci}.c, drivers/{ata,scsi,md}, fs/{ext4,jbd2,xfs,btrfs,f2fs} of Linux 4.15 to
6.17.
"""

import re

from dgxcert.probes.host.log.pattern import PCI, fault, note, quiet, suspicious

UNREADABLE = "the drive lost data"
READ_ONLY = "the kernel no longer trusts the file system"
DRIVE_GONE = "the drive no longer answers"
ARRAY = "the drive was taken out of its array"

REMOVABLE = re.compile(r"sd \S+ \[(\w+)\] Attached SCSI removable disk|usb-storage .*")
"""drivers/scsi/sd.c: a USB stick or card reader, whose errors say nothing about the machine."""
DEVICE = re.compile(r"\b(sd[a-z]+)\d*\b")

NVME = r"nvme (nvme\d+): "
BLOCK = r"(?:(?:blk_update_request|print_req_error|end_request): )?"
"""The function before a block error: end_request to Linux 4.16, print_req_error to 5.1, blk_update_request to 5.17."""
PATTERNS = (
    note(rf"{BLOCK}(?:I/O|critical \w+) error, dev (fd|sr|loop)\d", "I/O error", "no fixed drive"),
    note(r"Buffer I/O error on dev(?:ice)? (fd|sr|loop)\d", "I/O error", "no fixed drive"),
    fault(rf"{BLOCK}critical medium error, dev (\S+?),", r"medium error of \1", UNREADABLE, "storage"),
    fault(r"nvme\d+(?:c\d+)?n\d+: .*\(sct 0x2 / sc 0x8[0-4]\)", "medium error of an NVMe drive", UNREADABLE, "storage"),
    fault(r"sd \S+ \[(\w+)\] .*Sense Key : (?:Medium|Hardware) Error", r"medium error of \1", UNREADABLE, "storage"),
    fault(r"ata\d+(?:\.\d+)?: error: \{ .*UNC", "medium error of a SATA drive", UNREADABLE, "storage"),
    fault(rf"{NVME}controller is down", r"\1 is down", DRIVE_GONE, "storage"),
    fault(
        rf"{NVME}(?:Device not ready|Removing after probe failure|Disabling device after reset failure|failed to mark"
        r"|Removing (?:controller|device)|probe failed|Device not responding|.*controller is dead)",
        r"\1 is down",
        DRIVE_GONE,
        "storage",
    ),
    fault(
        rf"nvme(?: {PCI}\S+ probe with driver nvme|: probe of {PCI}\S+) failed with error",
        "an NVMe drive",
        "its driver could not start it",
        "storage",
    ),
    fault(r"sd \S+ (?:\[\w+\] )?(?:rejecting I/O to (?:offline|dead) device)", "drive offline", DRIVE_GONE, "storage"),
    fault(r"sd \S+ (?:\[\w+\] )?Device offlined", "drive offline", DRIVE_GONE, "storage"),
    fault(r"ata\d+(?:\.\d+)?: (?:disabled|disable device|failed to recover)", "drive offline", DRIVE_GONE, "storage"),
    fault(r"md/\S+: Disk failure on (\w+)", r"failure of \1", ARRAY, "storage"),
    fault(r"md/\S+: (?:not enough operational|Cannot continue operation)", "array", ARRAY, "storage"),
    fault(r"md/\S+: active with (\d+) out of (?!\1 )\d+ (?:mirrors|devices)", "array", ARRAY, "storage"),
    fault(
        r"device-mapper: .*(?i:out-of-data|read-only mode|checksum failed|is corrupted|metadata operation .* failed"
        r"|Failing raid|Device failure)",
        "device mapper",
        READ_ONLY,
        "storage",
    ),
    fault(
        r"(?:EXT[234]-fs|XFS|F2FS-fs|JBD2|BTRFS|bcachefs|EROFS|NILFS|REISERFS|JFS)\b.*(?i:remounting filesystem"
        r" read.?only|forced read.?only|(?:going|emergency) read.?only|remount\w* .*read.?only|read.?only due to err)",
        "read-only",
        READ_ONLY,
        "storage",
    ),
    fault(
        r"(?:EXT4-fs|F2FS-fs|bcachefs) (?:\(\S+\): )?error\b|EXT[234]-fs \S+ (?:error|.*I/O error)"
        r"|EXT4-fs (?:\(\S+\): )?(?:failed to convert|.*data will be lost|Delayed block allocation failed)"
        r"|EXT4-fs error",
        "file system error",
        READ_ONLY,
        "storage",
    ),
    fault(
        r"F2FS-fs \(\S+\): .*(?i:inconsisten|corrupt|stopped filesystem|cp_error|checkpoint=disabled|I/O error)",
        "file system error",
        READ_ONLY,
        "storage",
    ),
    fault(r"JBD2: (?:Error|I/O error|Detected IO errors)|Aborting journal on device", "journal", READ_ONLY, "storage"),
    fault(
        r"XFS \(\S+\): .*(?i:corruption|CRC error|force_shutdown|has been shut down|shutting down filesystem"
        r"|log I/O error|metadata I/O error|please unmount|run xfs_repair)",
        "file system error",
        READ_ONLY,
        "storage",
    ),
    note(r"BTRFS info .*errs: ", "file system error", "counted before this boot"),
    fault(r"BTRFS(?::)? (?:error|critical)", "file system error", READ_ONLY, "storage"),
    fault(
        r"BTRFS(?::)? warning .*(?:csum|checksum) (?:verify )?(?:failed|mismatch)",
        "checksum error",
        UNREADABLE,
        "storage",
    ),
    fault(
        r"WARNING: Pool '.*' has encountered an uncorrectable I/O failure", "file system error", READ_ONLY, "storage"
    ),
    suspicious(
        rf"{BLOCK}(?:I/O|critical \w+|protection|timeout|target|recovered) error, dev (\S+?),",
        r"I/O error of \1",
        "lost or repeated",
    ),
    suspicious(r"Buffer I/O error on dev(?:ice)? ([\w-]+)", r"I/O error of \1", "lost or repeated"),
    suspicious(r"EXT[234]-fs \(\S+\): warning: mounting fs with errors", "file system error", "of an earlier boot"),
    suspicious(r"lost page write due to I/O error on ([\w-]+)", r"I/O error of \1", "a write was lost"),
    suspicious(rf"{NVME}I/O (?:tag )?\d+.* timeout", r"timeout of \1", "a command was repeated"),
    suspicious(r"nvme\d+(?:c\d+)?n\d+: .*I/O Error \(sct", "error of an NVMe drive", "lost or repeated"),
    suspicious(r"nvme\d+(?:c\d+)?n\d+: I/O Cmd\(\S+\) @ LBA", "error of an NVMe drive", "lost or repeated"),
    suspicious(rf"{NVME}Duplicate cntlid", r"message of \1", "the kernel leaves out one of two drives"),
    quiet(rf"{NVME}(?:failed to (?:set APST|allocate host memory|register)|Failed to get ANA|Shutdown timeout set)"),
    suspicious(
        rf"{NVME}.*(?i:time[d-]? ?out|\bresetting|reset controller|reset failure|\babort|fail|critical|\bdead\b"
        r"|frozen state|\bfatal|unresponsive|not ready|read-?only|temperature|spare|degraded)",
        r"message of \1",
        "the drive did not answer as it should",
    ),
    suspicious(
        rf"nvme {PCI}\S+ (?i:(?:can't|unable to|refused to) change power state)",
        "power state",
        "a drive did not wake up",
    ),
    suspicious(
        r"ata\d+(?:\.\d+)?: (?:exception Emask|failed command|COMRESET failed"
        r"|hard resetting link.*error|SError: \{ .*(?:UnrecovData|HostInt|LinkSeq|TrStaTrns|BadCRC))",
        "error of a SATA drive",
        "lost or repeated",
    ),
    suspicious(
        r"sd \S+ \[(\w+)\] .*(?:Sense Key : Aborted Command|FAILED Result: hostbyte=(?!DID_OK)\w+)",
        r"error of \1",
        "lost or repeated",
    ),
    suspicious(
        r"(?:mpt\dsas|megaraid_sas|mpi3mr|aacraid|hpsa|smartpqi|ahci)\w*\b(?!.*(?:FW provided|Enabled|supported))"
        r".*(?i:fault[ _]state|time(?:d )?out|failed|offline)",
        "storage controller",
        "it failed or was reset",
    ),
    note(r"md/\S+: read error corrected", "array", "a read error was corrected"),
    suspicious(r"md(?:/\S+)?: .*(?i:error|fail|kicking non-fresh|redirecting)", "array", "a drive of it failed"),
    quiet(r"device-mapper: (?:ioctl|table|core)"),  # what an administrator asked for in vain
    suspicious(r"device-mapper: .*(?i:fail|error|offline|corrupt)", "device mapper", "a path or drive failed"),
    suspicious(
        r"SQUASHFS error|FAT-fs \(\w+\): error|exFAT-fs \(\w+\): error",
        "file system error",
        "of a medium that the system does not use",
    ),
)
