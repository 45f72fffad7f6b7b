"""Containers: the image has this machine's architecture, and a container of it computes on every GPU."""

from dgxcert import requirement
from dgxcert.probes.host import container


@requirement(
    "IMAGE-ARCHITECTURE",
    title="The image has this machine's architecture",
    why="An image of another architecture trains under emulation, a hundred times slower, without an error.",
    remedy=(
        "Compare `docker image inspect IMAGE --format '{{.Architecture}}'` with `uname -m`.",
        "Build it on this machine: make image; or name an image of this architecture: IMAGE=NAME",
    ),
    stage="image",
    gate=True,
)
def test_the_image_is_of_this_machines_architecture(image, machine, evidence):
    architecture = evidence.record("architecture of the image", image.kernel_architecture, source=image.reference)
    assert architecture == machine.architecture


@requirement(
    "CONTAINER-COMPUTES",
    title="A container of the image computes on every GPU",
    why="Runtime, CDI and driver may look healthy while a training container gets no GPU: only computing proves it.",
    remedy=(
        "Fix KERNEL-CORRECT first if products are wrong: make validate ONLY=KERNEL-CORRECT",
        "Compare the GPUs of the machine and of a container: nvidia-smi -L; "
        "docker run --rm --gpus all ubuntu nvidia-smi -L",
        "Check for MIG and for runtime settings that hide GPUs: cat /etc/nvidia-container-runtime/config.toml",
        "Compare the CDI specification with the machine, if the engine gives GPUs by CDI: nvidia-ctk cdi list; "
        "generate it again: sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml",
    ),
    takes_s=5,
    budget_s=240,
    stage="image",
)
def test_a_container_of_the_image_computes_on_every_gpu(image, machine, profile, evidence):
    result = container.read(image, gpus=profile.uses_gpu)
    evidence.advise(*result.remedy)
    computes = evidence.record("a container computes", not result.problem, source=result.description)
    assert computes.holds()
    count = evidence.record("devices in the container", len(result.devices), unit="device", source=result.description)
    wrong = evidence.record("wrong products", result.wrong, source=result.description)
    missing = evidence.record("GPUs that the container lacks", result.missing(profile.gpus_of(machine)), source="NVML")
    assert count.within(profile.device_count)
    assert missing == "none"
    assert wrong == 0
