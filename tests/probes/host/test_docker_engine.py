"""An engine is read from its API; each cause that keeps it from answering has its own message and its own remedy."""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import paths
import pytest
import requests
from docker import errors
from docker.transport import unixconn
from urllib3.exceptions import ProtocolError

from dgxcert.container import engine_answer, engine_kind
from dgxcert.container.engine_answer import Engine, EngineProblem
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import docker_engine
from dgxcert.probes.host.docker_engine import Reachability
from dgxcert.probes.host.engine import daemon_log

SOCKET = docker_engine.DEFAULT_ENDPOINT
SDK = ("1.24", "1.45")
"""The oldest and newest API of Docker SDK 7.2.0."""


@pytest.fixture(autouse=True)
def _default_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No context, variable or program of the machine that runs the tests."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(engine_kind, "DAEMON_PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(engine_kind, "SNAP_FOLDER", tmp_path / "snap")
    monkeypatch.setattr(daemon_log, "read", lambda kind: "")


def program(tmp_path: Path, name: str) -> None:
    """An empty program on the daemon's path."""
    (tmp_path / "bin" / name).touch(mode=0o755)


def recorded(name: str) -> dict[str, Any]:
    folder = paths.RECORDED / "engines"
    return dict(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def parsed(name: str, tmp_path: Path, **changed: object) -> Engine:
    """A recorded engine, with its CDI specifications in `cdi` instead of this machine's folders."""
    record = recorded(name)
    info = {**record["info"], "CDISpecDirs": [str(tmp_path / "cdi")], **changed}
    return docker_engine.parse(SOCKET, record["version"], info, SDK)


def test_a_sparks_engine_gives_gpus_by_cdi_and_needs_no_nvidia_runtime(tmp_path: Path) -> None:
    engine = parsed("spark-29", tmp_path)
    assert engine == Engine(
        endpoint=SOCKET,
        version="29.2.1",
        api=53,
        oldest_api=44,
        sdk_api=45,
        oldest_sdk_api=24,
        architecture="aarch64",
        root="/var/lib/docker",
        rootless=False,
        gpu_ways=("CDI device nvidia.com/gpu=0", "CDI device nvidia.com/gpu=all"),
    )
    assert engine.source == f"Docker SDK, Docker Engine 29.2.1 at {SOCKET}"


def test_an_older_engine_gives_gpus_by_the_nvidia_runtime(tmp_path: Path) -> None:
    engine = parsed("nvidia-runtime-20", tmp_path)
    assert (engine.api, engine.oldest_api, engine.gpu_ways) == (41, 12, ("runtime nvidia",))


@pytest.mark.parametrize(
    ("name", "api", "oldest_api"), [("docker-1.12", 24, 24), ("docker-1.10", 22, 22), ("docker-90", 99, 90)]
)
def test_an_engine_that_names_no_oldest_api_serves_only_its_newest(
    tmp_path: Path, name: str, api: int, oldest_api: int
) -> None:
    engine = parsed(name, tmp_path)
    assert (engine.api, engine.oldest_api) == (api, oldest_api)


def test_apis_are_compared_as_numbers_and_not_as_text(tmp_path: Path) -> None:
    assert docker_engine.minor("1.9") < docker_engine.minor("1.41") < docker_engine.minor("1.100")
    record = recorded("docker-1.12")
    newer_sdk = docker_engine.parse(SOCKET, record["version"], {"CDISpecDirs": [str(tmp_path)]}, ("1.44", "1.100"))
    assert (newer_sdk.oldest_sdk_api, newer_sdk.sdk_api, newer_sdk.needed_api) == (44, 100, 44)
    assert parsed("docker-1.12", tmp_path).needed_api == engine_answer.FIRST_API_WITH_DEVICE_REQUESTS


@pytest.mark.parametrize(
    ("options", "rootless"),
    [
        (["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"], True),
        (["name=seccomp,profile=rootless.json", "name=cgroupns"], False),
        (["seccomp"], False),
        ([], False),
        (None, False),
    ],
)
def test_an_engine_is_rootless_where_its_security_options_name_it(
    tmp_path: Path, options: list[str] | None, rootless: bool
) -> None:
    assert parsed("x86_64-28", tmp_path, SecurityOptions=options).rootless is rootless
    assert parsed("rootless-28", tmp_path).root == "/home/somebody/.local/share/docker"


def test_the_architecture_has_the_kernels_name(tmp_path: Path) -> None:
    assert parsed("aarch64-28", tmp_path).architecture == "aarch64"  # and not `arm64`, as /version has it
    assert parsed("x86_64-28", tmp_path).architecture == "x86_64"


def test_an_engine_without_any_way_to_give_gpus_lists_none(tmp_path: Path) -> None:
    assert parsed("x86_64-28", tmp_path).gpu_ways == ()
    assert parsed("x86_64-28", tmp_path, Runtimes=None, DiscoveredDevices=None).gpu_ways == ()


def test_a_cdi_specification_and_the_toolkits_programs_count_as_ways(tmp_path: Path) -> None:
    (tmp_path / "cdi").mkdir()
    for name in ("nvidia.yaml", "nvidia.json", "vendor.yaml"):
        (tmp_path / "cdi" / name).touch()
    program(tmp_path, "nvidia-container-runtime-hook")
    assert parsed("x86_64-28", tmp_path).gpu_ways == (
        f"CDI spec {tmp_path}/cdi/nvidia.json",
        f"CDI spec {tmp_path}/cdi/nvidia.yaml",
        f"{tmp_path}/bin/nvidia-container-runtime-hook",
    )


def test_devices_of_other_vendors_do_not_count(tmp_path: Path) -> None:
    devices = [{"Source": "cdi", "ID": "intel.com/gpu=0"}]
    assert parsed("x86_64-28", tmp_path, DiscoveredDevices=devices).gpu_ways == ()


def test_where_cdi_is_switched_off_or_unknown_its_files_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_engine.os, "listdir", lambda folder: ["nvidia.yaml"])
    assert parsed("x86_64-28", tmp_path, CDISpecDirs=[]).gpu_ways == ()
    assert parsed("x86_64-28", tmp_path, CDISpecDirs=None).gpu_ways == ()


