"""CUDA libraries: torch, bitsandbytes and the driver are for the same CUDA major version."""

from dgxcert import requirement
from dgxcert.probes.gpu import nvml
from dgxcert.probes.stack import cuda_libraries

UNIT = "CUDA major version"


@requirement(
    "CUDA-MAJOR",
    title="torch, bitsandbytes and the driver are for the same CUDA",
    why="bitsandbytes loads no 4-bit model where its library is built for another CUDA, or is missing.",
    remedy=(
        "In `make shell`, run `python -m bitsandbytes`: it names the library that it needs and does not find.",
        "If BNB_CUDA_VERSION is set: unset BNB_CUDA_VERSION",
        "If the driver is the older one, install driver branch 580 or newer, then restart: sudo reboot",
    ),
    takes_s=8,
    budget_s=180,
)
def test_torch_bitsandbytes_and_the_driver_are_for_one_cuda(evidence):
    libraries = cuda_libraries.read()
    evidence.advise(*libraries.remedy)
    driver = nvml.require_loaded()
    source = f"torch.version.cuda is {libraries.cuda}"
    torch = evidence.record("CUDA of torch", libraries.torch_major, unit=UNIT, source=source)
    library = evidence.record("CUDA of bitsandbytes", libraries.bitsandbytes_major, unit=UNIT, source=libraries.library)
    supported = evidence.record("CUDA of the driver", driver.cuda_major, unit=UNIT, source=driver.source)
    assert library == libraries.torch_major
    assert supported >= torch
