"""Course release: the work runs in the release of NVIDIA's PyTorch image that the course is written for."""

from dgxcert import requirement
from dgxcert.probes.stack import ngc


@requirement(
    "COURSE-CONTAINER",
    title="The work runs in the course's release of NVIDIA's PyTorch image",
    why="The course's notebooks are written for one release of NVIDIA's PyTorch image: other releases have other "
    "versions of torch and CUDA, and so other answers and errors.",
    remedy=(
        "Run `echo $NVIDIA_PYTORCH_VERSION` to see the release.",
        "Build and use the container that dgxcert pins: `make image`, then `make ready RUNTIME=docker`.",
        "Pull the course's own image: `docker pull nvcr.io/nvidia/pytorch:25.11-py3`",
    ),
)
def test_the_container_is_the_release_of_the_course(evidence):
    image = ngc.read()
    release = evidence.record("release of NVIDIA's image", image.release, source=image.source)
    assert release == ngc.COURSE_RELEASE