def test_a_cdi_folder_that_cannot_be_read_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(folder: str) -> list[str]:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(docker_engine.os, "listdir", forbidden)
    assert parsed("x86_64-28", tmp_path).gpu_ways == ()


@pytest.mark.parametrize("info", [{"Architecture": "arm64"}, {"Architecture": "aarch64"}, {}])
def test_an_architecture_from_info_or_version_has_the_kernels_name(info: dict[str, Any]) -> None:
    version = {"Version": "29", "ApiVersion": "1.50", "Arch": "arm64"}
    assert docker_engine.parse(SOCKET, version, info, SDK).architecture == "aarch64"


def test_an_architecture_that_is_not_reported_is_inconclusive() -> None:
    engine = docker_engine.parse(SOCKET, {"Version": "29", "ApiVersion": "1.50"}, {}, SDK)
    with pytest.raises(Inconclusive, match="does not report its architecture"):
        docker_engine.architecture(engine)


def test_an_answer_without_an_api_version_is_no_engine() -> None:
    with pytest.raises(KeyError, match="ApiVersion"):
        docker_engine.parse(SOCKET, {"Version": "28.2.2"}, {}, SDK)


Play = Callable[..., None]


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Sets what each connection of the SDK gets: an error of the kernel, or these bytes (none: no answer)."""
    ends: list[socket.socket] = []

    def play(*outcomes: OSError | bytes) -> None:
        pending = iter(outcomes)

        def connect(connection: unixconn.UnixHTTPConnection) -> None:
            outcome = next(pending)
            if isinstance(outcome, OSError):
                raise outcome.with_traceback(None)  # the traceback of a shared exception grows with every raise
            client, server = socket.socketpair()
            ends.append(server)
            server.sendall(outcome)
            if outcome:
                server.shutdown(socket.SHUT_WR)
            client.settimeout(connection.timeout)
            connection.sock = client

        monkeypatch.setattr(unixconn.UnixHTTPConnection, "connect", connect)

    yield play
    for end in ends:
        end.close()


def response(body: object, status: str = "200 OK") -> bytes:
    """A response of the engine's API."""
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def raised_by_the_sdk() -> errors.DockerException:
    """The error of the real SDK, with its whole chain."""
    with pytest.raises(errors.DockerException) as caught:
        docker.DockerClient(base_url=SOCKET, timeout=0.01, version="auto")
    return caught.value


