"""The release of NVIDIA's container is read from its environment; outside of it and on a stand-in it is unknown."""

import pytest
from paths import ROOT

from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import ngc


def test_nvidias_container_states_its_release() -> None:
    image = ngc.parse({ngc.RELEASE: "25.11", ngc.BUILD: "241"})
    assert (image.release, "241" in image.says) == ("25.11", True)


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "outside NVIDIA's container"),
        ({ngc.RELEASE: ""}, "outside NVIDIA's container"),
        ({ngc.RELEASE: "25.11", ngc.STANDIN: "1"}, "stand-in"),
    ],
)
def test_without_such_a_container_the_release_is_inconclusive(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(Inconclusive, match=problem):
        ngc.parse(environment)


def test_the_container_is_the_one_that_is_pinned() -> None:
    pinned = (ROOT / "container" / "base.env").read_text(encoding="utf-8")
    assert f"pytorch:{ngc.COURSE_RELEASE.equals}-py3@" in pinned
