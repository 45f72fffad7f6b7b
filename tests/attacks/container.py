"""The container: an inside that does its worst, as two users and with a real engine, changes nothing but its own."""

import contextlib
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from attacks.attack import Attack, Ending, Harm, Missing, Try, typed

from dgxcert.container import builder, engine, handover
from dgxcert.files import untrusted
from dgxcert.files.folder import Folder
from dgxcert.files.untrusted import UnfitError
from dgxcert.machine.image import LABEL_RECIPE
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite

WORST = Path(__file__).with_name("worst.py")
MARK = "between-us"
"""Part of every secret that the host holds meanwhile."""
USER, OTHER = 54_321, 4_711
START_S = 90.0
MEMORY = 256 * 2**20
LIMITS = {"DGXCERT_MEMORY": str(MEMORY), "DGXCERT_TMP": "16m", "DGXCERT_SHM": "64m"}
BOMB = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"
GREED = "held = []\nwhile True: held.append(bytearray(b'x') * 2**24)\n"


class Place:
    """The service with the attack's own project, results and secrets."""

    def __init__(self, folder: Path, image: str, user: int) -> None:
        self.folder, self.user = folder / str(user), user
        self.run, self.inside = self.folder / "run", self.folder / "run" / "inside"
        self.inside.mkdir(parents=True)
        self.project = f"dgxcert-attack-{uuid4().hex[:8]}"
        self.precious = [folder / str(user) / "precious", self.run / "records.jsonl", self.folder / "token"]
        for path in self.precious:
            path.write_text(f"precious {MARK}")
        os.chown(self.inside, user, user)
        self.settings = {
            **LIMITS,
            "DGXCERT_IMAGE": image,
            "DGXCERT_UID": str(user),
            "DGXCERT_GID": str(user),
            "DGXCERT_RESULTS": str(self.inside),
            "HF_TOKEN_FILE": str(self.folder / "token"),
            "HTTPS_PROXY": f"http://me:{MARK}@127.0.0.1:9",
        }

    def compose(self, *words: str) -> list[str]:
        return [*engine.compose(), "-p", self.project, "-f", str(suite.root() / "compose.yaml"), *words]

    def shell(self, script: str, *arguments: str, limit_s: float = START_S, **settings: str) -> Ending:
        """Type a Python program into a container."""
        (self.folder / "typed").write_text(f"exec python3 - {' '.join(arguments)} <<'END'\n{script}\nEND\n")
        words = self.compose("run", "--rm", "-T", "--name", f"{self.project}-it", "cpu", "shell")
        line = " ".join([*map(_quoted, words), "<", _quoted(str(self.folder / "typed"))])
        environment = engine.environment(**{**self.settings, **settings})
        return typed(["sh", "-c", line], folder=self.folder, limit_s=limit_s, **environment)

    def remove(self) -> None:
        """Remove what the attack left: containers, network and the cache's volume."""
        engine.run("rm", "--force", f"{self.project}-it")
        done = self.compose("--profile", "cpu", "down", "--volumes")
        env = engine.environment(**self.settings)
        subprocess.run(done, env=env, capture_output=True, check=False, timeout=START_S)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def image() -> str:
    """An image that this checkout's recipe made. Raises Missing without an engine or such an image."""
    try:
        recipe = builder.recipe("course", "sha256:none@sha256:none").recipe_sha256
        listed = engine.run("images", "--quiet", "--no-trunc", "--filter", f"label={LABEL_RECIPE}={recipe}")
    except (CannotStart, OSError) as error:
        raise Missing(f"no container engine: {error}") from error
    if listed.returncode != 0:
        raise Missing("no container engine answers")
    if os.getuid() != 0:
        raise Missing("root, which looks after two users")
    if not listed.stdout.split():
        raise Missing("no image of this checkout: dgxcert image")
    return listed.stdout.split()[0]


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """All attempts as root and as another user, then bombs, then what the host reads of what they left."""
    name = image()
    for user in (USER,) if quick else (USER, 0):
        place = Place(folder, name, user)
        try:
            with bystander(user) as host:
                yield from worst(place)
                yield from bombs(place)
                yield from hidden(place)
                yield Try(
                    f"{user}: signals", None if host.poll() is None else Harm.ESCAPE, "a process of the host died"
                )
            yield from left_alone(place)
            yield from read_back(place)
        finally:
            place.remove()