NO_FILE = FileNotFoundError(2, "No such file or directory")
REFUSED = ConnectionRefusedError(111, "Connection refused")
FORBIDDEN = PermissionError(13, "Permission denied")
HANGS = TimeoutError("timed out")
TOO_NEW = {"message": "client version 1.44 is too new. Maximum supported API version is 1.41"}
TOO_OLD = {"message": "client version 1.45 is too old. Minimum supported API version is 1.90, please upgrade"}
BROKEN = {"message": "write /var/lib/docker/tmp: no space left on device"}


@pytest.mark.parametrize(
    ("outcome", "problem", "step", "conclusive"),
    [
        (NO_FILE, "there is no {} and no dockerd: Docker Engine is not installed", "sudo apt install docker.io", True),
        (REFUSED, "Docker Engine behind {} is not running: nothing listens on it", "sudo systemctl start docker", True),
        (FORBIDDEN, "this user may not use {}", "sudo usermod -aG docker $USER", False),
        (HANGS, "{} accepts the request and does not answer within 9 s", "sudo systemctl restart docker", False),
        (b"", "{} accepts the request and does not answer within 9 s", "sudo systemctl restart docker", False),
        (response({"ApiVersion": "1.22"}), "it has no API version in common", "version 20.10 or newer", True),
        (response(TOO_OLD, "400 Bad Request"), "Minimum supported API version is 1.90", "git pull && make setup", True),
        (response(TOO_NEW, "400 Bad Request"), "Maximum supported API version is 1.41", "version 20.10 or newer", True),
        (response(BROKEN, "500 Internal Server Error"), "no space left on device", "journalctl -u docker", False),
        (response("<html>"), "Error while fetching server API version", "docker version", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "Expecting value", "docker version", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "BadStatusLine", "docker version", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "IncompleteRead", "journalctl -u docker", False),
    ],
    ids=[
        "no socket",
        "refused",
        "forbidden",
        "connecting hangs",
        "unresponsive",
        "SDK refuses",
        "too old",
        "too new",
        "broken",
        "no object",
        "no JSON",
        "no HTTP",
        "dies while it answers",
    ],
)
def test_an_error_of_the_sdk_is_traced_to_its_cause(
    connecting: Play, outcome: OSError | bytes, problem: str, step: str, conclusive: bool
) -> None:
    connecting(outcome)
    error = raised_by_the_sdk()
    cause = docker_engine.diagnose(error, SOCKET, selected=False)
    assert problem.format(SOCKET) in cause.problem
    assert step in " ".join(cause.remedy)
    assert (cause.endpoint, cause.conclusive) == (SOCKET, conclusive)


@pytest.mark.parametrize("link", ["args", "__cause__", "__context__"])
def test_a_cause_is_found_by_any_link_of_the_chain(link: str) -> None:
    """The HTTP library keeps the kernel's error among its arguments."""
    wrapped = requests.exceptions.ConnectionError(ProtocolError("Connection aborted.", FORBIDDEN))
    error = errors.DockerException("Error while fetching server API version")
    setattr(error, link, (wrapped,) if link == "args" else wrapped)
    assert docker_engine.diagnose(error, SOCKET, selected=False).problem == f"this user may not use {SOCKET}"


