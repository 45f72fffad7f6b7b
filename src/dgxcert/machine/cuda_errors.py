"""CUDA's errors that a machine can cause: name, meaning and remedy of each, and which of them a message names.

Codes, names and messages are those of cuda.h and libcudart 13.0 (CUresult and cudaError_t have the same codes). Errors
that only a mistake in a program causes are not here.
"""

import re
from dataclasses import dataclass

from dgxcert.machine.trait import Trait

BY_FABRIC = (
    "Look how far the NVLink fabric has come, and whether its manager runs: nvidia-smi -q | grep -A 4 Fabric; "
    "systemctl status nvidia-fabricmanager",
    "Read why it does not: journalctl -u nvidia-fabricmanager; sudo tail -50 /var/log/fabricmanager.log",
    "Compare its version with the driver's, which must be the same: nv-fabricmanager --version; "
    "cat /proc/driver/nvidia/version",
    "Install the one of the driver's branch if it is missing, as for 580: sudo apt install nvidia-fabricmanager-580",
    "Start it now and at each start: sudo systemctl enable --now nvidia-fabricmanager",
    "Look at IMEX too if the fabric spans several machines (GB200, GB300): systemctl status nvidia-imex",
    "Set the GPUs ready if confidential computing is on: nvidia-smi conf-compute -grs; "
    "sudo nvidia-smi conf-compute -srs 1",
    Trait.VIRTUAL.only("Ask who runs its host: in most of them the fabric manager runs there, and not here."),
    "Restart the machine if the manager runs and the state stays In Progress: sudo reboot",
)
"""NVIDIA Fabric Manager User Guide; pytorch/pytorch#35710, ollama/ollama#12136, huggingface/huggingface_hub#4134."""
BY_RESET = (
    "Stop all programs on the GPUs (nvidia-smi lists them) and reset them: sudo nvidia-smi --gpu-reset",
    "Restart the machine if they cannot be reset, or if that is not enough: sudo reboot",
    "Keep the driver's own messages with this run folder: sudo dmesg | grep -iE 'nvrm|xid'",
)
BY_UVM = (
    "Look for the device files and the module: ls -l /dev/nvidia*; cat /proc/modules | grep nvidia_uvm",
    "Load the module and create its device files: sudo nvidia-modprobe -u -c 0",
    "Load it again if it is there, which cures what a suspend has broken: sudo modprobe -r nvidia_uvm; "
    "then: sudo modprobe nvidia_uvm",
    "Read what it says: sudo dmesg | grep -i nvidia-uvm; with `request_free_mem_region() err -34`, write `options "
    "nvidia_uvm uvm_disable_hmm=1` to /etc/modprobe.d/uvm.conf and restart.",
    "Restart the machine if it stays so: sudo reboot",
)
"""Release notes of CUDA 12.9 and 13, known issues (HMM with KASLR); NVIDIA driver README, nvidia-modprobe."""
BY_VISIBILITY = (
    "Look for a variable that hides the GPUs: env | grep -E 'VISIBLE_DEVICES|CUDA_|NVIDIA_'; then unset it.",
    "Look whether MIG is on without an instance: nvidia-smi -L; nvidia-smi mig -lgi",
    Trait.CONTAINER.only(
        "Make the CDI specification again, and start the container with its GPUs: "
        "sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml"
    ),
)
BY_LIBRARY = (
    "Find which libcuda is loaded: ldconfig -p | grep libcuda.so; env | grep LD_LIBRARY_PATH",
    "Take folders called `stubs` or `compat` out of LD_LIBRARY_PATH: the driver's own library is the right one.",
)
BY_DRIVER = (
    "Compare the driver with the CUDA that is asked for: nvidia-smi",
    Trait.DGX_OS.only("Update the driver: sudo apt update && sudo apt full-upgrade; sudo reboot"),
    Trait.OTHER_OS.only("Update the driver, on Ubuntu: sudo apt install nvidia-driver-580-open; sudo reboot"),
)
BY_MPS = (
    "Look for the server, and for variables that name it: ps -C nvidia-cuda-mps-control; env | grep CUDA_MPS",
    "Start it again, or do without it: echo quit | nvidia-cuda-mps-control; then unset CUDA_MPS_PIPE_DIRECTORY",
    "Restart the machine if its server hangs: sudo reboot",
)
BY_ENDING_OTHERS = (
    "List what uses the GPUs and their memory: nvidia-smi; free -h",
    "End what is not needed (ps -fp PID shows whose it is), then run this again.",
)
BY_HARDWARE = (
    "Read what the driver recorded: nvidia-smi -q -d ECC,ROW_REMAPPER; sudo dmesg | grep -iE 'nvrm|xid'",
    *BY_RESET[:2],
    "Run this again. If it returns, open a hardware case with this run folder.",
)
BY_PERMISSION = (
    "Look who may open the device files: ls -l /dev/nvidia*; id",
    "Look for a container, a cgroup or a service that forbids them: systemctl show --property=DeviceAllow user.slice",
    *BY_UVM[1:2],
)


