"""The image on a host of a room: built on the first, handed on through a pipe, and proved where it arrives.

    python -m dgxcert.room.on_host.image build|give|receive REQUEST

The delivered dgxcert runs this on the host, begun by the agent there. What it found is in `answer.json` in its folder.
A pipe with a name joins it to the controller's SSH: whoever logs in may be another user than who may use the engine.
Where no byte passes for a while it ends by itself, so that nothing is left when the controller is gone.
"""

import contextlib
import json
import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict

from dgxcert import command
from dgxcert.container import builder, builds, engine
from dgxcert.container.builds import Build
from dgxcert.files import atomic
from dgxcert.machine.image import difference
from dgxcert.outcome import CannotStart

ANSWER = "answer.json"
IDLE_S, REGISTRY_S = 60.0, 3 * 3600.0
BLOCK = 1 << 20


class Receipt(BaseModel):
    """What the host that has built an image says of it; where it arrives, the engine there must compute the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: str
    build: Build
    layers: tuple[str, ...]
    size_bytes: int
    beside: str = ""
    """The base image, where no registry has it by its digest: without it the recipe is unknown elsewhere."""
    pushed: str = ""
    """Its name in the lab's registry; "" where it is not there."""


class Request(BaseModel):
    """What is to be done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stack: str = "course"
    reference: str = ""
    base: str = ""
    registry: str = ""
    pipe: str = ""
    """The folder of the pipe with a name."""
    receipt: Receipt | None = None


class Received(BaseModel):
    """How an image came to a host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    received: str
    """Its id."""
    loaded: dict[str, tuple[str, ...]] = {}
    """The images that were not there before, by id, with the names that they were given."""


def main() -> None:
    """Do what is asked; the exit code is 3 with a sentence where it cannot be done."""
    verb, request = sys.argv[1], Request.model_validate_json(sys.argv[2])
    try:
        answer = VERBS[verb](request)
    except (CannotStart, OSError) as error:
        print(f"dgxcert: {error}", flush=True)  # noqa: T201 (the log of its work)
        sys.exit(3)
    atomic.write_text(Path(ANSWER), answer)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 (the log of its work)


def build(request: Request) -> str:
    """Build the image, or find it built; with a registry it is put there."""
    reference = request.reference or f"dgxcert:{request.stack}"
    image = builder.ensure(reference, request.stack, request.base, build=True, show=_say)
    recipe = builder.recipe(request.stack, request.base)
    known = builds.find(image.id, recipe.labels)
    if known is None:
        raise CannotStart(f"Image {reference} is built, and the record of it cannot be kept.", "Look: df -h")
    pushed = _push(reference, request.registry, recipe.suite_sha256, image.architecture) if request.registry else ""
    beside = "" if "@" in recipe.base else recipe.base
    layers, size = image.layers, image.size_bytes
    receipt = Receipt(reference=reference, build=known, layers=layers, size_bytes=size, beside=beside, pushed=pushed)
    return receipt.model_dump_json()


def _push(reference: str, registry: str, suite: str, architecture: str) -> str:
    """Its name in the registry; "" where that takes nothing from here, which is said, and hands it on from here."""
    name = f"{registry}:{suite[:16]}-{architecture}"
    for args in (["tag", reference, name], ["push", name]):
        done = engine.run(*args, timeout_s=REGISTRY_S)
        if done.returncode != 0:
            _say(f"registry {registry} does not take the image, which is handed on from here: {done.complaint}")
            return ""
    return name


def give(request: Request) -> str:
    """Write the image, and what it needs beside it, into the pipe."""
    receipt = _receipt(request)
    names = [receipt.reference, *([receipt.beside] if receipt.beside else [])]
    with _pipe(request.pipe, 0o644), _client("save", *names) as saving:
        out = _opened(request.pipe, os.O_WRONLY, time.monotonic() + IDLE_S)
        try:
            while data := saving.stdout.read(BLOCK):
                _write(out, data)
        finally:
            os.close(out)
        _require_end(saving, "docker save")
    return json.dumps({"given": True})


def receive(request: Request) -> str:
    """Load the image from the pipe or from the registry, and keep it as ours once it is proved."""
    receipt = _receipt(request)
    names = tuple(filter(None, (receipt.reference, receipt.pushed)))
    before = _names_by_id(*names, receipt.beside)
    if not _is_proved(receipt):
        _pull(receipt) if receipt.pushed else _load(request.pipe)
    if not _is_proved(receipt):
        found = builder.find(receipt.reference)
        raise CannotStart(
            f"What arrived is not the image that was handed on: wanted {receipt.build.id}, "
            f"found {found.id if found else 'none'}.",
            "Engines of another kind count images otherwise. Compare both: docker info",
        )
    if problem := builds.keep(receipt.build):
        raise CannotStart(f"{problem}.", "Look: df -h")
    after = {**_names_by_id(receipt.beside), **_names_by_id(receipt.reference)}
    loaded = {
        each: names if each == receipt.build.id else (name,) for each, name in after.items() if each not in before
    }
    return Received(received=receipt.build.id, loaded=loaded).model_dump_json()