def test_a_timeout_is_recognised_by_its_message_alone() -> None:
    error = errors.DockerException("Error while fetching server API version: Read timed out. (read timeout=3)")
    assert docker_engine.diagnose(error, SOCKET, selected=False) == engine_answer.unresponsive(SOCKET)


def test_a_circular_chain_of_errors_ends() -> None:
    error, below = errors.DockerException("odd"), OSError("odd too")
    error.__cause__, below.__context__ = below, error
    assert docker_engine.diagnose(error, SOCKET, selected=False).remedy[0] == "Run: docker version"


def test_an_engine_that_is_installed_and_has_no_socket_was_stopped(tmp_path: Path) -> None:
    program(tmp_path, "dockerd")
    stopped = docker_engine.diagnose(NO_FILE, SOCKET, selected=False)
    assert stopped.problem.endswith("is not running: Docker Engine is installed and its socket is missing")
    assert stopped.conclusive


def test_a_stopped_snap_is_started_as_a_snap(tmp_path: Path) -> None:
    (tmp_path / "snap").mkdir()
    stopped = docker_engine.diagnose(NO_FILE, SOCKET, selected=False)
    assert "Docker from a snap is installed and its socket is missing" in stopped.problem
    assert "sudo snap start docker" in " ".join(stopped.remedy)
    assert "systemctl" not in " ".join(stopped.remedy)


def test_an_engine_that_does_not_start_says_why_in_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "dockerd")
    line = "unable to configure the Docker daemon with file /etc/docker/daemon.json: unexpected EOF"
    monkeypatch.setattr(daemon_log, "read", lambda kind: f"Starting up\n{line}\n")
    for error in (NO_FILE, REFUSED):
        stopped = docker_engine.diagnose(error, SOCKET, selected=False)
        assert f"no valid JSON for the engine: unexpected EOF: {line}" in stopped.problem
        assert "python3 -m json.tool /etc/docker/daemon.json" in stopped.remedy[0]
        assert stopped.conclusive


@pytest.mark.parametrize(
    ("info", "shown"),
    [
        ({"KernelVersion": "6.12.54-linuxkit", "Name": "dgx-1"}, "its kernel is 6.12.54-linuxkit"),
        ({"KernelVersion": "6.17.0", "Name": "dgx-2"}, "it is called dgx-2, and this machine dgx-1"),
        ({"KernelVersion": "6.17.0", "Name": "dgx-1.lab.example"}, ""),
        ({"KernelVersion": "6.17.0"}, ""),
        ({}, ""),
    ],
)
def test_an_engine_on_another_machine_is_found_behind_a_local_socket(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], shown: str
) -> None:
    here = os.uname_result(("Linux", "dgx-1", "6.17.0", "#21", "aarch64"))
    monkeypatch.setattr(docker_engine, "inside_container", lambda: False)
    assert shown in docker_engine.elsewhere(info, here)
    assert bool(docker_engine.elsewhere(info, here)) is bool(shown)
    monkeypatch.setattr(docker_engine, "inside_container", lambda: True)
    assert bool(docker_engine.elsewhere(info, here)) is ("linuxkit" in shown)


def test_podman_alone_is_named_and_is_no_docker_engine(tmp_path: Path) -> None:
    program(tmp_path, "podman")
    missing = docker_engine.diagnose(NO_FILE, SOCKET, selected=False)
    assert "Docker Engine is not installed; Podman is" in missing.problem
    assert "sudo apt install docker.io" in " ".join(missing.remedy)


@pytest.mark.parametrize(
    ("endpoint", "start"),
    [
        ("unix:///run/podman/podman.sock", "sudo systemctl start podman.socket"),
        ("unix:///run/user/1000/podman/podman.sock", "sudo systemctl start podman.socket"),
        ("unix:///run/user/1000/docker.sock", "systemctl --user start docker"),
        ("unix:///home/a/.docker/desktop/docker.sock", "systemctl --user start docker-desktop"),
        (SOCKET, "sudo systemctl start docker"),
    ],
)
def test_an_engine_that_does_not_listen_is_started_by_its_own_command(endpoint: str, start: str) -> None:
    assert f"Start it: {start}" in docker_engine.diagnose(REFUSED, endpoint, selected=True).remedy


