"""A GPU that waits for the fabric, is ill in it, or lacks one where it must have it, fails by that count alone."""

import check_file
import pytest
from suites import example
from suites.judged import judge

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Inconclusive
from dgxcert.probes.links import fabric
from dgxcert.probes.links.fabric import Fabric
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile

CHECKS = check_file.load("links/test_fabric")
ANY = profiles.load("generic-nvidia")


def switched(profile: Profile = ANY) -> Profile:
    """A profile of a machine whose GPUs NVSwitch links: none may be without a fabric."""
    limit = Limit(name="links.without_fabric", max=0, unit="GPU", source="this test")
    return profile.model_copy(update={"limits": profile.limits | {limit.name: limit}})


@pytest.mark.parametrize(
    ("found", "profile", "fault"),
    [
        (Fabric((0, 1), {}, {}), ANY, None),
        (Fabric((), {}, {}, apart=(0, 1)), ANY, None),
        (Fabric((0, 1), {1: "in progress"}, {}), ANY, "GPUs that wait for the fabric"),
        (Fabric((), {0: "CUDA error 802"}, {}, apart=(0, 1)), ANY, "GPUs that wait for the fabric"),
        (Fabric((0, 1), {}, {0: "degraded bw"}), ANY, "GPUs that are ill in the fabric"),
        (Fabric((0, 1), {}, {}), switched(), None),
        (Fabric((0,), {}, {}, apart=(1,)), switched(), "GPUs without a fabric"),
        (Fabric((), {}, {}, apart=(0, 1)), switched(), "GPUs without a fabric"),
    ],
)
def test_a_gpu_that_the_fabric_does_not_serve_fails(
    monkeypatch: pytest.MonkeyPatch, found: Fabric, profile: Profile, fault: str | None
) -> None:
    monkeypatch.setattr(fabric, "read", lambda machine: found)
    evidence = judge(CHECKS.test_the_fabric_has_admitted_every_gpu, example.MACHINE, profile, fault=fault)
    assert evidence.advice == found.remedy


def test_a_driver_that_is_older_than_the_question_is_inconclusive_only_where_a_fabric_must_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = Fabric((), {}, {}, apart=(0, 1), unknown={0: "Function Not Found"})
    monkeypatch.setattr(fabric, "read", lambda machine: old)
    judge(CHECKS.test_the_fabric_has_admitted_every_gpu, example.MACHINE, ANY, fault=None)
    with pytest.raises(Inconclusive, match="does not report the fabric of GPU 0: Function Not Found"):
        CHECKS.test_the_fabric_has_admitted_every_gpu(example.MACHINE, switched(), Recorder())
