"""Limits of a lab's own checks stand in the site profile, beside the shipped ones, which they never change."""

from pathlib import Path

import pytest

from dgxcert.outcome import CannotStart, Inconclusive
from dgxcert.profiles import profile as profiles
from dgxcert.profiles import site

ABOUT = "tightens: cpu\nwho: Ada\nmade: 2026-11-30\n"
LIMIT = "{min: 5, unit: GiB, basis: derived, source: a data set}"


def test_an_own_limit_is_declared_without_any_calibrated_one(tmp_path: Path) -> None:
    (tmp_path / "cpu.yaml").write_text(f"{ABOUT}own:\n  own.scratch.free: {LIMIT}\n")
    shipped = profiles.load("cpu")
    tightened = site.apply(shipped, tmp_path)
    assert tightened.limit("own.scratch.free").min == 5
    assert (tightened.limits, tightened.sha256, tightened.site) == (shipped.limits, shipped.sha256, None)
    assert tightened.without_site == shipped
    with pytest.raises(Inconclusive, match=r"did you mean 'own\.scratch\.free'\?.*`own:` in the site profile"):
        tightened.limit("own.scratch.fre")


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("", "missing key 'profile_sha256'"),
        (f"own:\n  scratch.free: {LIMIT}\n", "scratch.free"),
        (f"own:\n  swap.used: {LIMIT}\n", "swap.used"),
        ("own:\n  own.scratch: {min: 5, unit: GiB}\n", "source"),
        ("own:\n  own.scratch: {min: 5, max: 1, unit: GiB, source: x}\n", "min 5.0 is above max 1.0"),
        (f"own:\n  own.scratch: {LIMIT}\nlimits:\n  swap.used: {LIMIT}\n", "missing key"),
        ("own: {}\n", "own"),
    ],
)
def test_a_file_that_declares_no_own_limit_as_it_must_is_refused(tmp_path: Path, rest: str, says: str) -> None:
    (tmp_path / "cpu.yaml").write_text(ABOUT + rest)
    with pytest.raises(CannotStart, match=says):
        site.apply(profiles.load("cpu"), tmp_path)


def test_a_profile_declares_no_own_limits_itself() -> None:
    text = f"extends: cpu\nmachine: mine\nlab: {{name: x, limits: {{own.x: {LIMIT}}}}}\n"
    with pytest.raises(CannotStart, match="declared in a site profile"):
        profiles.parse(text, Path("mine.yaml"))