def test_a_missing_socket_that_the_user_selected_is_no_problem_of_this_machine() -> None:
    missing = docker_engine.diagnose(NO_FILE, "unix:///run/user/1000/docker.sock", selected=True)
    assert missing.problem.startswith("DOCKER_HOST or the Docker context names unix:///run/user/1000/docker.sock")
    assert "unset DOCKER_HOST DOCKER_CONTEXT" in missing.remedy[0]
    assert not missing.conclusive


def test_each_cause_has_its_own_message_and_its_own_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    elsewhere = docker_engine.query()
    assert isinstance(elsewhere, EngineProblem)
    causes = {
        "not installed": docker_engine.diagnose(NO_FILE, SOCKET, selected=False),
        "nothing listens": docker_engine.diagnose(REFUSED, SOCKET, selected=False),
        "forbidden": docker_engine.diagnose(FORBIDDEN, SOCKET, selected=False),
        "unresponsive": engine_answer.unresponsive(SOCKET),
        "API": docker_engine.diagnose(errors.InvalidVersion("no longer supported"), SOCKET, selected=False),
        "unknown": docker_engine.diagnose(errors.DockerException("odd"), SOCKET, selected=False),
        "selected and missing": docker_engine.diagnose(NO_FILE, SOCKET, selected=True),
    }
    program(tmp_path, "dockerd")
    stopped = docker_engine.diagnose(NO_FILE, SOCKET, selected=False)
    assert len({cause.problem for cause in (*causes.values(), stopped, elsewhere)}) == len(causes) + 2
    assert len({cause.remedy for cause in causes.values()}) == len(causes)
    # Detected in another way, fixed in the same.
    assert stopped.remedy == causes["nothing listens"].remedy
    assert elsewhere.remedy == causes["selected and missing"].remedy


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("unix:///var/run/docker.sock", True),
        ("http+unix:///var/run/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost:2375", True),
        ("tcp://LOCALHOST:2375", True),
        ("tcp://[::1]:2375", True),
        ("localhost:2375", True),
        ("elsewhere:2375", False),
        ("tcp://192.0.2.1:2375", False),
        ("tcp://localhost.example.org:2375", False),
        ("ssh://user@dgx-2", False),
        ("ssh://localhost@elsewhere", False),
        ("", False),
    ],
)
def test_an_endpoint_is_local_where_it_cannot_lead_to_another_machine(endpoint: str, local: bool) -> None:
    assert docker_engine.is_local(endpoint) is local


def context(tmp_path: Path, name: str, host: str, *, current: bool = False) -> None:
    """Write a context as `docker context create NAME --docker host=HOST` does."""
    folder = tmp_path / "docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    if current:
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"currentContext": name}), encoding="utf-8")


def test_the_default_endpoint_is_the_systems_socket() -> None:
    assert docker_engine.selected_endpoint() == (SOCKET, False)


def test_a_current_context_is_selected_by_the_user(tmp_path: Path) -> None:
    context(tmp_path, "mine", "unix:///run/user/1000/docker.sock", current=True)
    assert docker_engine.selected_endpoint() == ("unix:///run/user/1000/docker.sock", True)


def test_a_context_that_names_the_systems_socket_is_the_default(tmp_path: Path) -> None:
    context(tmp_path, "mine", SOCKET, current=True)
    assert docker_engine.selected_endpoint() == (SOCKET, False)


def test_the_variable_overrides_the_current_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(tmp_path, "mine", "unix:///run/user/1000/docker.sock", current=True)
    context(tmp_path, "lab", "ssh://lab")
    monkeypatch.setenv("DOCKER_CONTEXT", "lab")
    assert docker_engine.selected_endpoint() == ("ssh://lab", True)
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert docker_engine.selected_endpoint() == (SOCKET, False)


