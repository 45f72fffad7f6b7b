"""The check of a whole container passes one that computes, and each of its comparisons fails alone."""

from types import ModuleType

import check_file
import paths
import pytest
from suites import example

from dgxcert.judgement.evidence import Recorder
from dgxcert.probes.host import container
from dgxcert.probes.host.container import Container
from dgxcert.profiles import profile as profiles

CHECK = paths.CHECKS / "host" / "test_container.py"
GPU = "cuda:0 (NVIDIA GB10)"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return check_file.load("host/test_container")


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (Container((GPU,), 0, "", ()), None),
        (Container((GPU,), 0, "it ended badly after all", ("Look at it.",)), "a container computes"),
        (Container((), 0, "", ()), "devices in the container"),
        (Container((GPU, GPU), 0, "", ()), "devices in the container"),
        (Container((GPU,), 1, "", ()), "wrong products"),
    ],
)
def test_each_trouble_of_a_container_fails_alone(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, found: Container, fault: str | None
) -> None:
    monkeypatch.setattr(container, "read", lambda image, gpus: found)
    evidence = Recorder()
    asked = (example.image_ready().image, profiles.load("dgx-spark"), evidence)
    if fault is None:
        check.test_a_container_of_the_image_computes_on_every_gpu(*asked)
        assert evidence.compared
    else:
        with pytest.raises(AssertionError):
            check.test_a_container_of_the_image_computes_on_every_gpu(*asked)
        assert evidence.advice == found.remedy
    assert [kept.name for kept, _ in evidence.violated] == ([fault] if fault else [])