@dataclass(frozen=True)
class CudaError:
    """One error: CUDA's code, its names in the driver and runtime API, its message, and what causes and cures it.

    >>> find(802).says
    'CUDA error 802, system not yet initialized (CUDA_ERROR_SYSTEM_NOT_READY)'
    """

    code: int
    driver: str
    runtime: str
    message: str
    meaning: str
    remedy: tuple[str, ...]

    @property
    def says(self) -> str:
        """Code, message and name, as for a search."""
        return f"CUDA error {self.code}, {self.message} ({self.driver or self.runtime})"

    @property
    def description(self) -> str:
        """The error and its meaning.

        >>> find(34).description
        'CUDA error 34, CUDA driver is a stub library (CUDA_ERROR_STUB_LIBRARY): a library for building, without a \
driver, was loaded'
        """
        return f"{self.says}: {self.meaning}"


TABLE = (
    CudaError(
        2,
        "CUDA_ERROR_OUT_OF_MEMORY",
        "cudaErrorMemoryAllocation",
        "out of memory",
        "there is no memory left for a context",
        BY_ENDING_OTHERS,
    ),
    CudaError(
        3,
        "CUDA_ERROR_NOT_INITIALIZED",
        "cudaErrorInitializationError",
        "initialization error",
        "the driver could not be initialised, as without the module nvidia_uvm",
        BY_UVM,
    ),
    CudaError(
        34,
        "CUDA_ERROR_STUB_LIBRARY",
        "cudaErrorStubLibrary",
        "CUDA driver is a stub library",
        "a library for building, without a driver, was loaded",
        BY_LIBRARY,
    ),
    CudaError(
        35,
        "",
        "cudaErrorInsufficientDriver",
        "CUDA driver version is insufficient for CUDA runtime version",
        "the driver is missing or older than the CUDA that a program was built for",
        BY_DRIVER,
    ),
    CudaError(
        36,
        "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER",
        "cudaErrorCallRequiresNewerDriver",
        "API call is not supported in the installed CUDA driver",
        "the driver is too old for this call",
        BY_DRIVER,
    ),
    CudaError(
        46,
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "cudaErrorDevicesUnavailable",
        "CUDA-capable device(s) is/are busy or unavailable",
        "the GPU lets no program in: another one has it alone, its compute mode forbids it, or it wants a reset",
        (
            "Read its compute mode, and who uses it: nvidia-smi -q -d COMPUTE; nvidia-smi",
            "Let every program in: sudo nvidia-smi -c DEFAULT",
            "Look whether MIG is on without an instance: nvidia-smi -L; nvidia-smi mig -lgi",
            *BY_RESET,
        ),
    ),
    CudaError(
        100,
        "CUDA_ERROR_NO_DEVICE",
        "cudaErrorNoDevice",
        "no CUDA-capable device is detected",
        "CUDA finds no GPU that it may use, although the driver may list some",
        (*BY_VISIBILITY, "Look for missing device files: ls -l /dev/nvidia*", *BY_RESET),
    ),
    CudaError(
        101,
        "CUDA_ERROR_INVALID_DEVICE",
        "cudaErrorInvalidDevice",
        "invalid device ordinal",
        "a GPU was named that is not there, or has been lost since",
        (*BY_VISIBILITY, *BY_RESET),
    ),
    CudaError(
        102,
        "CUDA_ERROR_DEVICE_NOT_LICENSED",
        "cudaErrorDeviceNotLicensed",
        "device doesn't have valid Grid license",
        "a virtual GPU has no licence",
        ("Read the state of the licence: nvidia-smi -q | grep -i -A 3 license", "Ask who runs the licence server."),
    ),
    CudaError(
        209,
        "CUDA_ERROR_NO_BINARY_FOR_GPU",
        "cudaErrorNoKernelImageForDevice",
        "no kernel image is available for execution on the device",
        "a library has no kernels for this GPU's compute capability",
        (
            "Use packages that were built for this GPU: those of the image, by make validate with RUNTIME=docker.",
            "Compare the capability with torch's list, in `make shell`: python -c 'import torch; "
            "print(torch.cuda.get_arch_list())'",
        ),
    ),
    CudaError(
        214,
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "cudaErrorECCUncorrectable",
        "uncorrectable ECC error encountered",
        "the GPU's memory had an error that could not be corrected",
        BY_HARDWARE,
    ),
    CudaError(
        220,
        "CUDA_ERROR_NVLINK_UNCORRECTABLE",
        "cudaErrorNvlinkUncorrectable",
        "uncorrectable NVLink error detected during the execution",
        "NVLink had an error that could not be corrected",
        BY_HARDWARE,
    ),
    CudaError(
        226,
        "CUDA_ERROR_CONTAINED",
        "cudaErrorContained",
        "Invalid access of peer GPU memory over nvlink or a hardware error",
        "a hardware error was contained in this program",
        BY_HARDWARE,
    ),
    CudaError(
        302,
        "CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND",
        "cudaErrorSharedObjectSymbolNotFound",
        "shared object symbol not found",
        "libraries of the driver are of different versions",
        (*BY_LIBRARY, *BY_DRIVER),
    ),
    CudaError(
        303,
        "CUDA_ERROR_SHARED_OBJECT_INIT_FAILED",
        "cudaErrorSharedObjectInitFailed",
        "shared object initialization failed",
        "a library of the driver could not be started: libraries and kernel module do not fit, or are not all there",
        (*BY_LIBRARY, *BY_DRIVER),
    ),
    CudaError(
        304,
        "CUDA_ERROR_OPERATING_SYSTEM",
        "cudaErrorOperatingSystem",
        "OS call failed or operation not supported on this OS",
        "the system refused the driver a call: a device file is missing or may not be opened, or memory is limited",
        (*BY_PERMISSION, "Look for limits of this session: ulimit -a"),
    ),
    CudaError(
        401,
        "CUDA_ERROR_ILLEGAL_STATE",
        "cudaErrorIllegalState",
        "the operation cannot be performed in the present state",
        "GPUs linked by NVSwitch have no multicast (NVLS): the fabric is not ready, or its manager not this driver's",
        # pytorch/ci-infra#541
        (*BY_FABRIC[:5], "Work without it meanwhile: export NCCL_NVLS_ENABLE=0", *BY_FABRIC[-1:]),
    ),
    CudaError(
        700,
        "CUDA_ERROR_ILLEGAL_ADDRESS",
        "cudaErrorIllegalAddress",
        "an illegal memory access was encountered",
        "a kernel used memory that is not its own; on a sound program, a GPU that errs",
        BY_HARDWARE,
    ),
    CudaError(
        702,
        "CUDA_ERROR_LAUNCH_TIMEOUT",
        "cudaErrorLaunchTimeout",
        "the launch timed out and was terminated",
        "a kernel took longer than a GPU that also draws allows",
        (
            "End programs that draw, and log out of the desktop, then run this again.",
            *BY_HARDWARE[:1],
        ),
    ),
    CudaError(
        714,
        "CUDA_ERROR_HARDWARE_STACK_ERROR",
        "cudaErrorHardwareStackError",
        "hardware stack error",
        "a kernel's stack was damaged; on a sound program, a GPU that errs",
        BY_HARDWARE,
    ),
    CudaError(
        715,
        "CUDA_ERROR_ILLEGAL_INSTRUCTION",
        "cudaErrorIllegalInstruction",
        "an illegal instruction was encountered",
        "a kernel met an instruction that does not exist; on a sound program, a GPU that errs",
        BY_HARDWARE,
    ),
    CudaError(
        719,
        "CUDA_ERROR_LAUNCH_FAILED",
        "cudaErrorLaunchFailure",
        "unspecified launch failure",
        "a kernel ended with an exception; on a sound program, a GPU that errs",
        BY_HARDWARE,
    ),
    CudaError(
        800,
        "CUDA_ERROR_NOT_PERMITTED",
        "cudaErrorNotPermitted",
        "operation not permitted",
        "this process may not use the GPU",
        BY_PERMISSION,
    ),
    CudaError(
        801,
        "CUDA_ERROR_NOT_SUPPORTED",
        "cudaErrorNotSupported",
        "operation not supported",
        "this system or GPU does not support what CUDA needs, as a virtual GPU without unified memory",
        (
            Trait.VIRTUAL.only("Ask who runs its host whether the GPU's type there supports CUDA."),
            *BY_UVM[:1],
            *BY_DRIVER,
        ),
    ),
    CudaError(
        802,
        "CUDA_ERROR_SYSTEM_NOT_READY",
        "cudaErrorSystemNotReady",
        "system not yet initialized",
        "GPUs linked by NVSwitch wait for the fabric manager, or a GPU wants a reset",
        BY_FABRIC,
    ),
    CudaError(
        803,
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        "cudaErrorSystemDriverMismatch",
        "system has unsupported display driver / cuda driver combination",
        "libcuda and the kernel module have different versions: the driver was updated without a restart, or another "
        "libcuda was loaded",
        (
            "Compare the versions: cat /proc/driver/nvidia/version; ldconfig -p | grep libcuda.so",
            *BY_LIBRARY[1:],
            "Restart if the driver was updated since the machine was started: sudo reboot",
        ),
    ),
    CudaError(
        804,
        "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "cudaErrorCompatNotSupportedOnDevice",
        "forward compatibility was attempted on non supported HW",
        "a newer libcuda than the driver's was loaded, which only some data centre GPUs allow",
        (*BY_LIBRARY, *BY_DRIVER),
    ),
    CudaError(
        805,
        "CUDA_ERROR_MPS_CONNECTION_FAILED",
        "cudaErrorMpsConnectionFailed",
        "MPS client failed to connect to the MPS control daemon or the MPS server",
        "the MPS server that this session names does not answer",
        BY_MPS,
    ),
    CudaError(
        806,
        "CUDA_ERROR_MPS_RPC_FAILURE",
        "cudaErrorMpsRpcFailure",
        "the remote procedural call between the MPS server and the MPS client failed",
        "the MPS server failed",
        BY_MPS,
    ),
    CudaError(
        807,
        "CUDA_ERROR_MPS_SERVER_NOT_READY",
        "cudaErrorMpsServerNotReady",
        "MPS server is not ready to accept new MPS client requests",
        "the MPS server recovers from a failure",
        BY_MPS,
    ),
    CudaError(
        808,
        "CUDA_ERROR_MPS_MAX_CLIENTS_REACHED",
        "cudaErrorMpsMaxClientsReached",
        "the hardware resources required to create MPS client have been exhausted",
        "too many programs use the MPS server",
        BY_MPS,
    ),
    CudaError(
        809,
        "CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED",
        "cudaErrorMpsMaxConnectionsReached",
        "the hardware resources required to support device connections have been exhausted",
        "too many programs use the MPS server",
        BY_MPS,
    ),
    CudaError(
        810,
        "CUDA_ERROR_MPS_CLIENT_TERMINATED",
        "cudaErrorMpsClientTerminated",
        "the MPS client has been terminated by the server",
        "the MPS server ended this program, as after a fault of another one",
        BY_MPS,
    ),
    CudaError(
        999,
        "CUDA_ERROR_UNKNOWN",
        "cudaErrorUnknown",
        "unknown error",
        "the driver failed without saying why: its state is broken, as after a suspend or a fault of the GPU",
        (*BY_UVM[:3], *BY_VISIBILITY[:1], *BY_RESET),
    ),
)
BY_CODE = {error.code: error for error in TABLE}
BY_NAME = {name.lower(): error for error in TABLE for name in (error.driver, error.runtime) if name}

