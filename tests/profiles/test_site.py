"""A site profile only tightens limits of the shipped profile; whatever else it holds is refused by name."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from suites.site_profile import CONTENT, SPARK
from suites.site_profile import write as written

from dgxcert.certificate.origin import profile_problem
from dgxcert.outcome import CannotStart
from dgxcert.profiles import profile as profiles
from dgxcert.profiles import site
from dgxcert.profiles.profile import Profile


def test_a_tightened_limit_replaces_the_shipped_one_and_names_its_site(tmp_path: Path) -> None:
    path = written(tmp_path)
    held = site.apply(SPARK, path)
    assert held.limits["bandwidth.copy"].min == pytest.approx(217)
    assert held.limits["temperature.under_load"].max == 80
    assert held.limits["bandwidth.copy"].source.endswith("; site profile dgx-spark of Ada Lovelace")
    assert {name for name in held.limits if held.limits[name] != SPARK.limits[name]} == set(CONTENT["limits"])
    assert list(held.limits) == list(SPARK.limits)
    assert held.site is not None
    assert held.site.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert held.certifies
    assert held.without_site == SPARK
    assert held.sha256 != SPARK.sha256
    assert profile_problem(held) == ""


def test_a_folder_holds_one_file_for_each_profile(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert site.apply(SPARK, tmp_path) == site.apply(SPARK, path)
    with pytest.raises(CannotStart, match=r"h200\.yaml cannot be read: No such file"):
        site.apply(profiles.load("h200"), tmp_path)


def limit(name: str, /, **about: object) -> Callable[[dict[str, Any]], object]:
    """Another limit in the file."""
    usual = {"basis": "measured", "source": "mine"}
    return lambda content: content["limits"].update({name: usual | about})


def key(**about: object) -> Callable[[dict[str, Any]], object]:
    """Another key in the file."""
    return lambda content: content.update(about)


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a minimum lowered": (limit("bandwidth.copy", min=100, unit="GB/s"), "min 100 is looser than the 170 that ships"),
    "a minimum lowered by its margin": (
        limit("bandwidth.copy", reading=[228], margin=0.9, unit="GB/s"),
        "min 23 is looser than the 170 that ships",
    ),
    "a maximum raised": (limit("swap.used", max=64, unit="GiB"), "max 64 is looser than the 2 that ships"),
    "a negative minimum": (limit("bandwidth.copy", min=-1, unit="GB/s"), "min -1 is looser than the 170"),
    "one edge tightened, the other loosened": (
        limit("device.memory", min=119, max=999, unit="GiB"),
        "max 999 is looser than the 123 that ships",
    ),
    "one edge removed": (limit("device.memory", min=119, unit="GiB"), "max: wanted 123, as it ships"),
    "one edge added": (limit("swap.used", min=0, max=1, unit="GiB"), "min: wanted none, as it ships"),
    "another direction": (
        limit("bandwidth.copy", reading=[228], margin=0.1, direction="max", unit="GB/s"),
        "min: wanted 170, as it ships, or tighter; found none",
    ),
    "another unit": (limit("bandwidth.copy", min=200, unit="MB/s"), "wanted the unit that ships, 'GB/s'"),
    "another form of unit": (limit("decode.bf16.tuned.single", min=20, unit="token/s"), "wanted the unit that ships"),
    "an exact value": (limit("gpu.product", equals="NVIDIA GB11", unit=""), "`equals` cannot be tightened"),
    "an exact value in place of a minimum": (limit("bandwidth.copy", equals=1, unit="GB/s"), "cannot be tightened"),
    "no number": (limit("bandwidth.copy", min=float("nan"), unit="GB/s"), "finite number"),
    "infinity": (limit("swap.used", max=float("-inf"), unit="GiB"), "finite number"),
    "text": (limit("bandwidth.copy", min="fast", unit="GB/s"), "valid number"),
    "another name": (limit("bandwidth.copy", name="swap.used", min=200, unit="GB/s"), "wanted bandwidth.copy"),
    "what ships": (limit("bandwidth.copy", min=170, unit="GB/s"), "it is no tighter than the 170 that ships"),
    "no basis": (lambda content: content["limits"]["bandwidth.copy"].pop("basis"), "missing key 'basis'"),
    "a limit removed": (lambda content: content["limits"].update({"bandwidth.copy": None}), "bandwidth.copy"),
    "a limit of no quantity": (limit("bandwidth.cpoy", min=1, unit="GB/s"), "did you mean 'bandwidth.copy'"),
    "a limit that the profile lacks": (limit("gpu.ecc", equals=True, unit=""), "the profile has no such limit"),
    "no limit": (key(limits={}), "limits"),
    "an extended file": (key(extends="./loose.yaml"), "unknown key 'extends'"),
    "workload sizes": (key(workloads={"matmul": {"size": 8}}), "unknown key 'workloads'"),
    "peaks": (key(physical={}), "unknown key 'physical'"),
    "memory": (key(memory={"margin": {"value": 1, "unit": "GiB"}}), "unknown key 'memory'"),
    "exclusions": (key(not_applicable={"GPU-XID": "no"}), "unknown key 'not_applicable'"),
    "checkpoints": (key(checkpoints=[]), "unknown key 'checkpoints'"),
    "certifies": (key(certifies=True), "unknown key 'certifies'"),
    "a match": (key(match={"product": "any"}), "unknown key 'match'"),
    "another profile": (key(tightens="h200"), "tightens h200, and this machine is validated by dgx-spark"),
    "another version": (key(profile_sha256="00" * 32), "another version of dgx-spark"),
    "two runs": (lambda content: content["runs"].pop(), "at least 3 items"),
    "one run twice": (lambda content: content["runs"][2].update(sha256="1" * 64), "two of them have the sha256"),
    "one name twice": (lambda content: content["runs"][2].update(name="run-1"), "two of them have the name run-1"),
    "nobody": (key(who=" "), "who"),
    "no hash of a run": (lambda content: content["runs"][0].update(sha256="abc"), "runs.0.sha256"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_whatever_else_it_holds_is_refused(tmp_path: Path, change: str) -> None:
    how, message = REFUSED[change]
    with pytest.raises(CannotStart) as caught:
        site.apply(SPARK, written(tmp_path, how))
    assert message in str(caught.value)
    assert str(tmp_path / "dgx-spark.yaml") in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "limits: [", "limits: {}\nlimits: {}", "\x00", "a: b"])
def test_what_is_no_site_profile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dgx-spark.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CannotStart, match=r"dgx-spark\.yaml"):
        site.apply(SPARK, path)


def test_a_users_own_profile_is_not_tightened(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: dgx-spark\ncertifies: false\n", encoding="utf-8")
    with pytest.raises(CannotStart, match="mine is a user's own"):
        site.apply(profiles.load(str(mine)), written(tmp_path))


def test_a_profile_is_not_tightened_twice(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="another version of dgx-spark"):
        site.apply(site.apply(SPARK, written(tmp_path)), tmp_path)


def test_a_users_profile_cannot_claim_a_site(tmp_path: Path) -> None:
    recorded = site.apply(SPARK, written(tmp_path)).model_dump(mode="json") | {"name": "mine"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(recorded), encoding="utf-8")
    with pytest.raises(CannotStart, match="site: a profile holds no site profile"):
        profiles.load(str(path))


Forgery = Callable[[dict[str, Any]], object]

FORGED: dict[str, Forgery] = {
    "a looser limit": lambda content: content["limits"]["bandwidth.copy"].update(min=1),
    "a looser limit beside it": lambda content: content["limits"]["bandwidth.read"].update(min=1),
    "a looser shipped limit": lambda content: content["site"]["shipped"]["bandwidth.copy"].update(min=1),
    "a smaller workload": lambda content: content["workloads"]["matmul"].update(size=64),
    "an exclusion": lambda content: content["not_applicable"].update({"GPU-XID": "no"}),
    "a higher peak": lambda content: content["physical"]["memory_bandwidth"].update(value=9999),
    "a limit that does not ship": lambda content: content["site"]["shipped"].update(
        {"gpu.ecc": content["limits"]["swap.used"] | {"name": "gpu.ecc"}}
    ),
    "no run": lambda content: content["site"].update(runs=[]),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_record_in_which_a_site_did_more_than_tighten_is_not_read(tmp_path: Path, forged: str) -> None:
    content = json.loads(site.apply(SPARK, written(tmp_path)).model_dump_json())
    assert Profile.model_validate(content).site is not None
    FORGED[forged](content)
    with pytest.raises(ValidationError):
        Profile.model_validate(content)


def test_a_forged_hash_of_the_shipped_profile_differs_from_what_ships(tmp_path: Path) -> None:
    content = json.loads(site.apply(SPARK, written(tmp_path)).model_dump_json())
    content["limits"]["bandwidth.read"]["min"] = 1.0
    forged = Profile.model_validate(content | {"site": None})
    content["site"]["shipped_sha256"] = forged.model_copy(
        update={"limits": forged.limits | {name: SPARK.limits[name] for name in CONTENT["limits"]}}
    ).sha256
    assert "bandwidth.read" in profile_problem(Profile.model_validate(content))
