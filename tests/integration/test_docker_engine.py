"""Each cause that keeps an engine from working is named.

An engine of the tests' own is stopped, killed and suspended; engines that this machine does not have (too old,
rootless, of another architecture) are recorded answers, which the real SDK reads over a real socket.
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
from dgxcert.container.engine_kind import DOCKER
from dgxcert.machine.image import Image
from dgxcert.probes.host import container
from dgxcert.probes.host.engine import daemon_log
from dgxcert.record import run as runs

RECORDED = Path(__file__).parents[1] / "recorded" / "engines"
LIMIT_S = 10.0
"""Time limit of every answer."""

ASK = (
    "import dataclasses, json; from dgxcert.container import engine_answer;"
    "print(json.dumps(dataclasses.asdict(engine_answer.ask())))"
)
ASK_UNPRIVILEGED = (
    "import json, os, docker; from dgxcert.probes.host import docker_engine as e;"
    "os.setgroups([]); os.setgid(65534); os.setuid(65534); print(json.dumps(e.asdict(e.query())))"
)


@dataclass
class PrivateEngine:
    """An engine of the tests' own; its socket is at the default path for commands of `with_run` only."""

    process: "subprocess.Popen[bytes]"
    run: Path

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"


def with_run(run: Path, *command: str, hide: str = "") -> list[str]:
    """A command line with `run` mounted as /run, and without the program `hide`."""
    steps = [f"mount --bind {run} /run"]
    if hide:
        steps.append(f"mount --bind /dev/null {os.path.realpath(hide)}")
    return ["unshare", "--mount", "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *command]


@pytest.fixture(scope="module")
def private(docker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], PrivateEngine]]:
    """Starts an engine of the tests' own; a new one each time."""
    dockerd = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if os.getuid() != 0 or dockerd is None:
        missing(
            "root or dockerd, with which engines of the tests' own are started", "Run: sudo scripts/system-packages"
        )
    engines: list[PrivateEngine] = []

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
        ]
        args += ["--pidfile", str(folder / "pid"), "--bridge", "none", "--iptables=false", "--ip-masq=false"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(args, stdout=log, stderr=log, start_new_session=True)
        private = PrivateEngine(process, folder / "run")
        engines.append(private)
        until = time.monotonic() + 60
        while subprocess.run([docker, "-H", f"unix://{socket}", "info"], capture_output=True).returncode != 0:
            assert time.monotonic() < until, (folder / "log").read_text(errors="replace")
            time.sleep(0.2)
        return private

    yield start
    for running in engines:
        running.process.send_signal(signal.SIGCONT)
        running.process.terminate()
        running.process.wait(timeout=60)


@pytest.fixture(scope="module")
def stopped(private: Callable[[], PrivateEngine]) -> PrivateEngine:
    """An engine that was killed; its socket still exists."""
    killed = private()
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    return killed


def ask(*prefix: str, program: str = ASK, **settings: str) -> dict[str, object]:
    """The probe's answer, read in a process of its own within the time limit."""
    began = time.monotonic()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    command = [*prefix, sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env={**plain, **settings}, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < LIMIT_S
    return dict(json.loads(done.stdout))


def remedies(answer: dict[str, object]) -> str:
    """All steps of the remedy."""
    assert isinstance(answer["remedy"], list)
    return " ".join(answer["remedy"])


def test_a_healthy_engine_reports_its_architecture(private: Callable[[], PrivateEngine]) -> None:
    answer = ask(*with_run(private().run))
    assert answer["endpoint"] == "unix:///var/run/docker.sock"
    assert (answer["architecture"], answer["rootless"]) == (os.uname().machine, False)


def test_an_engine_that_is_not_installed(docker: str, tmp_path: Path) -> None:
    hide = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if os.getuid() != 0 or hide is None:
        missing("root or dockerd, which this test hides", "Run: sudo scripts/system-packages")
    answer = ask(*with_run(tmp_path, hide=str(hide)))
    assert "Docker Engine is not installed" in str(answer["problem"])
    assert "sudo apt install docker.io" in remedies(answer)
    assert answer["conclusive"]


def test_a_stopped_engine_that_removed_its_socket(private: Callable[[], PrivateEngine]) -> None:
    running = private()
    running.process.terminate()
    running.process.wait(timeout=60)
    assert not running.socket.exists()
    answer = ask(*with_run(running.run))
    assert "is installed and its socket is missing" in str(answer["problem"])
    assert "sudo systemctl start docker" in remedies(answer)
    assert answer["conclusive"]


def test_a_killed_engine_whose_socket_still_exists(stopped: PrivateEngine) -> None:
    answer = ask(*with_run(stopped.run))
    assert "is not running: nothing listens on it" in str(answer["problem"])
    assert "sudo systemctl start docker" in remedies(answer)


def test_an_engine_that_accepts_the_request_and_does_not_answer(private: Callable[[], PrivateEngine]) -> None:
    running = private()
    running.process.send_signal(signal.SIGSTOP)
    answer = ask(*with_run(running.run))
    assert "accepts the request and does not answer" in str(answer["problem"])
    assert "sudo systemctl restart docker" in remedies(answer)
    assert not answer["conclusive"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('{"debug": true,}', "is no valid JSON for the engine: invalid character '}'"),
        ('{"no-such-key": 1}', "has keys that the engine does not know: no-such-key"),
        ('{"default-runtime": "nvidia"}', "names the default runtime `nvidia` and does not define it"),
        ('{"hosts": ["unix:///x"]}', "`hosts` is set twice"),
    ],
)
def test_an_engine_with_invalid_settings_says_why_it_does_not_start(tmp_path: Path, settings: str, says: str) -> None:
    dockerd = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if os.getuid() != 0 or dockerd is None:
        missing("root or dockerd, which this test starts with invalid settings", "Run: sudo scripts/system-packages")
    (tmp_path / "daemon.json").write_text(settings, encoding="utf-8")
    args = [str(dockerd), "--config-file", str(tmp_path / "daemon.json"), "-H", f"unix://{tmp_path}/docker.sock"]
    args += ["--data-root", str(tmp_path / "data"), "--exec-root", str(tmp_path / "exec"), "--bridge", "none"]
    done = subprocess.run(args, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    found = daemon_log.why_it_does_not_start(done.stderr, DOCKER)
    assert found is not None, done.stderr
    assert says in found.meaning
    assert str(tmp_path / "daemon.json") in " ".join((found.meaning, *found.remedy))


def test_an_engine_that_this_user_may_not_use(private: Callable[[], PrivateEngine]) -> None:
    running = private()
    running.socket.chmod(0o660)
    for folder in (running.run, *running.run.parents):
        if folder.owner() == "root" and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    answer = ask(*with_run(running.run), program=ASK_UNPRIVILEGED)
    assert "this user may not use" in str(answer["problem"])
    assert "sudo usermod -aG docker $USER" in remedies(answer)
    assert not answer["conclusive"]


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("unix:///nowhere/docker.sock", "and there is no such socket"),
        ("tcp://127.0.0.1:1", "nothing listens on it"),
        ("tcp://192.0.2.1:2375", "is on another machine"),
        ("ssh://user@dgx-2", "is on another machine"),
    ],
)
def test_an_endpoint_without_an_engine_of_this_machine_is_named(host: str, problem: str) -> None:
    answer = ask(DOCKER_HOST=host)
    assert host in str(answer["problem"])
    assert problem in str(answer["problem"])