GENERIC = {2, 3, 101, 302, 303, 304, 714, 800, 801, 999}
"""Errors whose message others use as well (`Unknown Error` is NVML's too): only with CUDA's name before it."""
IN_OTHER_WORDS = {
    "CUDA out of memory": 2,
    "Found no NVIDIA driver on your system": 35,
    "The NVIDIA driver on your system is too old": 35,
    "CUDA driver initialization failed, you might not have a CUDA gpu": 3,
    "CUDA unknown error - this may be due to an incorrectly set up environment": 999,
    "No CUDA GPUs are available": 100,
    "all CUDA-capable devices are busy or unavailable": 46,
}
"""Messages of torch (c10/cuda/CUDAFunctions.cpp, torch/cuda/__init__.py) and of older runtimes, and their codes."""

NAMES = re.compile(r"\b(?:CUDA_ERROR_[A-Z_]+|cudaError[A-Z]\w+)")
CODES = (
    re.compile(r"\bCUDA (?:runtime |driver )?(?:API )?error(?: code)?\s*[:=#]?\s*\(?(\d{1,3})\b", re.IGNORECASE),
    re.compile(
        r"\bcu(?:da)?[A-Z]\w+(?:\([^()\n]*\))?\W{0,3}"
        r"(?:(?:returned|returns|failed|with|error|code|status|result|unknown)\W+)*\(?(\d{2,3})\b(?!\.\d)",
        re.IGNORECASE,
    ),
    re.compile(r"\bcu(?:da)?[A-Z]\w+\(\)\..*?\bError (\d{1,3}): ", re.DOTALL),
)
"""`CUDA error 802`, `cuda runtime error (802)`; `cuInit(0) returned 100`; torch's two sentences between both."""
PREFIX = r"\b(?:CUDA|cu[A-Z]\w+|cuda[A-Z]\w+)\b[^\n]{0,60}?[:,] *"


