"""Every row of the kernel log's tables has a line that it is for; a healthy machine's lines are no events."""

import pytest

from dgxcert.probes.host import kernel_log, xid
from dgxcert.probes.host.log.tables import PATTERNS
from dgxcert.probes.host.xid import Kind

BOOT = "[    0.000000] Linux version 6.17.0-1021-nvidia\n"

FAULTS = (
    "NVRM: GPU 000f:01:00.0: RmInitAdapter failed! (0x62:0x65:2028)",
    "NVRM: GPU 000f:01:00.0: rm_init_adapter failed, device minor number 0",
    "NVRM: nvCheckOkFailedNoLog: Check failed: GPU lost from the bus [NV_ERR_GPU_IS_LOST] (0x0000000F) returned from x",
    "NVRM: _threadNodeCheckTimeout: API_GPU_ATTACHED_SANITY_CHECK failed!",
    "NVRM: GPU1 osHandleGpuLost: GPU has been lost",
    "NVRM: GPU 0000:29:00.0: GPU has fallen off the bus.",
    "NVRM: ksec2PrepareBootCommands_GB20B: SEC2 secure boot partition timed out.",
    "NVRM: kfspWaitForSecureBoot_GH100: Timout while polling for FSP boot complete",
    "NVRM: nvCheckOkFailedNoLog: Check failed: Call timed out [NV_ERR_TIMEOUT] (0x65) from ksec2Prepare_HAL(x)",
    "NVRM: installed in this system requires use of the NVIDIA open kernel modules.",
    "NVRM: _issueRpcAndWait: rpcRecvPoll failed with status 0x00000062 for fn 76 sequence 5742!",
    "NVRM: GPU0 RmHandleDisplayRpc: GSP RPC timeout",
    "NVRM: _kgspLogXid119: ********** GSP Timeout **********",
    "NVRM: GPU0 _kgspRpcRecvPoll: GSP-RM is not responding",
    "NVRM: GPU0 kgspHealthCheck_TU102: GSP crashed, see the log",
    "NVRM: GPU0 kgspBootstrap_GH100: GSP failed to boot",
    "NVRM: krcWatchdog_IMPL: RC watchdog: GPU is probably locked!  Notify Timeout Seconds: 7",
    "NVRM: _kgspClassifyGspTimeout: =============== GSP-RM unresponsive ==================",
    "NVRM: GPU0 _kgspIsHeartbeatTimedOut: Heartbeat timed out, currentTimeMs 1 heartbeat 2 diff 4 timeout 5",
    "NVRM: GPU0 _kgspRpcRecvPoll: Timout waiting for the message queue",
    "NVRM: _issueRpcAsync: rpcSendMessage failed with status 0x00000065 for fn 10 sequence 3!",
    "NVRM: GPU0 rpcRmApiAlloc: allocRpc failed, status: 0x00000062",
    "NVRM: rpcRmApiControl_GSP: GspRmControl failed: hClient=0xc1d00001; paramsStatus=0x0000000f; status=0x0000000f",
    "NVRM: kgspCrashCatReport_IMPL: ****************************** GSP-CrashCat Report *******************************",
    "NVRM: kgspServiceFatalHwError_TU102: NV_PGSP_FALCON_IRQSTAT_FATAL_ERROR unknown error pending",
    "NVRM: kgspServiceFatalHwError_GA100: NV_PGSP_FALCON_ECC_STATUS_UNCORRECTED_ERR_DMEM PENDING",
    "NVRM: kgspInitRm_IMPL: unexpected WPR2 already up, cannot proceed with booting GSP",
    "NVRM: kgspInitRm_IMPL: (the GPU is likely in a bad state and may need to be reset)",
    "NVRM: kfspSendBootCommands_GH100: FSP boot cmds failed. RM cannot boot.",
    "NVRM: nvAssertFailedNoLog: Assertion failed: GPU marked for reset @ kernel_gsp.c:2607",
    "NVRM: GPU 0000:01:00.0: GPU does not have the necessary power cables connected.",
    "NVRM: knvlinkTrainSysmemLinks_IMPL: FAILED TO TRAIN CPU/SYSMEM LINKS TO ACTIVE on GPU0!!!",
    "NVRM: knvlinkRecover: Failed to recover from uncontained NVLINK error. Triggering Degraded Mode!",
    "Kernel panic - not syncing: Fatal exception in interrupt",
    "mce: [Hardware Error]: Processor context corrupt",
    "CPU12: failed to come online",
    "EDAC FSL_DDR MC0: uncorrectable error at address 0x0",
    "0000000055aaaa55 bad mem addr 0x0000001000 - 0x0000002000 reserved",
    "pcieport 0000:00:01.0: Data Link Layer Link Active not set in 1000 msec",
    "cxl_pci 0000:c1:00.0: Uncorrectable errors, fatal",
    "sd 2:0:0:0: rejecting I/O to offline device",
    "sd 2:0:0:0: Device offlined - not ready after error recovery",
    "ata3.00: disabled",
    "nvme nvme1: Device not ready; aborting initialisation, CSTS=0x0",
    "md/raid10:md0: not enough operational mirrors.",
    "md/raid1:md0: active with 1 out of 2 mirrors",
    "device-mapper: thin: 253:4: switching pool to out-of-data-space (error IO) mode",
    "device-mapper: integrity: dm-0: Checksum failed at sector 0x1234",
    "F2FS-fs (nvme0n1p3): inconsistent node block, nid:4, node_footer[nid:0]",
    "F2FS-fs (nvme0n1p3): Remounting filesystem read-only",
    "bcachefs (nvme0n1p3): emergency read only at seq 12",
    "BTRFS warning (device nvme0n1p2): csum failed root 5 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1",
    "WARNING: Pool 'tank' has encountered an uncorrectable I/O failure and has been suspended.",
    'XFS (nvme0n1p1): metadata I/O error in "xfs_read_agf+0x9c" at daddr 0x1 len 1 error 5',
    "thermal thermal_zone0: critical temperature reached (105 C), shutting down",
    "reboot: HARDWARE PROTECTION shutdown (Temperature too high)",
    "hwmon hwmon1: Undervoltage detected!",
    "NVRM: nvAssertOkFailedNoLog: Assertion failed: Reset required [NV_ERR_RESET_REQUIRED] (0x0000007B)",
    "NVRM: GPU0 gpuStateLoad: the GPU requires a reset",
    "NVRM: nvGpuOpsReportFatalError: uvm encountered global fatal error 0x60, requiring os reboot to recover.",
    "nvidia-uvm: encountered a global fatal error 0x60",
    "nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
    "watchdog: BUG: soft lockup - CPU#18 stuck for 27s! [python3:2254956]",
    "NMI watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:77]",
    "watchdog: Watchdog detected hard LOCKUP on cpu 3",
    "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "Memory failure: 0x131e00: recovery action for dirty LRU page: Recovered",
    "MCE: Killing python3:4711 due to hardware memory corruption fault at 7f3a5c000000",
    "mce: Uncorrected hardware memory error in user-access at af34214200",
    "[Hardware Error]: Uncorrected, software restartable error.",
    "mce: [Hardware Error]: System Fatal error.",
    "mce: [Hardware Error]: CPU 8: Machine Check: 0 Bank 5: bea0000000000108",
    "mce: [Hardware Error]: CPU 2: Machine Check Exception: 5 Bank 7: fe00000000800400",
    "SError Interrupt on CPU4, code 0x00000000be000011 -- SError",
    "Unhandled fault: synchronous external abort (0x96000210) at 0xffff",
    "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0)",
    "EDAC i10nm MC0: UE on any memory",
    "mlx5_core 0000:01:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Transaction Layer, (Receiver ID)",
    "pcieport 0000:00:00.0: AER: Uncorrectable (Fatal) error message received from 0000:01:00.0",
    "pcieport 0000:00:00.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0",
    "pcieport 0015:00:00.0: DPC: containment event, status:0x200d, ERR_FATAL received",
    "critical medium error, dev nvme0n1, sector 97013760 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2",
    "blk_update_request: critical medium error, dev sda, sector 2048 op 0x0:(READ)",
    "nvme0n1: Read(0x2) @ LBA 97013760, 8 blocks, Unrecovered Read Error (sct 0x2 / sc 0x81) DNR ",
    "nvme0c0n1: Read(0x2) @ LBA 97013760, 8 blocks, End-to-end Guard Check Error (sct 0x2 / sc 0x82) ",
    "sd 0:0:0:0: [sda] tag#7 Sense Key : Medium Error [current] ",
    "ata1.00: error: { UNC }",
    "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0xffff",
    "nvme nvme1: Device not ready; aborting reset, CSTS=0x1",
    "nvme nvme0: Removing after probe failure status: -19",
    "nvme nvme0: Disabling device after reset failure: -19",
    "md/raid1:md0: Disk failure on nvme1n1p2, disabling device.",
    "EXT4-fs (nvme0n1p2): Remounting filesystem read-only",
    "BTRFS info (device nvme0n1p2: state E): forced readonly",
    "EXT4-fs error (device nvme0n1p2): ext4_find_entry:1682: inode #2: comm python3: reading directory lblock 0",
    "EXT4-fs (nvme0n1p2): I/O error while writing superblock",
    "EXT4-fs (nvme0n1p2): previous I/O error to superblock detected",
    "JBD2: Detected IO errors while flushing file data on nvme0n1p2-8",
    "Aborting journal on device nvme0n1p2-8.",
    "XFS (nvme0n1p1): Corruption of in-memory data (0x8) detected at xfs_defer_finish. Shutting down filesystem.",
    "XFS (md0): log I/O error -5",
    "BTRFS error (device nvme0n1p2): parent transid verify failed on 123",
    "BTRFS critical (device nvme0n1p2): corrupt leaf",
)
SUSPICIOUS = (
    "NVRM: krcWatchdog_IMPL: RC watchdog: GPU is possibly locked.  Attempting to restart watchdog.",
    "NVRM: GPU0 gpuHandleSanityCheckRegReadError_TU102: Possible bad register read: addr: 0x8,regvalue: 0xbadf5040",
    "NVRM: GPU0 readSomething_GB202: value 0xbadf1100 came back",
    "NVRM: GPU0 nvAssertFailedNoLog: Assertion failed: (status == NV_OK) || (status == NV_ERR_GPU_IS_LOST) @ x.c:8",
    "NVRM nvAssertFailedNoLog: Assertion failed: 0 @ osapi.c:1688",
    "NVRM: rpcRmApiControl_GSP: GspRmControl failed: hClient=0xc1d00001; paramsStatus=0x00000040; status=0x00000040",
    "NVRM: GPU1 kbifCacheVFInfo_GB100: Unable to read NV_PF0_INITIAL_AND_TOTAL_VFS",
    "NVRM: gpuFabricProbe: Fabric Probe failed: 0x65",
    "NVRM: GPU 0000:01:00.0: is wedged",
    "nvidia-nvlink: link 3 refused to train",
    "nvidia-uvm: uvm_gpu_semaphore.c:412 value[pid:12]Assert failed, condition x not true",
    "nvidia-peermem nv_dma_map:325 ERROR nv_dma_map -- error -12 while calling nvidia_p2p_dma_map_pages()",
    "[drm:nv_drm_dev_load [nvidia_drm]] *ERROR* [nvidia-drm] [GPU ID 0x00000900] Failed to allocate NvKmsKapiDevice",
    "[drm:nv_drm_commit [nvidia_drm]] *ERROR* [nvidia-drm] [GPU ID 0x00000100] Flip event timeout on head 0",
    "nvidia 0000:01:00.0: Direct firmware load for nvidia/580.95.05/gsp_ga10x.bin failed with error -2",
    "nvidia: probe of 0000:01:00.0 failed with error -1",
    "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 24004, something about link 30",
    "[Hardware Error]: Deferred error, no action required.",
    "mce: CMCI storm detected: switching to poll mode",
    "BUG: workqueue lockup - pool cpus=3 node=0 flags=0x0 nice=0 stuck for 33s!",
    "Uhhuh. NMI received for unknown reason 3d on CPU 0.",
    "pcieport 0000:00:01.0: AER: Uncorrectable error message received from 0000:01:00.0",
    "pci 0000:01:00.0: broken device, retraining non-functional downstream link at 2.5GT/s",
    "cxl_pci 0000:c1:00.0: Uncorrectable error in the media",
    "nvme nvme0: resetting controller due to persistent internal error",
    "nvme nvme0: I/O 0 QID 3 timeout, completion polled",
    "nvme0n1: I/O Cmd(0x2) @ LBA 97013760, 8 blocks, Command Aborted due to SQ Deletion",
    "sd 2:0:0:0: [sda] tag#3 FAILED Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK cmd_age=0s",
    "mpt3sas_cm0: fault_state(0x2622)!",
    "md: super_written gets error=-5",
    "device-mapper: multipath: 253:2: Failing path 8:16.",
    "cooling-unit psu: under-voltage on the 12 V rail",
    "NVRM: gpuHandleSanityCheckRegReadError_GH100: Possible bad register read: addr: 0x611ef0,  regvalue: 0xbadf5600",
    "NVRM: GPU0 gpuHandleSanityCheckRegReadError_GM107: addr: 0x110094, regvalue: 0xbadf4100, error code: Unknown",
    "NVRM: The NVIDIA probe routine failed for 1 device(s).",
    "NVRM: The NVIDIA probe routine was not called for 1 device(s).",
    "NVRM: None of the NVIDIA devices were initialized.",
    "NVRM: BAR1 is 0M @ 0x0 (PCI:0000:01:00.0)",
    "nvidia-modeset: ERROR: GPU:0: Error while waiting for GPU progress: 0x0000c77d:0 2:0:4048:4044",
    "nvidia 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible",
    "nvme 0000:01:00.0: can't change power state from D3cold to D0 (config space inaccessible)",
    "NVRM: nvAssertFailedNoLog: Assertion failed: 0 @ kernel_gsp.c:1234",
    "NVRM: nvAssertFailedNoLog: Assertion failed: (status == NV_OK) || (status == NV_ERR_GPU_IN_FULLCHIP_RESET)",
    "NVRM: GPU0 someNewFunction_GB10B: engine 3 is stuck",
    "NVRM: GPU0 someNewFunction_GB10B: falcon halted",
    "NVRM: GPU0 someNewFunction_GB10B: link training timeout",
    "NVRM: GPU0 knvlinkLoad: Failed to load NVLink",
    "mce: [Hardware Error]: Machine check events logged",
    "pcieport 0000:00:01.0: AER: Uncorrected (Non-Fatal) error received: 0000:01:00.0",
    "pcieport 0000:00:01.0: AER: Multiple Uncorrectable (Non-Fatal) error message received from 0000:01:00.0",
    "nvme 0000:01:00.0: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=Transaction Layer, (Requester ID)",
    "nvidia 000f:01:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, (Requester ID)",
    "pcieport 0015:00:00.0: DPC: containment event, status:0x1f01 source:0x0000, ERR_NONFATAL received",
    "pcieport 0015:00:00.0: DPC: unmasked uncorrectable error detected",
    "pcieport 0000:00:01.0: AER: device recovery failed",
    "nvidia 0000:01:00.0: AER: can't recover (no error_detected callback)",
    "mlx5_core 0000:01:00.0: device's health compromised - reached miss count",
    "arm-smmu-v3 arm-smmu-v3.3.auto: event 0x10 received:",
    "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x0 [fault reason 0x06] PTE Read access is not set",
    "nvidia 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0011 address=0x0 flags=0x0000]",
    "I/O error, dev nvme0n1, sector 97013760 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2",
    "blk_update_request: I/O error, dev sda, sector 97013760",
    "critical target error, dev nvme0n1, sector 97013760",
    "Buffer I/O error on dev nvme0n1p2, logical block 12, lost async page write",
    "nvme nvme0: I/O 123 QID 4 timeout, aborting",
    "nvme nvme0: I/O tag 123 (007b) opcode 0x2 (Read) QID 4 timeout, reset controller",
    "nvme0n1: Read(0x2) @ LBA 97013760, 8 blocks, I/O Error (sct 0x3 / sc 0x71) ",
    "ata1.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen",
    "ata1.00: failed command: READ DMA EXT",
    "SQUASHFS error: Unable to read page, block 123, size 4567",
)
NOTES = (
    "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
    "Out of memory: Killed process 123, UID 48, (httpd).",
    "Memory cgroup out of memory: Killed process 123 (python3)",
    "[Hardware Error]: Corrected error, no action required.",
    "soft_offline: 0x131e00: page already poisoned",
    "Memory failure: 0x131e00: already hardware poisoned",
    "mce: CPU3: Package temperature above threshold, cpu clock throttled (total events = 1)",
    "md/raid1:md0: read error corrected (8 sectors at 2048 on nvme1n1)",
    "BTRFS info (device nvme0n1p2): bdev /dev/nvme0n1p2 errs: wr 0, rd 0, flush 0, corrupt 3, gen 0",
    "Buffer I/O error on dev sr0, logical block 0, async page read",
    "usb usb2-port1: over-current condition",
    "mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 7: 8c00004000010091",
    "EDAC MC0: 1 CE single-bit ECC on unknown memory (page:0x100009 offset:0x0 grain:1 syndrome:0x0)",
    "pcieport 0002:00:00.0: AER: Correctable error message received from 0002:01:00.0",
    "mlx5_core 0002:01:00.0: PCIe Bus Error: severity=Correctable, type=Physical Layer, (Receiver ID)",
    "blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ)",
    "I/O error, dev sr0, sector 0 op 0x0:(READ)",
)
UNKNOWN = (
    "Internal error: Oops: 0000000096000004 [#1] SMP",
    "Unable to handle kernel paging request at virtual address ffff800012345678",
    "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
    "general protection fault: 0000 [#1] SMP NOPTI",
    "BUG: Bad page state in process python3  pfn:131e00",
)
QUIET = (
    "NVRM: loading NVIDIA UNIX Open Kernel Module for aarch64  580.126.09  Release Build  (dvs-builder@U22)",
    "NVRM: nvCheckOkFailedNoLog: Check failed: Out of memory [NV_ERR_NO_MEMORY] (0x00000051) returned from _memdesc(x)",
    "NVRM: GPU0 nvAssertOkFailedNoLog: Assertion failed: Out of memory [NV_ERR_NO_MEMORY] (0x00000051) returned from x",
    "NVRM: Persistence mode is deprecated and will be removed in a future release. Please use nvidia-persistenced.",
    "NVRM: GPU at PCI:0000:01:00: GPU-1e61ad7a-9486-bed3-4cb3-065b17451322",
    "NVRM: RmInitAdapter: Failed to load gsp_log_ga10x.bin, no GSP-RM logs will be printed (non-fatal)",
    "NVRM: rpcRmApiControl_GSP: GspRmControl failed: hClient=0xc1d0001c; cmd=0x00801813; status=0x00000056",
    "NVRM: rm_power_source_change_event: rm_power_source_change_event: Failed to handle Power Source change event, x",
    "NVRM: API mismatch: the client has the version 580.95.05, but",
    "NVRM: nvAssertOkFailedNoLog: Assertion failed: Call not supported [NV_ERR_NOT_SUPPORTED] (0x00000056) returned",
    "NVRM: GPU0 rpcRmApiControl_GSP: GspRmControl failed: hClient=0xc1d00001; paramsStatus=0x57; status=0x00000057",
    "NVRM: nv_platform_use_auto_online: Unable to get i2c adapter for port(3)",
    "NVRM: failed to acquire UnbindLock",
    "NVRM cpuidInfoAMD: Unrecognized AMD processor in cpuidInfoAMD",
    "nvidia: module license 'NVIDIA' taints kernel.",
    "nvidia: module verification failed: signature and/or required key missing - tainting kernel",
    "nvidia_uvm: module uses symbols from proprietary module nvidia, inheriting taint.",
    "nvidia-uvm: Loaded the UVM driver, major device number 511.",
    "nvidia-nvlink: Nvlink Core is being initialized, major device number 234",
    "nvidia 0000:01:00.0: enabling device (0000 -> 0003)",
    "nvidia 0000:01:00.0: vgaarb: VGA decodes changed: olddecodes=io+mem,decodes=none:owns=none",
    "nvidia 0000:01:00.0: [drm] Cannot find any crtc or sizes",
    "nvidia 0000:01:00.0:   device [10de:2330] error status/mask=00000001/0000e000",
    "[drm] [nvidia-drm] [GPU ID 0x00000100] Loading driver",
    "nvidia-modeset: ERROR: GPU:0: Failed detecting connected display devices",
    "nvidia-gpu 0000:01:00.3: i2c timeout error e0000000",
    "nvidia-peermem nv_get_p2p_free_callback:127 ERROR detected invalid context, skipping further processing",
    "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Severity 1 Engine instance 60 Sub-engine instance 00",
    "ucsi_acpi USBC000:00: con3: failed to register alternate modes",
    "nvme nvme0: Shutdown timeout set to 10 seconds",
    "nvme nvme0: failed to set APST feature (2)",
    "megaraid_sas 0000:18:00.0: Online Controller Reset(OCR)\t: Enabled",
    "megaraid_sas 0000:18:00.0: FW provided TM TaskAbort/Reset timeout\t: 6 secs/60 secs",
    "device-mapper: ioctl: 4.48.0-ioctl (2023-03-01) initialised: dm-devel@redhat.com",
    "hwmon hwmon1: Voltage normalised",
    "nvidia-modeset: Loading NVIDIA Kernel Mode Setting Driver for UNIX platforms  580.126.09",
    "nvidia-modeset: WARNING: GPU:0: Unable to read EDID for display device DP-0",
    "rtc-efi rtc-efi.0: can't read time",
    "mlx5_core 0000:01:00.0: mlx5_pcie_event:326:(pid 165): Detected insufficient power on the PCIe slot (27W).",
    "EXT4-fs (nvme0n1p2): re-mounted 8f1c3a52-0000-4000-8000-000000000000 r/w. Quota mode: none.",
    "EXT4-fs (nvme0n1p2): mounted filesystem 8f1c3a52-0000-4000-8000-000000000000 ro with ordered data mode.",
    "EXT4-fs (nvme0n1p2): recovery complete",
    "EXT4-fs (sda1): warning: mounting fs with errors, running e2fsck is recommended",
    "XFS (md0): Ending clean mount",
    "BTRFS info (device nvme0n1p2): using crc32c (crc32c-arm64) checksum algorithm",
    "nvme nvme0: 20/0/0 default/read/poll queues",
    "nvme nvme0: missing or invalid SUBNQN field.",
    "nvme0: Identify(0x6), Invalid Field in Command (sct 0x0 / sc 0x2) ",
    "nvme0: Admin Cmd(0x6), I/O Error (sct 0x0 / sc 0x2) MORE DNR ",
    "operation not supported error, dev nvme0n1, sector 0 op 0x9:(WRITE_ZEROES) flags 0x800",
    "FAT-fs (sda1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
    "ata1: SATA link down (SStatus 4 SControl 300)",
    "EDAC MC: Ver: 3.0.0",
    "EDAC MC0: Giving out device to module igen6_edac controller Intel: DEV 0000:00:00.0 (INTERRUPT)",
    "mce: CPU0: Thermal monitoring enabled (TM1)",
    "mce: [Hardware Error]: Machine check: Banks 1 to 7",
    "arm-smmu-v3 arm-smmu-v3.3.auto: ias 48-bit, oas 48-bit (features 0x001c1fff)",
    "DMAR: IOMMU enabled",
    "AMD-Vi: Interrupt remapping enabled",
    "pcieport 0000:00:1c.0: AER: enabled with IRQ 122",
    "pcieport 0000:00:01.0: DPC: error containment capabilities: Int Msg #0, RPExt+ PoisonedTLP+ SwTrigger+",
    "workqueue: output_poll_execute hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
    'audit: name="critical medium error, dev nvme0n1," NVRM: GPU has fallen off the bus.',
    "thermal thermal_zone0: failed to read out thermal zone (-61)",
)
KINDS = {Kind.FAULT: FAULTS, Kind.SUSPICIOUS: SUSPICIOUS, Kind.NOTE: NOTES, Kind.UNKNOWN: UNKNOWN}
LINES = [(line, kind) for kind, lines in KINDS.items() for line in lines]


