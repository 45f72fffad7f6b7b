"""Every host is sent what it lacks, and begins what was asked for."""

import json
from pathlib import Path

import pytest

from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import RuntimeChoice
from dgxcert.outcome import CannotStart
from dgxcert.plan.suite import Suite
from dgxcert.room import answers
from dgxcert.room.delivery import commands, variables, wheels
from dgxcert.room.delivery.archive import Archive
from dgxcert.room.delivery.package import Package
from dgxcert.room.delivery.variables import Delivery
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import Stage

ROOM = "2026-12-01T02-00-00Z-room"
SAID = answers.parse("dgxcert architecture=aarch64\ndgxcert python=3.12 /usr/bin/python3\ndgxcert answered=yes\n")
PREPARED = Host("a", "10.0.0.1", profile="dgx-spark", environment="/opt/lab")
BARE = Host("b", "10.0.0.2", profile="dgx-spark")


@pytest.fixture
def package(tmp_path: Path) -> Package:
    (tmp_path / wheels.LOCK).write_text("rich==1 \\\n    --hash=sha256:0a\n")
    suite = Suite(version="1", commit="c" * 40, modified=False, sha256="a" * 64)
    return Package(suite, tmp_path, Archive(tmp_path / "suite.tgz", "5" * 64, "c" * 40))


def delivered(package: Package, host: Host, options: RoomOptions) -> tuple[list[str], dict[str, str]]:
    """What is sent to a host, and what is made there."""
    said = Delivery(ROOM, options, package).variables(Stage.DELIVERS, [host], {host.name: SAID})
    return [file["target"] for file in said["files"][host.name]], json.loads(said["requests"][host.name])


def test_a_prepared_host_is_sent_the_suite_alone(package: Package) -> None:
    targets, request = delivered(package, PREPARED, RoomOptions())
    assert targets[2:] == [f"~/dgxcert-room/suite/{'c' * 40}.tgz"]
    assert (request["prepared"], request["wheels_sha256"], request["commit"]) == ("/opt/lab", "", "c" * 40)


def test_wheels_are_fetched_once_for_hosts_that_are_alike(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[tuple[list[str], tuple[int, int], str]] = []

    def fetch(lines: list[str], python: tuple[int, int], architecture: str, cache: Path) -> Archive:
        fetched.append((lines, python, architecture))
        return Archive(cache / "wheels.tar", "7" * 64, "wheels")

    monkeypatch.setattr(wheels, "fetch", fetch)
    delivery = Delivery(ROOM, RoomOptions(), package)
    hosts = [BARE, Host("c", "10.0.0.3", profile="dgx-spark")]
    said = delivery.variables(Stage.DELIVERS, hosts, {"b": SAID, "c": SAID})
    assert fetched == [(["rich==1 --hash=sha256:0a"], (3, 12), "aarch64")]
    assert {json.loads(request)["wheels_sha256"] for request in said["requests"].values()} == {"7" * 64}
    environment = delivery.environment(BARE, SAID)
    assert f"~/dgxcert-room/environment/{environment}.tar" in [file["target"] for file in said["files"]["c"]]


def test_an_environment_has_another_name_with_another_python_suite_or_set_of_packages(package: Package) -> None:
    other = answers.parse("dgxcert architecture=aarch64\ndgxcert python=3.11 /usr/bin/python3\ndgxcert answered=yes\n")
    newer = Package(package.suite, package.root, Archive(package.archive.path, "6" * 64, "d" * 40))
    names = [Delivery(ROOM, RoomOptions(), each).environment(BARE, SAID) for each in (package, newer)]
    names += [Delivery(ROOM, RoomOptions(), package).environment(host, other) for host in (BARE, PREPARED)]
    (package.root / wheels.LOCK).write_text("rich==2 \\\n    --hash=sha256:0a\n")
    names.append(Delivery(ROOM, RoomOptions(), package).environment(BARE, SAID))
    assert len(set(names)) == 5


def test_a_native_validation_without_a_prepared_environment_is_refused_with_a_reason(package: Package) -> None:
    targets, request = delivered(package, BARE, RoomOptions(runtime=RuntimeChoice.NATIVE))
    assert [Path(target).name for target in targets] == list(variables.PROGRAMS)
    assert "dgxcert_environment" in request["cannot"]


def test_waivers_and_site_profiles_are_handed_on(package: Package, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "dgx-spark.yaml").touch()
    options = RoomOptions(waivers=str(tmp_path / "mine.yaml"), site=str(tmp_path / "site"))
    targets, _ = delivered(package, PREPARED, options)
    given = f"~/dgxcert-room/work/{ROOM}/given"
    assert targets[-2:] == [f"{given}/waivers.yaml", f"{given}/site/dgx-spark.yaml"]
    args = commands.validation(PREPARED, options, ROOM)
    assert args[args.index("--site") + 1] == f"{commands.HERE}/work/{ROOM}/given/site"


def test_a_host_begins_what_was_asked_for(package: Package) -> None:
    options = RoomOptions(tier=Tier.BURN_IN, minutes=5, only=("GPU", "HUB"), build=False, image="lab:1")
    said = Delivery(ROOM, options, package).variables(Stage.BEGINS, [PREPARED], {"a": SAID})
    program = " ".join(said["programs"]["a"])
    assert program.startswith("{place}/environment/")
    for part in ("--minutes 5", "--only GPU,HUB", "--no-build", "--image lab:1", f"--results {{place}}/results/{ROOM}"):
        assert part in program


def test_a_host_that_was_not_asked_is_no_guess(package: Package) -> None:
    with pytest.raises(CannotStart, match="was not asked for its Python"):
        Delivery(ROOM, RoomOptions(), package).variables(Stage.DELIVERS, [BARE], {"b": answers.Answers()})
