"""Driver: new enough for the CUDA of the image, and of a branch that this machine is supported with."""

from dgxcert import requirement
from dgxcert.probes import nvml


@requirement(
    "DRIVER-BRANCH",
    why="CUDA 13 in the container needs driver branch 580: with an older one torch finds no GPU at all.",
    remedy=(
        "Run `nvidia-smi` and read the driver version in its first line.",
        "Too old: sudo apt update && sudo apt full-upgrade (DGX OS), or nvidia-driver-580-open; then sudo reboot",
        "Too new for the machine's profile: go back to the branch that its vendor supports, then sudo reboot",
        "No driver at all: see GPU-PRESENT.",
    ),
    stage="host",
)
def test_the_driver_is_of_a_branch_that_the_image_needs(profile, evidence):
    driver = nvml.present()
    branch = evidence.record("driver branch", driver.branch, unit="driver branch", source=driver.says)
    assert branch.within(profile.limit("driver.branch"))
