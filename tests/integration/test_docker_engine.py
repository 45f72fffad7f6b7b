"""Every cause that keeps an engine from its work, made for real where that can be done, each with its own words.

An engine of the tests' own is stopped, killed and frozen; what no engine here can be (too old, rootless, of another
processor) is played by recorded answers over a real socket, and asked by the real SDK.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from threading import Thread

import pytest
from needs import missing
from suites import driver

from dgxcert.container import engine
from dgxcert.machine.image import Image
from dgxcert.probes.host import container
from dgxcert.record import run as runs

RECORDED = Path(__file__).parents[1] / "recorded" / "engines"
LIMIT_S = 10.0
"""No cause may take longer to be told."""

ASK = (
    "import dataclasses, json; from dgxcert.container import engine_answer;"
    "print(json.dumps(dataclasses.asdict(engine_answer.ask())))"
)
ASK_AS_NOBODY = (
    "import json, os, docker; from dgxcert.probes.host import docker_engine as e;"
    "os.setgroups([]); os.setgid(65534); os.setuid(65534); print(json.dumps(e.asdict(e.query())))"
)


@dataclass
class PrivateEngine:
    """An engine of the tests' own, with its socket where every client looks, seen by those in `with_its_run` only."""

    process: "subprocess.Popen[bytes]"
    run: Path

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"


def in_its_world(run: Path, *command: str, hide: str = "") -> list[str]:
    """The command line that runs something where `run` is the machine's /run; `hide` is a program that is not there."""
    steps = [f"mount --bind {run} /run"]
    if hide:
        steps.append(f"mount --bind /dev/null {os.path.realpath(hide)}")
    return ["unshare", "--mount", "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *command]


@pytest.fixture(scope="module")
def private(docker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], PrivateEngine]]:
    """Start an engine of the tests' own; a new one each time."""
    dockerd = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if os.getuid() != 0 or dockerd is None:
        missing(
            "root or dockerd, with which engines of the tests' own are started", "Run: sudo scripts/system-packages"
        )
    started: list[PrivateEngine] = []

    def start() -> PrivateEngine:
        folder = tmp_path_factory.mktemp("engine")
        (folder / "run").mkdir()
        socket = folder / "run" / "docker.sock"
        # In a network of its own, since an engine without a bridge removes the one that the machine's engine uses, and
        # with mounts of its own, which then end with it.
        args = ["unshare", "--net", "--mount", str(dockerd), "-H", f"unix://{socket}"]
        args += [
            "--data-root",
            str(folder / "data"),
            "--exec-root",
            str(folder / "exec"),
            "--pidfile",
            str(folder / "pid"),
        ]
        args += ["--pidfile", str(folder / "pid"), "--bridge", "none", "--iptables=false", "--ip-masq=false"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(args, stdout=log, stderr=log, start_new_session=True)
        made = PrivateEngine(process, folder / "run")
        started.append(made)
        until = time.monotonic() + 60
        while subprocess.run([docker, "-H", f"unix://{socket}", "info"], capture_output=True).returncode != 0:
            assert time.monotonic() < until, (folder / "log").read_text(errors="replace")
            time.sleep(0.2)
        return made

    yield start
    for each in started:
        each.process.send_signal(signal.SIGCONT)
        each.process.terminate()
        each.process.wait(timeout=60)


@pytest.fixture(scope="module")
def stopped(private: Callable[[], PrivateEngine]) -> PrivateEngine:
    """An engine that was killed: its socket is still there."""
    made = private()
    os.killpg(made.process.pid, signal.SIGKILL)
    made.process.wait()
    return made


def ask(*prefix: str, program: str = ASK, **settings: str) -> dict[str, object]:
    """What the probe finds, asked in a process of its own; it must answer in time."""
    begun = time.monotonic()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    command = [*prefix, sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env={**plain, **settings}, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < LIMIT_S
    return dict(json.loads(done.stdout))


def remedies(answer: dict[str, object]) -> str:
    assert isinstance(answer["remedy"], list)
    return " ".join(answer["remedy"])


def test_a_healthy_engine_says_what_it_is(private: Callable[[], PrivateEngine]) -> None:
    answer = ask(*in_its_world(private().run))
    assert answer["endpoint"] == "unix:///var/run/docker.sock"
    assert (answer["architecture"], answer["rootless"]) == (os.uname().machine, False)


def test_an_engine_that_is_not_installed(docker: str, tmp_path: Path) -> None:
    hide = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if os.getuid() != 0 or hide is None:
        missing("root or dockerd, which this test hides", "Run: sudo scripts/system-packages")
    answer = ask(*in_its_world(tmp_path, hide=str(hide)))
    assert "Docker Engine is not installed" in str(answer["problem"])
    assert "sudo apt install docker.io" in remedies(answer)
    assert answer["conclusive"]


def test_an_engine_that_was_stopped_and_took_its_socket_along(private: Callable[[], PrivateEngine]) -> None:
    made = private()
    made.process.terminate()
    made.process.wait(timeout=60)
    assert not made.socket.exists()
    answer = ask(*in_its_world(made.run))
    assert "is installed and its socket is missing" in str(answer["problem"])
    assert "sudo systemctl start docker" in remedies(answer)
    assert answer["conclusive"]


def test_an_engine_that_died_and_left_its_socket(stopped: PrivateEngine) -> None:
    answer = ask(*in_its_world(stopped.run))
    assert "is not running: nothing listens on it" in str(answer["problem"])
    assert "sudo systemctl start docker" in remedies(answer)


def test_an_engine_that_takes_the_question_and_never_answers(private: Callable[[], PrivateEngine]) -> None:
    made = private()
    made.process.send_signal(signal.SIGSTOP)
    answer = ask(*in_its_world(made.run))
    assert "accepts the request and does not answer" in str(answer["problem"])
    assert "sudo systemctl restart docker" in remedies(answer)
    assert not answer["conclusive"]


def test_an_engine_that_this_user_may_not_use(private: Callable[[], PrivateEngine]) -> None:
    made = private()
    made.socket.chmod(0o660)
    for folder in (made.run, *made.run.parents):
        if folder.owner() == "root" and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    answer = ask(*in_its_world(made.run), program=ASK_AS_NOBODY)
    assert "this user may not use" in str(answer["problem"])
    assert "sudo usermod -aG docker $USER" in remedies(answer)
    assert not answer["conclusive"]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("unix:///nowhere/docker.sock", "and there is no such socket"),
        ("tcp://127.0.0.1:1", "nothing listens on it"),
        ("tcp://192.0.2.1:2375", "is on another machine"),
        ("ssh://somebody@elsewhere", "is on another machine"),
    ],
)
def test_an_endpoint_that_leads_nowhere_or_elsewhere_is_named(host: str, said: str) -> None:
    answer = ask(DOCKER_HOST=host)
    assert host in str(answer["problem"])
    assert said in str(answer["problem"])


