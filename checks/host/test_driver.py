"""Driver: whole, new enough for the CUDA of the image, and of a branch that this machine is supported with."""

from dgxcert import requirement
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import kernel_module


@requirement(
    "DRIVER-AGREES",
    why="After a half-applied update no program gets a GPU until the machine is restarted, and some hang until then.",
    remedy=(
        "Compare: cat /proc/driver/nvidia/version; nvidia-smi --version",
        "Restart, so that the kernel module of the new version is loaded: sudo reboot",
        "Still different: finish the update (sudo apt full-upgrade on DGX OS; sudo dkms autoinstall), restart again.",
        "On a Spark the module must be the open one: sudo apt install nvidia-driver-580-open",
    ),
    stage="host",
)
def test_the_drivers_library_and_kernel_module_are_of_one_version(evidence):
    module, driver = kernel_module.read(), nvml.read()
    evidence.record("open kernel module", module.is_open, source=str(kernel_module.VERSION))
    agrees = evidence.record("library fits the module", not driver.mismatch, source=f"NVML: {driver.mismatch or 'so'}")
    assert agrees.holds()
    version = evidence.record("version of the library", driver.known_version, source="NVML")
    assert version == module.version


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
    driver = nvml.require_loaded()
    branch = evidence.record("driver branch", driver.branch, unit="driver branch", source=driver.source)
    assert branch.within(profile.limit("driver.branch"))