@pytest.mark.parametrize(("line", "kind"), LINES, ids=lambda value: str(value)[:70])
def test_a_line_is_of_its_kind_behind_a_time(line: str, kind: Kind) -> None:
    log = kernel_log.parse(f"{BOOT}[  100.000000] {line}\n")
    assert [(event.kind, event.line) for event in log.events] == [(kind, line)]
    assert (log.remedy == ()) == (kind is not Kind.FAULT)


@pytest.mark.parametrize("line", QUIET, ids=lambda value: value[:70])
def test_a_line_of_a_healthy_machine_is_no_event(line: str) -> None:
    assert kernel_log.parse(f"{BOOT}[  100.000000] {line}\n").events == ()


def test_every_row_of_the_tables_is_the_first_that_fits_some_line() -> None:
    lines = [*(line for line, _ in LINES), *QUIET]
    first = (next((at for at, (_, row) in enumerate(PATTERNS) if row.regex.match(line)), None) for line in lines)
    used = set(first)
    assert [row.regex.pattern for at, (_, row) in enumerate(PATTERNS) if at not in used] == []


def test_every_fault_has_a_remedy_and_nothing_else_has_one() -> None:
    assert [row.name for _, row in PATTERNS if (row.remedy in xid.REMEDIES) != (row.kind is Kind.FAULT)] == []