class Recorded(BaseHTTPRequestHandler):
    """Serves the recorded answers of an engine."""

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
        """No log."""


@pytest.fixture
def serve_recorded(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Serves a recorded engine; returns its endpoint."""
    servers: list[ThreadingUnixStreamServer] = []

    def serve(name: str) -> str:
        answers = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
        handler = type("Handler", (Recorded,), {"answers": answers})
        server = ThreadingUnixStreamServer(str(tmp_path / "engine.sock"), handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"unix://{tmp_path / 'engine.sock'}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}[os.uname().machine]


@pytest.mark.parametrize(
    ("engine", "requirement", "reason", "step"),
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
def test_an_unsuitable_engine_fails_the_requirement_that_it_violates(
    serve_recorded: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    engine: str,
    requirement: str,
    reason: str,
    step: str,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", serve_recorded(engine))
    run, printed = validate(tmp_path, requirement)
    (result,) = (result for result in run.results if result.key == requirement)
    assert result.outcome.value == "failed", printed
    assert reason in result.reason
    assert step in " ".join(result.remedy)


def validate(results: Path, *only: str) -> tuple[runs.Run, str]:
    """A real run of the real suite on the host; returns the run and what it printed."""
    command = [sys.executable, "-m", "dgxcert", "validate", "--profile", "cpu", "--runtime", "docker"]
    command += ["--results", str(results / "results"), "--only", ",".join(only)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return runs.load(driver.only_run(results / "results")), done.stdout + done.stderr


def test_a_run_without_an_engine_is_rejected_with_the_cause_and_ends_before_the_image(
    stopped: PrivateEngine, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "dgxcert", "validate", "--profile", "cpu", "--runtime", "docker"]
    command += ["--results", str(tmp_path / "results"), "--only", "DOCKER-REACHABLE,IMAGE-ARCHITECTURE,STACK-IMPORT"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    done = subprocess.run(
        with_run(stopped.run, *command), capture_output=True, text=True, env=plain, timeout=60, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    run = runs.load(driver.only_run(tmp_path / "results"))
    by_key = {result.key: result for result in run.results}
    assert "is not running" in by_key["DOCKER-REACHABLE"].reason
    assert "it needs DOCKER-REACHABLE to pass first" in by_key["IMAGE-ARCHITECTURE"].reason
    reached = by_key["DOCKER-REACHABLE"]
    assert any("sudo systemctl start docker" in step for step in reached.remedy)
    assert reached.remedy[0].split("\n")[0] in done.stdout


def test_an_engine_without_the_gpu_runtime_is_named_when_a_container_requests_gpus(
    make_image: Callable[[str], tuple[Image, Path]],
) -> None:
    if "nvidia" in engine.run("info", "--format", "{{json .Runtimes}}").stdout:
        pytest.skip("this engine has the GPU runtime")
    result = container.read(make_image("contained")[0], gpus=True)
    assert "the engine has no NVIDIA Container Toolkit" in result.problem
    assert "could not select device driver" in result.problem
    assert "sudo apt install nvidia-container-toolkit" in " ".join(result.remedy)


def test_a_container_computes_on_the_cpu(make_image: Callable[[str], tuple[Image, Path]]) -> None:
    result = container.read(make_image("contained")[0], gpus=False)
    assert (result.problem, result.wrong) == ("", 0)
    assert len(result.devices) == 1
