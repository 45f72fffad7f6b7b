"""Containers: the image is for this machine, and a container of it really computes."""

from dgxcert import requirement
from dgxcert.probes.host import container


@requirement(
    "IMAGE-ARCHITECTURE",
    why="An image for another processor runs under emulation, a hundred times slower, without an error.",
    remedy=(
        "Compare `docker image inspect IMAGE --format '{{.Architecture}}'` with `uname -m`.",
        "Build it on this machine: make image; or name an image for this processor: IMAGE=",
    ),
    stage="image",
    gate=True,
)
def test_the_image_is_of_this_machines_architecture(image, machine, evidence):
    found = evidence.record("architecture of the image", image.kernel_architecture, source=image.reference)
    assert found == machine.architecture


@requirement(
    "CONTAINER-COMPUTES",
    why="Runtime, CDI and driver may look well and a container still get no GPU: only one that computes proves it.",
    remedy=(
        "Wrong products: see KERNEL-CORRECT in the same run.",
        "Too few GPUs: compare `nvidia-smi -L` on the machine and in a container: docker run --rm --gpus all IMAGE ...",
        "GPUs are hidden by MIG or by a setting of the runtime: look at /etc/nvidia-container-runtime/config.toml.",
    ),
    takes_s=15,
    budget_s=240,
    stage="image",
)
def test_a_container_of_the_image_computes_on_every_gpu(image, profile, evidence):
    found = container.read(image, gpus=profile.uses_gpu)
    evidence.advise(*found.remedy)
    computes = evidence.record("a container computes", not found.problem, source=found.says)
    assert computes.holds()
    count = evidence.record("devices in the container", len(found.devices), unit="device", source=found.says)
    wrong = evidence.record("wrong products", found.wrong, source=found.says)
    assert count.within(profile.device_count)
    assert wrong == 0