def test_every_line_of_the_driver_is_counted() -> None:
    lines = "".join(f"[  100.0] {line}\n" for line in QUIET)
    driver = ("NVRM", "nvidia", "[drm]")
    log = kernel_log.parse(BOOT + lines)
    assert (log.driver_lines, log.unlisted) == (sum(line.startswith(driver) for line in QUIET), ())


def test_a_line_of_the_driver_that_no_table_knows_is_kept_and_shown() -> None:
    log = kernel_log.parse(f"{BOOT}[  100.0] NVRM: VM: something new happened on channel 4\n", "`dmesg`")
    assert log.events == ()
    assert log.describe_unlisted() == "`dmesg`: NVRM: VM: something new happened on channel 4"


def test_machine_checks_that_were_corrected_are_no_doubt() -> None:
    logged = "[  100.0] mce: [Hardware Error]: Machine check events logged\n"
    corrected = "[  100.1] [Hardware Error]: Corrected error, no action required.\n"
    fatal = "[  100.1] [Hardware Error]: Uncorrected, software containable error.\n"
    kinds = {
        text: [event.kind for event in kernel_log.parse(BOOT + text).events] for text in (logged, logged + corrected)
    }
    assert kinds == {logged: [Kind.SUSPICIOUS], logged + corrected: [Kind.NOTE]}
    assert kernel_log.parse(BOOT + logged + corrected + logged + fatal).count("fault") == 1