def test_a_context_that_is_missing_or_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's CLI refuses too; the system's socket would be another engine than the user's commands reach."""
    monkeypatch.setenv("DOCKER_CONTEXT", "nosuch")
    problem = docker_engine.query()
    assert isinstance(problem, EngineProblem)
    assert "there is no Docker context nosuch" in problem.problem
    assert not problem.conclusive
    context(tmp_path, "damaged", "unix:///run/x")
    for meta in (tmp_path / "docker").rglob("meta.json"):
        meta.write_text("{", encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONTEXT", "damaged")
    problem = docker_engine.query()
    assert isinstance(problem, EngineProblem)
    assert "Docker's contexts cannot be read" in problem.problem


def test_docker_host_overrides_every_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(tmp_path, "lab", "ssh://lab", current=True)
    monkeypatch.setenv("DOCKER_CONTEXT", "lab")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    assert docker_engine.selected_endpoint() == ("tcp://127.0.0.1:2375", True)
    monkeypatch.setenv("DOCKER_HOST", "")
    assert docker_engine.selected_endpoint() == ("ssh://lab", True)


def test_an_engine_is_read_from_its_version_and_info(connecting: Play, tmp_path: Path) -> None:
    engine = recorded("spark-29")
    info = {**engine["info"], "CDISpecDirs": [str(tmp_path)]}
    connecting(
        response(engine["version"]), response(engine["version"]), response(info)
    )  # the SDK queries the version once for itself
    assert docker_engine.query() == docker_engine.parse(SOCKET, engine["version"], info, SDK)


def test_an_engine_that_fails_between_two_requests_is_a_problem(connecting: Play) -> None:
    version = response(recorded("spark-29")["version"])
    connecting(version, version, response(BROKEN, "500 Internal Server Error"))
    problem = docker_engine.query()
    assert isinstance(problem, EngineProblem)
    assert "no space left on device" in problem.problem


def test_an_engine_on_another_machine_is_not_queried(connecting: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "DockerClient", lambda **_: pytest.fail("queried"))
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@dgx-2")
    problem = docker_engine.query()
    assert isinstance(problem, EngineProblem)
    assert "ssh://user@dgx-2 is on another machine" in problem.problem
    assert not problem.conclusive


def test_an_engine_that_answers_is_reachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = parsed("spark-29", tmp_path)
    monkeypatch.setattr(engine_answer, "ask", lambda: engine)
    assert docker_engine.read() == engine
    assert docker_engine.reachability() == Reachability(True, engine.source, ())


def test_a_problem_of_this_machine_is_judged_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = docker_engine.diagnose(REFUSED, SOCKET, selected=False)
    monkeypatch.setattr(engine_answer, "ask", lambda: problem)
    assert docker_engine.reachability() == Reachability(False, problem.problem, problem.remedy)


@pytest.mark.parametrize(
    "problem",
    [docker_engine.diagnose(FORBIDDEN, SOCKET, selected=False), engine_answer.unresponsive(SOCKET)],
    ids=["forbidden", "unresponsive"],
)
def test_a_problem_that_is_not_of_this_machine_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, problem: EngineProblem
) -> None:
    monkeypatch.setattr(engine_answer, "ask", lambda: problem)
    with pytest.raises(Inconclusive) as raised:
        docker_engine.reachability()
    assert (raised.value.problem, raised.value.remedy) == (problem.problem, problem.remedy)


@pytest.mark.parametrize("error", [REFUSED, FORBIDDEN])
def test_for_every_other_requirement_an_engine_that_does_not_answer_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    problem = docker_engine.diagnose(error, SOCKET, selected=False)
    monkeypatch.setattr(engine_answer, "ask", lambda: problem)
    with pytest.raises(Inconclusive) as raised:
        docker_engine.read()
    assert problem.problem in raised.value.problem
    assert raised.value.remedy == ("Fix DOCKER-REACHABLE first.",)
