"""How many numbers of the kernel of TRITON-KERNEL are wrong in Triton's interpreter, printed as JSON."""

import json
import sys

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import triton_kernel

if __name__ == "__main__":
    json.dump(triton_kernel.wrong_numbers(Device("cpu", 0, "CPU"), Recorder()), sys.stdout)
