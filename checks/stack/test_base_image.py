"""Base image: torch is NVIDIA's own build, and nothing that came with it was touched."""

from dgxcert import requirement
from dgxcert.probes.stack import base_image


@requirement(
    "TORCH-UNTOUCHED",
    why="pip replaces NVIDIA's torch by one from PyPI without a word, which may hold no kernels for this GPU.",
    remedy=(
        "Leave this container and start a new one: what was changed in it is gone with it.",
        "The same in a new one: take the image anew: docker image rm dgxcert:course; make image",
        "Wrong again: look at the Dockerfile's own steps: docker image history dgxcert:course",
    ),
    tier="standard",
    takes_s=10,
    budget_s=300,
)
def test_torch_is_the_base_images_own_build(evidence):
    base = base_image.read()
    source = "the guard of the base image: SHA-256 over all files of torch, versions, pip check"
    own = evidence.record("torch of the base image ends in", base.ending, source=f"torch {base.torch}")
    changed = evidence.record("changed since", base.changed, source=source)
    assert own == base.tag
    assert changed == "nothing"
