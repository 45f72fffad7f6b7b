"""Pairs that may not reach one another, or copy wrongly, fail by that count alone."""

import check_file
import pytest
from suites import example
from suites.judged import judge

from dgxcert.judgement.evidence import Recorder
from dgxcert.outcome import Inconclusive
from dgxcert.probes.links import peers
from dgxcert.probes.links.peers import Peers
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import peer_copies
from dgxcert.workloads.hardware.peer_copies import Copied

CHECKS = check_file.load("links/test_peers")
ANY = profiles.load("generic-nvidia")
ALL = ANY.model_copy(
    update={"limits": ANY.limits | {"links.pairs": ANY.limit("links.pairs").model_copy(update={"max": 0})}}
)
REACHED = {"read": "OK", "write": "OK", "nvlink": "OK"}
BY_HOST = {"read": "CHIPSET_NOT_SUPPORTED", "write": "CHIPSET_NOT_SUPPORTED", "nvlink": "NOT_SUPPORTED"}


@pytest.mark.parametrize(
    ("found", "profile", "fault"),
    [
        (Peers({(0, 1): REACHED, (1, 0): REACHED}), ALL, None),
        (Peers({(0, 1): BY_HOST, (1, 0): BY_HOST}), ANY, None),
        (Peers({(0, 1): BY_HOST, (1, 0): BY_HOST}), ALL, "pairs without access"),
        (Peers({(0, 1): REACHED, (1, 0): REACHED | {"write": "UNKNOWN"}}), ANY, "pairs apart in spite of NVLink"),
        (Peers({}, {(0, 1): "Function Not Found"}), ANY, None),
    ],
)
def test_pairs_that_may_not_reach_one_another_fail_where_they_must(
    monkeypatch: pytest.MonkeyPatch, found: Peers, profile: Profile, fault: str | None
) -> None:
    monkeypatch.setattr(peers, "read", lambda machine: found)
    judge(CHECKS.test_every_pair_of_gpus_may_reach_one_another, example.MACHINE, profile, fault=fault)


def test_a_pair_about_which_the_driver_says_nothing_is_inconclusive_where_all_must_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "read", lambda machine: Peers({(1, 0): REACHED}, {(0, 1): "Unknown Error"}))
    with pytest.raises(Inconclusive, match="whether GPU 0 and GPU 1 may reach one another: Unknown Error"):
        CHECKS.test_every_pair_of_gpus_may_reach_one_another(example.MACHINE, ALL, Recorder())


@pytest.mark.parametrize(
    ("copied", "profile", "fault"),
    [
        (Copied({("GPU 0", "GPU 1"): 0}), ALL, None),
        (Copied({("GPU 0", "GPU 1"): 0}, apart=(("GPU 0", "GPU 1"),)), ANY, None),
        (Copied({("GPU 0", "GPU 1"): 0}, apart=(("GPU 0", "GPU 1"),)), ALL, "pairs without access"),
        (Copied({("GPU 0", "GPU 1"): 1}), ANY, "words that arrived wrong"),
    ],
)
def test_copies_that_arrive_changed_fail(
    monkeypatch: pytest.MonkeyPatch, copied: Copied, profile: Profile, fault: str | None
) -> None:
    monkeypatch.setattr(peer_copies, "between", lambda gpus: copied)
    judge(CHECKS.test_what_one_gpu_copies_to_another_arrives_unchanged, (), profile, fault=fault)