@contextlib.contextmanager
def bystander(user: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the same user on the host, with a secret in its environment, and shared memory beside it."""
    shared = Path(tempfile.mkdtemp(prefix=f"{MARK}-", dir="/dev/shm"))
    own = {**os.environ, "SECRET": MARK}
    process = subprocess.Popen(["sleep", "300"], env=own, user=user, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        shared.rmdir()


def worst(place: Place) -> Iterator[Try]:
    """Every attempt of worst.py must have failed; another user has a cache already."""
    other = OTHER if place.user != OTHER else OTHER + 7
    results = place.folder / "another"
    results.mkdir()
    os.chown(results, other, other)
    own = {"DGXCERT_UID": str(other), "DGXCERT_GID": str(other), "DGXCERT_RESULTS": str(results), "HF_TOKEN_FILE": ""}
    ready = place.shell("print('cached')", **own)
    yield _ended(f"{place.user}: a cache for user {other}", ready)
    ended = place.shell(WORST.read_text(encoding="utf-8"), str(other))
    yield _ended(f"{place.user}: its worst", ended)
    made = [line.split("\t") for line in ended.output.splitlines() if line.count("\t") == 1]
    if len(made) < 40:
        yield Try(f"{place.user}: attempts", Harm.WRONG, f"only {len(made)} were made: {ended.output[-1500:]}")
    for name, why in made:
        yield Try(f"{place.user}: {name}", Harm.ESCAPE if why == "done" else None, why)


def bombs(place: Place) -> Iterator[Try]:
    """Forks, memory and signals end the container itself at most, and the engine removes it."""
    programs = {
        "forks without end": BOMB,
        "memory without end": GREED,
        "kills everything": "import os; os.kill(-1, 9)",
        "kills the first process": "import os\ntry: os.kill(1, 9)\nexcept OSError: pass",
    }
    for name, program in programs.items():
        place.shell(program, limit_s=12)  # it may live on, as a bomb does
        began = time.monotonic()
        removed = engine.run("rm", "--force", f"{place.project}-it", timeout_s=30)
        gone = removed.returncode == 0 or "No such container" in removed.stderr
        alive = subprocess.run(["true"], check=False, timeout=10).returncode == 0
        harm = None if gone and alive else Harm.HANG
        yield Try(f"{place.user}: {name}", harm, f"removed after {time.monotonic() - began:.0f} s: {removed.stderr}")


def hidden(place: Place) -> Iterator[Try]:
    """Neither token nor proxy is in what the engine shows or in a list of processes."""
    exchange = Path(tempfile.mkdtemp(prefix="x-", dir=place.folder))
    given = handover.Handover(f"hf_{MARK}", {"HTTPS_PROXY": f"http://me:{MARK}@127.0.0.1:9"})
    handover.offer(exchange, given)
    words = place.compose("run", "-d", "--name", f"{place.project}-it", "cpu", "shell")
    environment = {**place.settings, "DGXCERT_EXCHANGE": str(exchange), "HF_TOKEN_FILE": ""}
    typed(["sh", "-c", " ".join(map(_quoted, words))], folder=place.folder, **engine.environment(**environment))
    shown = engine.run("inspect", f"{place.project}-it").stdout
    lists = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    engine.run("rm", "--force", f"{place.project}-it")
    if "HTTPS_PROXY" not in shown:
        yield Try(f"{place.user}: inspect", Harm.WRONG, "no container was started")
    yield Try(f"{place.user}: inspect", Harm.LEAK if MARK in shown else None, "docker inspect shows a secret")
    leaks = any(MARK.encode() in line for line in lists)
    yield Try(f"{place.user}: arguments", Harm.LEAK if leaks else None, "a list of processes shows a secret")
    left = [path.name for path in exchange.iterdir()]
    yield Try(f"{place.user}: files", Harm.LEAK if left else None, f"{left} are left of the hand-over")


def left_alone(place: Place) -> Iterator[Try]:
    """Nothing of the host was changed."""
    for path in place.precious:
        same = path.read_text() == f"precious {MARK}"
        yield Try(f"{place.user}: {path.name}", None if same else Harm.ESCAPE, "a file of the host was changed")
    names = sorted(path.name for path in place.run.iterdir())
    same = names == ["inside", "records.jsonl"]
    yield Try(f"{place.user}: the run folder", None if same else Harm.ESCAPE, f"it holds {names}")
    devices = [path for path in place.inside.rglob("*") if stat.S_ISBLK(path.lstat().st_mode)]
    yield Try(f"{place.user}: devices", Harm.ESCAPE if devices else None, f"{devices}")


def read_back(place: Place) -> Iterator[Try]:
    """What it left is read as what it is: nothing is followed, nothing waited for, and only so much read."""
    for path in sorted(place.inside.iterdir()):
        harm, shown = None, ""
        try:
            with Folder.opened(place.inside) as inside:
                content = inside.read_bytes(path.name, at_most=untrusted.MIB)
            harm = Harm.ESCAPE if b"root:" in content or MARK.encode() in content else None
        except UnfitError as error:
            shown = str(error)
        yield Try(f"{place.user}: read {path.name!a}", harm, shown)


def _ended(name: str, ending: Ending) -> Try:
    if ending.returncode is None:
        return Try(name, Harm.HANG, ending.output[-1500:])
    return Try(name, Harm.WRONG if ending.returncode else None, ending.output[-1500:])


ATTACK = Attack("container", "links, devices, bombs, signals, others' caches and secrets, with a real engine", tries)
