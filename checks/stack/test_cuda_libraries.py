"""CUDA libraries: torch, bitsandbytes and the driver go together."""

from dgxcert import requirement
from dgxcert.probes.gpu import nvml
from dgxcert.probes.stack import cuda_libraries

UNIT = "CUDA major version"


@requirement(
    "CUDA-MAJOR",
    why="bitsandbytes with a library for another CUDA, or with none, loads no model in 4 bits.",
    remedy=(
        "Look: `python -m bitsandbytes` names the library that it wants and does not find.",
        "BNB_CUDA_VERSION is set: unset BNB_CUDA_VERSION",
        "The driver is the older one: install driver branch 580 or newer, then restart: sudo reboot",
    ),
    takes_s=6,
    budget_s=180,
)
def test_torch_bitsandbytes_and_the_driver_are_for_one_cuda(evidence):
    found = cuda_libraries.read()
    evidence.advise(*found.mend)
    driver = nvml.require_loaded()
    built = evidence.record("CUDA of torch", found.major, unit=UNIT, source=f"torch.version.cuda is {found.cuda}")
    library = evidence.record("CUDA of bitsandbytes", found.of_bitsandbytes, unit=UNIT, source=found.library)
    served = evidence.record("CUDA of the driver", driver.cuda_major, unit=UNIT, source=driver.source)
    assert library == found.major
    assert served >= built
