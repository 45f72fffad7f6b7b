"""A room that is cleaned takes its image with it; what was there before, or somebody uses, stays and is named."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dgxcert.container import engine
from dgxcert.outcome import CannotStart
from dgxcert.room.on_host import loaded_images
from dgxcert.room.on_host.agent import Work
from dgxcert.room.on_host.image import Received

OURS, BASE, THEIRS = "sha256:" + "1" * 64, "sha256:" + "2" * 64, "sha256:" + "3" * 64
DOCKER = """#!{python} -I
import json, pathlib, sys
file = pathlib.Path({state!r})
state = json.loads(file.read_text())
images, containers = state["images"], state["containers"]
match sys.argv[1:]:
    case ["image", "ls", "-q", "--no-trunc", "--filter", "label=org.dgxcert.stack"]:
        print("\\n".join(each for each, image in images.items() if image["ours"]))
    case ["image", "inspect", "--format", _, word]:
        if word not in images:
            sys.exit("Error: No such image: " + word)
        print(json.dumps(images[word]["names"]), images[word]["size"])
    case ["ps", "-aq", "--filter", ancestor]:
        print("\\n".join(each for each, image in containers.items() if "ancestor=" + image == ancestor))
    case ["image", "rm", word]:
        if word not in images:
            (image,) = (image for image in images.values() if word in image["names"])
            image["names"].remove(word)
        elif len(images[word]["names"] or []) > 1 or word in containers.values() or images[word].get("children"):
            sys.exit("Error response from daemon: conflict: unable to delete (must be forced)")
        else:
            del images[word]
        file.write_text(json.dumps(state))
    case _:
        sys.exit(9)
"""


class Host:
    """A host with dgxcert's folder, and an engine with images."""

    def __init__(self, folder: Path) -> None:
        self.place, self.state = folder / "dgxcert-room", folder / "engine.json"
        (self.place / "work").mkdir(parents=True)
        self.images: dict[str, dict[str, Any]] = {}
        self.containers: dict[str, str] = {}
        self.has(OURS, "dgxcert:course")

    def has(self, image: str, *names: str, ours: bool = True, **more: Any) -> None:
        """An image is in the engine."""
        self.images[image] = {"names": list(names) or None, "size": 21_000_000_000, "ours": ours, **more}

    def received(self, **loaded: tuple[str, ...]) -> None:
        """A room has handed images on to this host."""
        work = self.place / "work" / "room.receive-1"
        work.mkdir()
        (work / "answer.json").write_text(Received(received=OURS, loaded=loaded).model_dump_json())

    def cleaned(self, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], set[str]]:
        """What is said of images that stay, and which are there then."""
        self.state.write_text(json.dumps({"images": self.images, "containers": self.containers}))
        loaded_images.main(self.place)
        said = [line.removeprefix("dgxcert image=") for line in capsys.readouterr().out.splitlines()]
        return said, set(json.loads(self.state.read_text())["images"])


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    client = tmp_path / "docker"
    client.write_text(DOCKER.format(python="/usr/bin/env -S python3", state=str(made.state)))
    client.chmod(0o755)
    monkeypatch.setattr(engine, "docker", lambda: str(client))
    monkeypatch.setattr(engine, "environment", lambda **_: dict(os.environ))
    return made


def test_an_image_that_the_room_has_loaded_is_removed(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.received(**{OURS: ("dgxcert:course",)})
    assert host.cleaned(capsys) == ([], set())


def test_so_it_is_with_its_name_in_the_registry_and_its_base(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.has(OURS, "dgxcert:course", "registry.lab/x:1")
    host.has(BASE, "standin:1", ours=False)
    host.received(**{OURS: ("dgxcert:course", "registry.lab/x:1"), BASE: ("standin:1",)})
    assert host.cleaned(capsys) == ([], set())


def test_one_that_was_there_before_stays_and_is_named(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.has(THEIRS, "another:1", ours=False)
    host.received()
    said, there = host.cleaned(capsys)
    assert there == {OURS, THEIRS}
    assert said == [
        "image dgxcert:course (21.0 GB) stays: it was there before this room, or was built there. To remove it: docker "
        "image rm dgxcert:course"
    ]


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ({"containers": {"abc": OURS}}, "container abc uses it. To remove it: docker image rm dgxcert:course"),
        ({"names": ["dgxcert:course", "mine:1"]}, f"it has another name, mine:1. To remove it: docker image rm {OURS}"),
        ({"children": True}, "the engine does not remove it, "),
    ],
    ids=["container", "name", "image"],
)
def test_one_that_somebody_uses_stays(
    host: Host, capsys: pytest.CaptureFixture[str], use: dict[str, Any], why: str
) -> None:
    host.received(**{OURS: ("dgxcert:course",)})
    host.containers |= use.pop("containers", {})
    host.images[OURS] |= use
    said, there = host.cleaned(capsys)
    assert (len(said), there) == (1, {OURS})
    assert f"stays: {why}" in said[0]


def test_one_without_a_name_is_named_by_its_id(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.has(OURS)
    assert host.cleaned(capsys)[0][0].endswith(f"docker image rm {OURS}")


def test_nothing_is_removed_while_something_works_there(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    host.received(**{OURS: ("dgxcert:course",)})
    work = Work(host.place, "other")
    work.folder.mkdir()
    with work.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert host.cleaned(capsys) == ([], {OURS})


def test_a_host_without_an_engine_says_nothing(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise CannotStart("no engine", "Install it.")

    monkeypatch.setattr(engine, "docker", missing)
    assert host.cleaned(capsys) == ([], {OURS})


def test_answers_of_other_work_are_no_images(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    for number, answer in enumerate(("", "[]", '{"given": true}')):
        work = host.place / "work" / str(number)
        work.mkdir()
        (work / "answer.json").write_text(answer)
    assert len(host.cleaned(capsys)[0]) == 1
