"""NGC: release and build are read in NVIDIA's image, and nowhere else."""

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import ngc


def test_release_and_build_are_read() -> None:
    image = ngc.parse({ngc.RELEASE: "25.11", ngc.BUILD: "231036155"})
    assert (image.release, image.build) == ("25.11", "231036155")
    assert "231036155" in image.source


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({}, "outside NVIDIA's container"), ({ngc.RELEASE: "25.11", ngc.STANDIN: "1"}, "stand-in")],
)
def test_other_environments_are_inconclusive(environment: dict[str, str], reason: str) -> None:
    with pytest.raises(Inconclusive, match=reason):
        ngc.parse(environment)