class Recorded(BaseHTTPRequestHandler):
    """Answers as an engine once answered."""

    protocol_version = "HTTP/1.1"
    answers: dict[str, object] = {}

    def do_GET(self) -> None:
        path = self.path.split("/")[-1]
        body = b"OK" if path == "_ping" else json.dumps(self.answers[path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Play a recorded engine; returns its endpoint."""
    servers: list[ThreadingUnixStreamServer] = []

    def play(name: str) -> str:
        answers = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
        handler = type("Played", (Recorded,), {"answers": answers})
        server = ThreadingUnixStreamServer(str(tmp_path / "engine.sock"), handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"unix://{tmp_path / 'engine.sock'}"

    yield play
    for server in servers:
        server.shutdown()
        server.server_close()


OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}[os.uname().machine]


@pytest.mark.parametrize(
    ("engine", "requirement", "said", "remedy"),
    [
        (
            "docker-1.10",
            "DOCKER-REACHABLE",
            "it has no API version in common with this Docker SDK",
            "version 20.10 or newer",
        ),
        ("docker-1.12", "DOCKER-API", "newest API of the engine is 24", "version 20.10 or newer"),
        ("docker-90", "DOCKER-API", "oldest API of the engine is 90", "git pull && make setup"),
        ("rootless-28", "DOCKER-ROOTFUL", "engine runs as root is False", "sudo apt install docker.io"),
        (f"{OTHER}-28", "DOCKER-ARCHITECTURE", f"architecture of the engine is {OTHER}", "uname -m"),
    ],
)
def test_an_engine_that_cannot_do_the_work_fails_by_its_own_name(
    played: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    engine: str,
    requirement: str,
    said: str,
    remedy: str,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", played(engine))
    run, printed = validate(tmp_path, requirement)
    (result,) = (result for result in run.results if result.key == requirement)
    assert result.outcome.value == "failed", printed
    assert said in result.reason
    assert remedy in " ".join(result.remedy)


def validate(results: Path, *only: str) -> tuple[runs.Run, str]:
    """A real run of the real suite, as far as the host goes."""
    command = [sys.executable, "-m", "dgxcert", "validate", "--profile", "cpu", "--runtime", "docker"]
    command += ["--results", str(results / "results"), "--only", ",".join(only)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return runs.load(driver.only_run(results / "results")), done.stdout + done.stderr


def test_a_run_without_an_engine_is_rejected_by_its_cause_and_does_not_go_on(
    stopped: PrivateEngine, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "dgxcert", "validate", "--profile", "cpu", "--runtime", "docker"]
    command += ["--results", str(tmp_path / "results"), "--only", "DOCKER-REACHABLE,IMAGE-ARCHITECTURE,STACK-IMPORT"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    done = subprocess.run(
        in_its_world(stopped.run, *command), capture_output=True, text=True, env=plain, timeout=60, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    run = runs.load(driver.only_run(tmp_path / "results"))
    by_key = {result.key: result for result in run.results}
    assert "is not running" in by_key["DOCKER-REACHABLE"].reason
    assert "it needs DOCKER-REACHABLE to pass first" in by_key["IMAGE-ARCHITECTURE"].reason
    assert "sudo systemctl start docker" in done.stdout


def test_an_engine_without_the_gpu_runtime_says_so_when_a_container_asks_for_gpus(
    make_image: Callable[[str], tuple[Image, Path]],
) -> None:
    if "nvidia" in engine.run("info", "--format", "{{json .Runtimes}}").stdout:
        pytest.skip("this engine has the GPU runtime")
    found = container.read(make_image("contained")[0], gpus=True)
    assert "the engine has no NVIDIA Container Toolkit" in found.problem
    assert "could not select device driver" in found.problem
    assert "sudo apt install nvidia-container-toolkit" in " ".join(found.remedy)


def test_a_container_computes_on_the_processor(make_image: Callable[[str], tuple[Image, Path]]) -> None:
    found = container.read(make_image("contained")[0], gpus=False)
    assert (found.problem, found.wrong) == ("", 0)
    assert len(found.devices) == 1
