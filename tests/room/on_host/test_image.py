"""An image that arrives is ours only where the engine here computes the same id and layers, from the same recipe."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.container import builder, builds, engine
from dgxcert.container.builds import Build
from dgxcert.machine.image import Image, Recipe
from dgxcert.outcome import CannotStart
from dgxcert.room.on_host import image
from dgxcert.room.on_host.image import Receipt, Received, Request

RECIPE = Recipe(
    stack="course", base="b@sha256:5", base_digest="sha256:5", lock_sha256="l", suite_sha256="s", recipe_sha256="r"
)
OURS = Image(
    **RECIPE.model_dump(),
    reference="dgxcert:course",
    id="sha256:1",
    architecture="arm64",
    commit="c",
    size_bytes=9,
    untouched=True,
    layers=("a", "b"),
)
RECEIPT = Receipt(
    reference=OURS.reference,
    build=Build(id=OURS.id, labels=RECIPE.labels, on_base=True),
    layers=OURS.layers,
    size_bytes=OURS.size_bytes,
)
DOCKER = """#!/bin/sh
case "$1" in
save) printf 'the image %s' "$*" ;;
load) cat >{folder}/loaded ;;
push | tag) echo "$*" >>{folder}/said ;;
pull) echo "$*" >>{folder}/said; touch {folder}/loaded ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A host whose engine has an image once one was loaded."""
    made = SimpleNamespace(loads=OURS, folder=tmp_path)
    client = tmp_path / "docker"
    client.write_text(DOCKER.format(folder=tmp_path))
    client.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(engine, "docker", lambda: str(client))
    monkeypatch.setattr(engine, "environment", lambda **_: dict(os.environ))
    monkeypatch.setattr(builder, "recipe", lambda *_: RECIPE)
    monkeypatch.setattr(builder, "find", lambda _: made.loads if (tmp_path / "loaded").exists() else None)
    return made


def send(pipe: Path, data: bytes) -> threading.Thread:
    """Write into the pipe once it is there, as the controller's ssh does."""
    line = f"until [ -p {pipe}/pipe ]; do sleep 0.05; done; exec cat >{pipe}/pipe"
    thread = threading.Thread(target=subprocess.run, args=(["sh", "-c", line],), kwargs={"input": data, "timeout": 20})
    thread.start()
    return thread


def receive(host: SimpleNamespace) -> str:
    pipe = host.folder / "p"
    thread = send(pipe, b"content")
    try:
        return image.receive(Request(pipe=str(pipe), receipt=RECEIPT))
    finally:
        thread.join()
        assert not pipe.exists()


def test_what_arrives_whole_is_kept_as_ours(host: SimpleNamespace) -> None:
    answer = Received.model_validate_json(receive(host))
    assert answer == Received(received=OURS.id, loaded={OURS.id: ("dgxcert:course",)})
    assert (host.folder / "loaded").read_bytes() == b"content"
    assert builds.find(OURS.id, RECIPE.labels) == RECEIPT.build


@pytest.mark.parametrize(
    "other",
    [
        {"id": "sha256:2"},
        {"layers": ("a", "x")},
        {"untouched": False},
        {"suite_sha256": "another"},
    ],
)
def test_anything_else_is_not_ours_whatever_its_labels_say(host: SimpleNamespace, other: dict[str, object]) -> None:
    host.loads = OURS.model_copy(update=other)
    with pytest.raises(CannotStart, match="not the image that was handed on"):
        receive(host)
    assert builds.find(OURS.id, RECIPE.labels) is None


def test_a_receipt_for_another_recipe_proves_nothing(host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "recipe", lambda *_: RECIPE.model_copy(update={"lock_sha256": "another"}))
    with pytest.raises(CannotStart, match="not the image that was handed on"):
        receive(host)


def test_what_is_here_already_is_not_sent_again(host: SimpleNamespace) -> None:
    (host.folder / "loaded").touch()
    answer = Received.model_validate_json(image.receive(Request(pipe=str(host.folder / "p"), receipt=RECEIPT)))
    assert answer == Received(received=OURS.id, loaded={})


def test_it_is_given_with_the_base_image_that_no_registry_has(host: SimpleNamespace) -> None:
    pipe = host.folder / "p"
    line = f"until [ -p {pipe}/pipe ]; do sleep 0.05; done; exec cat <{pipe}/pipe"
    with subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE) as taker:
        image.give(Request(pipe=str(pipe), receipt=RECEIPT.model_copy(update={"beside": "standin:1"})))
        assert taker.communicate(timeout=20)[0] == b"the image save dgxcert:course standin:1"
    assert not pipe.exists()


def test_it_is_taken_from_the_registry_and_proved_in_the_same_way(host: SimpleNamespace) -> None:
    image._push("dgxcert:course", "registry.lab/x", "s" * 64, "arm64")
    request = Request(receipt=RECEIPT.model_copy(update={"pushed": f"registry.lab/x:{'s' * 16}-arm64"}))
    assert OURS.id in image.receive(request)
    name = f"registry.lab/x:{'s' * 16}-arm64"
    assert (host.folder / "said").read_text().splitlines() == [
        f"tag dgxcert:course {name}",
        f"push {name}",
        f"pull -q {name}",
        f"tag {name} dgxcert:course",
    ]
    (host.folder / "loaded").unlink()
    host.loads = OURS.model_copy(update={"id": "sha256:2"})
    with pytest.raises(CannotStart, match="not the image that was handed on"):
        image.receive(request)


@pytest.mark.parametrize("verb", ["give", "receive"])
def test_a_controller_that_is_gone_leaves_nothing_behind(
    host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(image, "IDLE_S", 0.3)
    with pytest.raises(CannotStart, match="The controller"):
        image.VERBS[verb](Request(pipe=str(host.folder / "p"), receipt=RECEIPT))
    assert not (host.folder / "p").exists()


def test_a_failure_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    args = [sys.executable, "-P", "-m", "dgxcert.room.on_host.image", "give", Request().model_dump_json()]
    done = subprocess.run(args, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "dgxcert: No receipt was handed over. Report this.\n")
