"""GPU availability: the driver and torch offer the number and the generation of GPUs that the profile expects."""

from dgxcert import requirement
from dgxcert.machine.trait import Trait
from dgxcert.probes.gpu import cuda, cuda_devices, nvml, pci


@requirement(
    "GPU-PRESENT",
    title="The driver lists as many GPUs as the profile expects, and loses none",
    why="Without a GPU, transformers trains and generates on the CPU, hundreds of times slower, or not at all.",
    remedy=(
        "Run `nvidia-smi`. It must list every GPU of this machine.",
        "Run `lspci -d 10de:` to see the GPUs on the PCI bus, listed by the driver or not.",
        "Update or install the driver (branch 580 or newer) if a GPU is on the bus but not listed, then: sudo reboot",
        "Check the NVIDIA Container Toolkit if it is missing in a container only: nvidia-ctk --version",
        Trait.PHYSICAL.only(
            "Shut down, unplug the power for a minute and start again if a GPU is not even on the bus."
        ),
        Trait.VIRTUAL.only("Ask who runs its host whether the GPU is passed through to it."),
        "If it stays missing, open a hardware case.",
    ),
    stage="host",
)
def test_as_many_gpus_are_present_as_the_profile_expects(profile, evidence):
    driver = nvml.require_consistent()
    evidence.advise(*driver.remedy)
    lost = evidence.record("GPUs that the driver has lost", len(driver.lost), unit="GPU", source=driver.source)
    count = evidence.record("GPUs of the driver", len(driver.gpus), unit="GPU", source=driver.source)
    assert count.within(profile.gpu_count)
    assert lost == 0
    listed = evidence.record("GPUs and display adapters", driver.listed, unit="GPU", source=driver.source)
    bus = evidence.record("NVIDIA GPUs on the PCI bus", pci.count(), unit="GPU", source="/sys/bus/pci/devices")
    assert listed >= bus


@requirement(
    "CUDA-INITIALISES",
    title="CUDA starts on every GPU of the driver",
    why="The driver may list a GPU on which CUDA does not start: torch then sees none, and works on the CPU unasked.",
    remedy=(
        "Look for device files, the module nvidia_uvm and variables that hide GPUs: ls -l /dev/nvidia*; "
        "env | grep VISIBLE_DEVICES",
        "Restart the machine: sudo reboot",
    ),
    takes_s=3,
    budget_s=240,
    stage="host",
)
def test_cuda_starts_on_every_gpu_of_the_driver(machine, evidence):
    cuda_start = cuda_devices.read(machine)
    evidence.advise(*cuda_start.remedy)
    started = evidence.record("GPUs on which CUDA starts", cuda_start.started, unit="GPU", source=cuda_start.source)
    gpus = evidence.record("GPUs of the driver", len(machine.gpus), unit="GPU", source="NVML")
    assert started >= gpus


@requirement(
    "GPU-CUDA",
    title="torch.cuda is available and offers every GPU of the driver",
    why="Every Hugging Face library asks torch.cuda.is_available() and silently uses the CPU where it is False.",
    remedy=(
        "In `make shell`, run `python -c 'import torch; print(torch.version.cuda); torch.cuda.init()'` and read "
        "the last line.",
        "Use the container, or install a CUDA build of torch, if torch.version.cuda is None: that is a CPU build.",
        "Install driver branch 580 or newer if the driver is older than torch's CUDA, then restart: sudo reboot",
    ),
    takes_s=1,
    budget_s=120,
)
def test_torch_sees_every_gpu_of_the_driver(profile, evidence):
    torch = cuda.read()
    evidence.advise(*torch.remedy)
    available = evidence.record("torch.cuda.is_available()", torch.available, source=torch.source)
    assert available.holds()
    count = evidence.record("GPUs of torch", torch.count, unit="GPU", source="torch.cuda.device_count()")
    driver = evidence.record("GPUs of the driver", len(nvml.require_consistent().gpus), unit="GPU", source="NVML")
    assert count >= driver
    assert count.within(profile.gpu_count)


@requirement(
    "DRIVER-CUDA",
    title="The driver supports the CUDA version that torch was built for",
    why="With a driver older than the container's CUDA, torch finds no GPU or fails in its first kernel.",
    remedy=(
        "Compare nvidia-smi (CUDA Version, top right) with this, in `make shell`: python -c 'import torch; "
        "print(torch.version.cuda)'",
        Trait.DGX_OS.only("Update the driver: sudo apt update && sudo apt full-upgrade; sudo reboot"),
        Trait.OTHER_OS.only("Update the driver, on Ubuntu: sudo apt install nvidia-driver-580-open; sudo reboot"),
        "Use a container with a CUDA version that the driver supports, if the driver cannot be updated.",
    ),
    takes_s=1,
    budget_s=120,
)
def test_the_driver_serves_the_cuda_that_torch_was_built_for(evidence):
    torch, driver = cuda.read(), nvml.require_loaded()
    built = evidence.record("CUDA of torch", torch.major, unit="CUDA major version", source=torch.build)
    served = evidence.record("CUDA of the driver", driver.cuda_major, unit="CUDA major version", source=driver.source)
    assert served >= built


@requirement(
    "GPU-CAPABILITY",
    title="The GPU has the compute capability that the profile expects",
    why="bf16 training and 4-bit inference need kernels for this compute capability: another GPU runs others, or none.",
    remedy=(
        "Run `nvidia-smi --query-gpu=name,compute_cap --format=csv` and compare with the machine that was bought.",
        "Name the right profile if the machine is of another type: make validate PROFILE=NAME",
        "Update the driver if it names the GPU wrongly, then restart: sudo reboot",
    ),
)
def test_compute_capability_is_what_the_profile_expects(gpu, profile, evidence):
    listed = nvml.gpu(gpu.index)
    capability = evidence.record(
        f"compute capability of {listed.product}",
        float(listed.compute_capability),
        unit="compute capability",
        source="NVML",
    )
    assert capability.within(profile.limit("gpu.compute_capability"))