def find(code: int) -> CudaError:
    """An error by its code, also one that is in no table.

    >>> find(711).says
    'CUDA error 711, an error that no table of dgxcert names (https://docs.nvidia.com/cuda/cuda-driver-api)'
    """
    unknown = "an error that no table of dgxcert names"
    page = "https://docs.nvidia.com/cuda/cuda-driver-api"
    return BY_CODE.get(code) or CudaError(code, page, "", unknown, "look it up there", BY_RESET)


def named_in(text: str) -> CudaError | None:
    """The error that a message names, in the words of torch, of the runtime, of the driver API or of other programs.

    >>> named_in("RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable").code
    46
    >>> named_in("failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected").code
    100
    >>> named_in("Failed to initialize NVML: Unknown Error") is None
    True
    """
    for name in NAMES.findall(text):
        if name.lower() in BY_NAME:
            return BY_NAME[name.lower()]
    for pattern in CODES:
        for code in pattern.findall(text):
            if int(code) in BY_CODE:
                return BY_CODE[int(code)]
    for words, code in IN_OTHER_WORDS.items():
        if words.lower() in text.lower():
            return BY_CODE[code]
    for error in TABLE:
        prefix = PREFIX if error.code in GENERIC else ""
        if re.search(prefix + re.escape(error.message), text, re.IGNORECASE):
            return error
    return None
