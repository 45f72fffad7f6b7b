"""Course container: the work is done in the very release of NVIDIA's image that the course is written for."""

from dgxcert import requirement
from dgxcert.probes.stack import ngc


@requirement(
    "COURSE-CONTAINER",
    why="The course's notebooks are written for one release of NVIDIA's PyTorch image: in another, versions of torch "
    "and CUDA differ, and so do their answers and errors.",
    remedy=(
        "Look: echo $NVIDIA_PYTORCH_VERSION",
        "Build and use the container that dgxcert pins: make image, then make ready RUNTIME=docker",
        "Pull the course's own image: docker pull nvcr.io/nvidia/pytorch:25.11-py3",
    ),
)
def test_the_work_is_done_in_the_courses_container(evidence):
    found = ngc.read()
    release = evidence.record("release of NVIDIA's image", found.release, source=found.says)
    assert release == ngc.COURSE_RELEASE
