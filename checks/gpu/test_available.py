"""GPU availability: driver and torch offer as many GPUs as the profile expects, of the generation it expects."""

from dgxcert import requirement
from dgxcert.probes.gpu import cuda, nvml, pci


@requirement(
    "GPU-PRESENT",
    why="Without the driver's GPU, training and inference fall back to the CPU, hundreds of times slower, or stop.",
    remedy=(
        "Run `nvidia-smi`: it must list every GPU of this machine.",
        "Run `lspci -d 10de:` to see whether the bus shows GPUs that the driver does not.",
        "On the bus but not listed: install driver branch 580 or newer, then restart: sudo reboot",
        "In a container: start it with `--gpus all`, and see that the NVIDIA Container Toolkit is set up on the host.",
        "Not even on the bus: shut down, unplug the power for a minute, start again; then open a hardware case.",
    ),
    stage="host",
)
def test_as_many_gpus_are_present_as_the_profile_expects(profile, evidence):
    driver = nvml.require_consistent()
    lost = evidence.record("GPUs that the driver has lost", len(driver.lost), unit="GPU", source=driver.source)
    count = evidence.record("GPUs of the driver", len(driver.gpus), unit="GPU", source=driver.source)
    assert count.within(profile.gpu_count)
    assert lost == 0
    bus = evidence.record("NVIDIA GPUs on the PCI bus", pci.count(), unit="GPU", source="/sys/bus/pci/devices")
    assert count >= bus


@requirement(
    "GPU-CUDA",
    why="Every Hugging Face library asks torch.cuda.is_available() and silently uses the CPU when it says no.",
    remedy=(
        "Run `python -c 'import torch; print(torch.version.cuda); torch.cuda.init()'` and read the last line.",
        "torch.version.cuda is None: a CPU build of torch is installed; use the container, or install a CUDA build.",
        "The driver is older than torch's CUDA: install driver branch 580 or newer, then restart: sudo reboot",
    ),
    takes_s=6,
    budget_s=120,
)
def test_torch_sees_every_gpu_of_the_driver(profile, evidence):
    found = cuda.read()
    available = evidence.record("torch.cuda.is_available()", found.available, source=found.build)
    assert available.holds()
    count = evidence.record("GPUs of torch", found.count, unit="GPU", source="torch.cuda.device_count()")
    driver = evidence.record("GPUs of the driver", len(nvml.require_consistent().gpus), unit="GPU", source="NVML")
    assert count >= driver
    assert count.within(profile.gpu_count)


@requirement(
    "DRIVER-CUDA",
    why="A driver that is older than the CUDA of the container finds no GPU for it, or fails in the first kernel.",
    remedy=(
        "Compare: nvidia-smi (CUDA Version, top right) and python -c 'import torch; print(torch.version.cuda)'",
        "Update the driver: sudo apt update && sudo apt full-upgrade (DGX OS); then sudo reboot",
        "Or use a container of the CUDA that the driver serves.",
    ),
    takes_s=6,
    budget_s=120,
)
def test_the_driver_serves_the_cuda_that_torch_was_built_for(evidence):
    found, driver = cuda.read(), nvml.require_loaded()
    built = evidence.record("CUDA of torch", found.major, unit="CUDA major version", source=found.build)
    served = evidence.record("CUDA of the driver", driver.cuda_major, unit="CUDA major version", source=driver.source)
    assert served >= built


@requirement(
    "GPU-CAPABILITY",
    why="bf16 training and 4-bit inference need a GPU of a known generation: another one runs other code, or none.",
    remedy=(
        "Run `nvidia-smi --query-gpu=name,compute_cap --format=csv` and compare with the machine that was bought.",
        "If the machine is of another type, name its profile: dgxcert validate --profile NAME",
        "If the driver names the GPU wrongly, update the driver, then restart: sudo reboot",
    ),
)
def test_compute_capability_is_what_the_profile_expects(gpu, profile, evidence):
    found = nvml.gpu(gpu.index)
    capability = evidence.record(
        f"compute capability of {found.product}",
        float(found.compute_capability),
        unit="compute capability",
        source="NVML",
    )
    assert capability.within(profile.limit("gpu.compute_capability"))
