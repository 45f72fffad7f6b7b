"""Driver: library and kernel module have one version, of a branch that fits the image's CUDA and this machine."""

from dgxcert import requirement
from dgxcert.machine.trait import Trait
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import kernel_module


@requirement(
    "DRIVER-AGREES",
    title="The driver's library and kernel module have the same version",
    why="After a half-applied update no training job gets a GPU until the machine is restarted, and some jobs hang.",
    remedy=(
        "Compare the versions: cat /proc/driver/nvidia/version; nvidia-smi --version",
        "Restart to load the kernel module of the new version: sudo reboot",
        Trait.DGX_OS.only(
            "Finish the update if they still differ: sudo apt update && sudo apt full-upgrade; sudo reboot"
        ),
        Trait.OTHER_OS.only("Build the module again if they still differ: sudo dkms autoinstall; sudo reboot"),
        Trait.SPARK.only("Install the open module, the only one for it: sudo apt install nvidia-driver-580-open"),
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
    title="The driver branch fits the image's CUDA and this machine",
    why="CUDA 13 in the container needs driver branch 580: with an older one torch finds no GPU at all.",
    remedy=(
        "Run `nvidia-smi` and read the driver version in its first line.",
        Trait.DGX_OS.only("Update it if it is too old: sudo apt update && sudo apt full-upgrade; sudo reboot"),
        Trait.OTHER_OS.only(
            "Update it if it is too old, on Ubuntu: sudo apt install nvidia-driver-580-open; sudo reboot"
        ),
        "Go back to the branch that the vendor supports if it is too new: sudo apt install nvidia-driver-580-open; "
        "then sudo reboot",
        "Fix GPU-PRESENT first if there is no driver at all: make validate ONLY=GPU-PRESENT",
    ),
    stage="host",
)
def test_the_driver_is_of_a_branch_that_the_image_needs(profile, evidence):
    driver = nvml.require_loaded()
    branch = evidence.record("driver branch", driver.branch, unit="driver branch", source=driver.source)
    assert branch.within(profile.limit("driver.branch"))