def _names_by_id(*names: str) -> dict[str, str]:
    """The images that are here under these names; "" names none."""
    return {image.id: name for name in names if name and (image := builder.find(name)) is not None}


def _is_proved(receipt: Receipt) -> bool:
    """Whether the engine here has the image, by the id and the layers that it computes itself, from this recipe."""
    image = builder.find(receipt.reference)
    if image is None or (image.id, image.layers) != (receipt.build.id, receipt.layers):
        return False
    wanted = builder.recipe(image.stack, image.base)
    return receipt.build.labels == wanted.labels and not difference(image, wanted)


def _load(folder: str) -> None:
    with _pipe(folder, 0o622), _client("load") as loading:
        into = _opened(folder, os.O_RDONLY, time.monotonic() + IDLE_S)
        try:
            while data := _read(into):
                _write(loading.stdin.fileno(), data)
        finally:
            os.close(into)
            with contextlib.suppress(BrokenPipeError):
                loading.stdin.close()
        _require_end(loading, "docker load")


def _pull(receipt: Receipt) -> None:
    for args in (["pull", "-q", receipt.pushed], ["tag", receipt.pushed, receipt.reference]):
        done = engine.run(*args, timeout_s=REGISTRY_S)
        if done.returncode != 0:
            raise CannotStart(
                f"The registry does not give the image: {done.complaint}.", "Log in to it there, and call this again."
            )


def _receipt(request: Request) -> Receipt:
    if request.receipt is None:
        raise CannotStart("No receipt was handed over.", "Report this.")
    return request.receipt


@contextlib.contextmanager
def _pipe(folder: str, mode: int) -> Iterator[None]:
    """A pipe that other users can use who know its folder's name, which nobody can list."""
    path = Path(folder)
    path.mkdir(0o700)
    try:
        os.mkfifo(path / "pipe")
        os.chmod(path / "pipe", mode)
        os.chmod(path, 0o711)  # noqa: S103 (its name is the secret)
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _opened(folder: str, way: int, end_s: float) -> int:
    """Open the pipe once the controller has its other end. Raises CannotStart where it does not come."""
    path = Path(folder) / "pipe"
    if way == os.O_RDONLY:
        handle = os.open(path, way | os.O_NONBLOCK)
        if not select.select([handle], [], [], end_s - time.monotonic())[0]:
            os.close(handle)
            raise CannotStart("The controller sent nothing.", "Call it again.")
        return handle
    while True:
        try:
            return os.open(path, way | os.O_NONBLOCK)
        except OSError:
            if time.monotonic() > end_s:
                raise CannotStart("The controller took nothing.", "Call it again.") from None
            time.sleep(0.1)


def _read(handle: int) -> bytes:
    if not select.select([handle], [], [], IDLE_S)[0]:
        raise CannotStart(f"Nothing more came for {IDLE_S:.0f} s.", "Call it again.")
    return os.read(handle, BLOCK)


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        if not select.select([], [handle], [], IDLE_S)[1]:
            raise CannotStart(f"Nothing more was taken for {IDLE_S:.0f} s.", "Call it again.")
        with contextlib.suppress(BlockingIOError):
            view = view[os.write(handle, view[:65536]) :]


class _Client:
    """A client of the engine with its pipes."""

    def __init__(self, args: tuple[str, ...], errors: IO[bytes]) -> None:
        self._process = command.start_piped(
            [engine.docker(), *args], output=errors, cwd=Path.cwd(), env=engine.environment()
        )
        self.stdin, self.stdout = _there(self._process.stdin), _there(self._process.stdout)

    def ends(self) -> int | None:
        """Its exit code, once it ends; None where it does not."""
        return self._process.returncode if command.ends(self._process, 600.0) else None

    def close(self) -> None:
        """Kill it where it still runs."""
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        command.end_group(self._process)


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise CannotStart("A client of the engine has no pipe.", "Report this.")
    return pipe


@contextlib.contextmanager
def _client(*args: str) -> Iterator[_Client]:
    with Path("engine.log").open("ab") as errors:
        client = _Client(args, errors)
        try:
            yield client
        finally:
            client.close()


def _require_end(client: _Client, what: str) -> None:
    if (code := client.ends()) != 0:
        said = Path("engine.log").read_bytes()[-300:].decode(errors="replace").strip()
        raise CannotStart(f"`{what}` ended with {code}: {said or 'it said nothing'}.", "Look: docker info")


VERBS = {"build": build, "give": give, "receive": receive}

if __name__ == "__main__":
    main()
