"""Base image: torch is NVIDIA's own build, and no other package of the image was changed."""

from dgxcert import requirement
from dgxcert.probes.stack import base_image


@requirement(
    "TORCH-UNTOUCHED",
    title="torch is the base image's own build",
    why="pip silently replaces NVIDIA's torch with the one from PyPI, which may have no kernels for this GPU.",
    remedy=(
        "Leave this container and start a new one: changes made inside a container end with it.",
        "If a new container shows the same, rebuild the image: docker image rm dgxcert:course; make image",
        "If it fails again, read which step of the Dockerfile changed it: docker image history dgxcert:course",
    ),
    tier="standard",
    takes_s=4,
    budget_s=300,
)
def test_torch_is_the_base_images_own_build(evidence):
    base = base_image.read()
    source = "the guard of the base image: SHA-256 over all files of torch, versions, pip check"
    suffix = evidence.record("suffix of torch's version", base.torch_suffix, source=f"torch {base.torch}")
    changed = evidence.record("changed since the base image", base.changed, source=source)
    assert suffix == base.tag
    assert changed == "nothing"
