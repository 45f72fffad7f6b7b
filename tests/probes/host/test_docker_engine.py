"""An engine is read as its API answers; whatever keeps it from answering has its own words and its own remedy."""

import hashlib
import json
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import docker
import paths
import pytest
import requests
from docker import errors
from docker.transport import unixconn
from urllib3.exceptions import ProtocolError

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import docker_engine
from dgxcert.probes.host.docker_engine import Engine, Trouble

SOCKET = docker_engine.DEFAULT_ENDPOINT
SDK = ("1.24", "1.45")
"""The oldest and newest API of Docker SDK 7.2.0."""


@pytest.fixture(autouse=True)
def _nobody_chose_an_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No context and no variable of whoever runs the tests, and none of this machine's programs."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(docker_engine, "DAEMON_PLACES", str(tmp_path / "bin"))


def program(tmp_path: Path, name: str) -> None:
    """A program where an engine's own programs are looked for."""
    (tmp_path / "bin" / name).touch(mode=0o755)


def recorded(name: str) -> dict[str, Any]:
    folder = paths.RECORDED / "engines"
    return dict(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def parsed(name: str, tmp_path: Path, **changed: object) -> Engine:
    """A recorded engine; its CDI specifications are looked for in `cdi`, not in this machine's folders."""
    found = recorded(name)
    info = {**found["info"], "CDISpecDirs": [str(tmp_path / "cdi")], **changed}
    return docker_engine.parse(SOCKET, found["version"], info, SDK)


def test_a_sparks_engine_gives_gpus_by_cdi_and_needs_no_nvidia_runtime(tmp_path: Path) -> None:
    found = parsed("spark-29", tmp_path)
    assert found == Engine(
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
    assert found.says == f"Docker SDK, engine 29.2.1 at {SOCKET}"


def test_an_older_engine_gives_gpus_by_the_nvidia_runtime(tmp_path: Path) -> None:
    found = parsed("nvidia-runtime-20", tmp_path)
    assert (found.api, found.oldest_api, found.gpu_ways) == (41, 12, ("runtime nvidia",))


@pytest.mark.parametrize(
    ("name", "api", "oldest_api"), [("docker-1.12", 24, 24), ("docker-1.10", 22, 22), ("docker-90", 99, 90)]
)
def test_an_engine_that_names_no_oldest_api_speaks_its_newest_only(
    tmp_path: Path, name: str, api: int, oldest_api: int
) -> None:
    found = parsed(name, tmp_path)
    assert (found.api, found.oldest_api) == (api, oldest_api)


def test_apis_are_compared_as_numbers_and_not_as_words(tmp_path: Path) -> None:
    assert docker_engine.minor("1.9") < docker_engine.minor("1.41") < docker_engine.minor("1.100")
    found = recorded("docker-1.12")
    newer_sdk = docker_engine.parse(SOCKET, found["version"], {"CDISpecDirs": [str(tmp_path)]}, ("1.44", "1.100"))
    assert (newer_sdk.oldest_sdk_api, newer_sdk.sdk_api, newer_sdk.needed_api) == (44, 100, 44)
    assert parsed("docker-1.12", tmp_path).needed_api == docker_engine.FIRST_WITH_DEVICE_REQUESTS


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
def test_an_engine_is_rootless_where_it_says_so(tmp_path: Path, options: list[str] | None, rootless: bool) -> None:
    assert parsed("x86_64-28", tmp_path, SecurityOptions=options).rootless is rootless
    assert parsed("rootless-28", tmp_path).root == "/home/somebody/.local/share/docker"


def test_an_engine_of_another_processor_is_told_by_the_kernels_word_for_it(tmp_path: Path) -> None:
    assert parsed("aarch64-28", tmp_path).architecture == "aarch64"  # and not `arm64`, as /version has it
    assert parsed("x86_64-28", tmp_path).architecture == "x86_64"


def test_an_engine_without_any_way_to_give_gpus_names_none(tmp_path: Path) -> None:
    assert parsed("x86_64-28", tmp_path).gpu_ways == ()
    assert parsed("x86_64-28", tmp_path, Runtimes=None, DiscoveredDevices=None).gpu_ways == ()


def test_a_cdi_specification_and_the_toolkits_programs_are_ways_too(tmp_path: Path) -> None:
    (tmp_path / "cdi").mkdir()
    for name in ("nvidia.yaml", "nvidia.json", "vendor.yaml"):
        (tmp_path / "cdi" / name).touch()
    program(tmp_path, "nvidia-container-runtime-hook")
    assert parsed("x86_64-28", tmp_path).gpu_ways == (
        f"CDI spec {tmp_path}/cdi/nvidia.json",
        f"CDI spec {tmp_path}/cdi/nvidia.yaml",
        f"{tmp_path}/bin/nvidia-container-runtime-hook",
    )


def test_devices_of_other_vendors_are_no_way(tmp_path: Path) -> None:
    devices = [{"Source": "cdi", "ID": "intel.com/gpu=0"}]
    assert parsed("x86_64-28", tmp_path, DiscoveredDevices=devices).gpu_ways == ()


def test_where_cdi_is_switched_off_or_unknown_its_files_are_no_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_engine.os, "listdir", lambda folder: ["nvidia.yaml"])
    assert parsed("x86_64-28", tmp_path, CDISpecDirs=[]).gpu_ways == ()
    assert parsed("x86_64-28", tmp_path, CDISpecDirs=None).gpu_ways == ()


def test_a_cdi_folder_that_cannot_be_read_is_no_other_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(folder: str) -> list[str]:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(docker_engine.os, "listdir", forbidden)
    assert parsed("x86_64-28", tmp_path).gpu_ways == ()


@pytest.mark.parametrize("info", [{"Architecture": "arm64"}, {"Architecture": "aarch64"}, {}])
def test_an_architecture_is_called_as_the_kernel_does(info: dict[str, Any]) -> None:
    version = {"Version": "29", "ApiVersion": "1.50", "Arch": "arm64"}
    assert docker_engine.parse(SOCKET, version, info, SDK).architecture == "aarch64"


def test_an_architecture_that_is_not_told_is_no_finding() -> None:
    found = docker_engine.parse(SOCKET, {"Version": "29", "ApiVersion": "1.50"}, {}, SDK)
    with pytest.raises(Inconclusive, match="does not say for which processor"):
        docker_engine.architecture(found)


def test_an_answer_without_an_api_version_is_no_engine() -> None:
    with pytest.raises(KeyError, match="ApiVersion"):
        docker_engine.parse(SOCKET, {"Version": "28.2.2"}, {}, SDK)


Play = Callable[..., None]


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Let each of the SDK's connections fail with an error of the kernel, or be answered so (no bytes: silence)."""
    ends: list[socket.socket] = []

    def play(*found: OSError | bytes) -> None:
        waiting = iter(found)

        def connect(connection: unixconn.UnixHTTPConnection) -> None:
            each = next(waiting)
            if isinstance(each, OSError):
                raise each.with_traceback(None)  # which would else grow with every use
            mine, theirs = socket.socketpair()
            ends.append(theirs)
            theirs.sendall(each)
            if each:
                theirs.shutdown(socket.SHUT_WR)
            mine.settimeout(connection.timeout)
            connection.sock = mine

        monkeypatch.setattr(unixconn.UnixHTTPConnection, "connect", connect)

    yield play
    for end in ends:
        end.close()


def answer(body: object, status: str = "200 OK") -> bytes:
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def raised_by_the_sdk() -> errors.DockerException:
    """What the SDK makes of it, with the whole chain below."""
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
    ("played", "found", "step", "conclusive"),
    [
        (NO_FILE, "there is no {} and no dockerd: Docker Engine is not installed", "sudo apt install docker.io", True),
        (REFUSED, "the engine behind {} is not running: nobody listens on it", "sudo systemctl start docker", True),
        (FORBIDDEN, "this user may not use {}", "sudo usermod -aG docker $USER", False),
        (HANGS, "{} takes the question and does not answer within 9 s", "sudo systemctl restart docker", False),
        (b"", "{} takes the question and does not answer within 9 s", "sudo systemctl restart docker", False),
        (answer({"ApiVersion": "1.22"}), "its API and this Docker SDK's do not meet", "version 20.10 or newer", True),
        (answer(TOO_OLD, "400 Bad Request"), "Minimum supported API version is 1.90", "from a newer dgxcert", True),
        (answer(TOO_NEW, "400 Bad Request"), "Maximum supported API version is 1.41", "version 20.10 or newer", True),
        (answer(BROKEN, "500 Internal Server Error"), "no space left on device", "journalctl -u docker", False),
        (answer("<html>"), "Error while fetching server API version", "docker version", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "Expecting value", "docker version", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "BadStatusLine", "docker version", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "IncompleteRead", "journalctl -u docker", False),
    ],
    ids=[
        "no socket",
        "refused",
        "forbidden",
        "connecting hangs",
        "silent",
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
def test_what_the_sdk_raises_is_traced_to_its_cause(
    connecting: Play, played: OSError | bytes, found: str, step: str, conclusive: bool
) -> None:
    connecting(played)
    error = raised_by_the_sdk()
    trouble = docker_engine.diagnose(error, SOCKET, chosen=False)
    assert found.format(SOCKET) in trouble.found
    assert any(step in each for each in trouble.remedy)
    assert (trouble.endpoint, trouble.conclusive) == (SOCKET, conclusive)


@pytest.mark.parametrize("link", ["args", "__cause__", "__context__"])
def test_a_cause_is_found_by_whatever_it_hangs_on(link: str) -> None:
    """The SDK raises from its HTTP library's error, which keeps the kernel's among its arguments."""
    wrapped = requests.exceptions.ConnectionError(ProtocolError("Connection aborted.", FORBIDDEN))
    error = errors.DockerException("Error while fetching server API version")
    setattr(error, link, (wrapped,) if link == "args" else wrapped)
    assert docker_engine.diagnose(error, SOCKET, chosen=False).found == f"this user may not use {SOCKET}"


def test_words_alone_tell_that_time_ran_out() -> None:
    error = errors.DockerException("Error while fetching server API version: Read timed out. (read timeout=3)")
    assert docker_engine.diagnose(error, SOCKET, chosen=False) == docker_engine.silent(SOCKET)


def test_a_chain_that_bites_its_own_tail_comes_to_an_end() -> None:
    error, below = errors.DockerException("odd"), OSError("odd too")
    error.__cause__, below.__context__ = below, error
    assert docker_engine.diagnose(error, SOCKET, chosen=False).remedy[0] == "Ask it by hand: docker version"


def test_an_engine_that_is_installed_and_has_no_socket_was_stopped(tmp_path: Path) -> None:
    program(tmp_path, "dockerd")
    trouble = docker_engine.diagnose(NO_FILE, SOCKET, chosen=False)
    assert trouble.found.endswith("is not running: Docker Engine is installed and its socket is not there")
    assert trouble.conclusive


def test_a_missing_socket_that_somebody_chose_says_nothing_of_this_machines_engine() -> None:
    trouble = docker_engine.diagnose(NO_FILE, "unix:///run/user/1000/docker.sock", chosen=True)
    assert trouble.found.startswith("DOCKER_HOST or the Docker context names unix:///run/user/1000/docker.sock")
    assert "unset DOCKER_HOST DOCKER_CONTEXT" in trouble.remedy[0]
    assert not trouble.conclusive


def test_each_cause_has_its_own_words_and_its_own_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    elsewhere = docker_engine.ask()
    assert isinstance(elsewhere, Trouble)
    causes = {
        "not installed": docker_engine.diagnose(NO_FILE, SOCKET, chosen=False),
        "nobody listens": docker_engine.diagnose(REFUSED, SOCKET, chosen=False),
        "forbidden": docker_engine.diagnose(FORBIDDEN, SOCKET, chosen=False),
        "silent": docker_engine.silent(SOCKET),
        "API": docker_engine.diagnose(errors.InvalidVersion("no longer supported"), SOCKET, chosen=False),
        "unknown": docker_engine.diagnose(errors.DockerException("odd"), SOCKET, chosen=False),
        "chosen and not there": docker_engine.diagnose(NO_FILE, SOCKET, chosen=True),
    }
    program(tmp_path, "dockerd")
    stopped = docker_engine.diagnose(NO_FILE, SOCKET, chosen=False)
    assert len({each.found for each in (*causes.values(), stopped, elsewhere)}) == len(causes) + 2
    assert len({each.remedy for each in causes.values()}) == len(causes)
    # Found in another way, mended in the same.
    assert stopped.remedy == causes["nobody listens"].remedy
    assert elsewhere.remedy == causes["chosen and not there"].remedy


@pytest.mark.parametrize(
    ("endpoint", "here"),
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
        ("ssh://somebody@elsewhere", False),
        ("ssh://localhost@elsewhere", False),
        ("", False),
    ],
)
def test_an_endpoint_is_local_where_it_cannot_lead_to_another_machine(endpoint: str, here: bool) -> None:
    assert docker_engine.local(endpoint) is here


def context(tmp_path: Path, name: str, host: str, *, current: bool = False) -> None:
    """A context as Docker's CLI keeps it on disk: `docker context create NAME --docker host=HOST`."""
    folder = tmp_path / "docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    if current:
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"currentContext": name}), encoding="utf-8")


def test_without_any_choice_it_is_the_systems_socket() -> None:
    assert docker_engine.where() == (SOCKET, False)


def test_a_current_context_is_a_choice(tmp_path: Path) -> None:
    context(tmp_path, "mine", "unix:///run/user/1000/docker.sock", current=True)
    assert docker_engine.where() == ("unix:///run/user/1000/docker.sock", True)


def test_a_context_that_names_the_systems_socket_is_no_other_choice(tmp_path: Path) -> None:
    context(tmp_path, "mine", SOCKET, current=True)
    assert docker_engine.where() == (SOCKET, False)


def test_the_variable_goes_before_the_current_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(tmp_path, "mine", "unix:///run/user/1000/docker.sock", current=True)
    context(tmp_path, "lab", "ssh://lab")
    monkeypatch.setenv("DOCKER_CONTEXT", "lab")
    assert docker_engine.where() == ("ssh://lab", True)
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert docker_engine.where() == (SOCKET, False)


def test_a_context_that_is_not_there_or_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's CLI refuses; the system's socket instead would be another engine than the user's commands reach."""
    monkeypatch.setenv("DOCKER_CONTEXT", "nosuch")
    found = docker_engine.ask()
    assert isinstance(found, Trouble)
    assert "there is no Docker context nosuch" in found.found
    assert not found.conclusive
    context(tmp_path, "damaged", "unix:///run/x")
    for meta in (tmp_path / "docker").rglob("meta.json"):
        meta.write_text("{", encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONTEXT", "damaged")
    found = docker_engine.ask()
    assert isinstance(found, Trouble)
    assert "Docker's contexts cannot be followed" in found.found


def test_a_named_host_goes_before_every_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(tmp_path, "lab", "ssh://lab", current=True)
    monkeypatch.setenv("DOCKER_CONTEXT", "lab")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    assert docker_engine.where() == ("tcp://127.0.0.1:2375", True)
    monkeypatch.setenv("DOCKER_HOST", "")
    assert docker_engine.where() == ("ssh://lab", True)


def test_an_engine_that_answers_is_asked_for_its_version_and_its_state(connecting: Play, tmp_path: Path) -> None:
    engine = recorded("spark-29")
    info = {**engine["info"], "CDISpecDirs": [str(tmp_path)]}
    connecting(answer(engine["version"]), answer(engine["version"]), answer(info))  # the SDK asks once for itself
    assert docker_engine.ask() == docker_engine.parse(SOCKET, engine["version"], info, SDK)


def test_an_engine_that_dies_half_way_does_not_pass_for_one_that_answers(
    connecting: Play,
) -> None:
    version = answer(recorded("spark-29")["version"])
    connecting(version, version, answer(BROKEN, "500 Internal Server Error"))
    found = docker_engine.ask()
    assert isinstance(found, Trouble)
    assert "no space left on device" in found.found


def test_an_engine_on_another_machine_is_not_even_asked(connecting: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "DockerClient", lambda **_: pytest.fail("asked"))
    monkeypatch.setenv("DOCKER_HOST", "ssh://somebody@elsewhere")
    found = docker_engine.ask()
    assert isinstance(found, Trouble)
    assert "ssh://somebody@elsewhere is on another machine" in found.found
    assert not found.conclusive


def completed(monkeypatch: pytest.MonkeyPatch, returncode: int | None, stdout: str = "", stderr: str = "") -> None:
    def run(args: list[str], *, timeout_s: float) -> command.Completed:
        assert args == [sys.executable, "-P", "-m", "dgxcert.probes.host.docker_engine"]
        assert timeout_s == docker_engine.LIMIT_S
        return command.Completed(tuple(args), returncode, stdout, stderr)

    monkeypatch.setattr(command, "run", run)


def test_an_answer_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = parsed("spark-29", tmp_path)
    completed(monkeypatch, 0, json.dumps(asdict(engine)))
    assert docker_engine.reach() == docker_engine.read() == engine
    assert docker_engine.judged() == docker_engine.Answer(True, engine.says, ())


def test_a_finding_about_this_machine_is_judged_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = docker_engine.diagnose(REFUSED, SOCKET, chosen=False)
    completed(monkeypatch, 0, json.dumps(asdict(trouble)))
    assert docker_engine.reach() == trouble
    assert docker_engine.judged() == docker_engine.Answer(False, trouble.found, trouble.remedy)


def test_what_is_no_finding_about_this_machine_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = docker_engine.diagnose(FORBIDDEN, SOCKET, chosen=False)
    completed(monkeypatch, 0, json.dumps(asdict(trouble)))
    with pytest.raises(Inconclusive) as raised:
        docker_engine.judged()
    assert (raised.value.problem, raised.value.remedy) == (trouble.found, trouble.remedy)


@pytest.mark.parametrize("error", [REFUSED, FORBIDDEN])
def test_for_every_other_requirement_an_engine_that_does_not_answer_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    trouble = docker_engine.diagnose(error, SOCKET, chosen=False)
    completed(monkeypatch, 0, json.dumps(asdict(trouble)))
    with pytest.raises(Inconclusive) as raised:
        docker_engine.read()
    assert trouble.found in raised.value.problem
    assert raised.value.remedy == ("See DOCKER-REACHABLE first.",)


@pytest.mark.parametrize(
    ("host", "named"), [("", "the current context's endpoint"), ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375")]
)
def test_a_question_that_never_comes_back_is_an_engine_that_is_silent(
    monkeypatch: pytest.MonkeyPatch, host: str, named: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    completed(monkeypatch, None)
    assert docker_engine.reach() == docker_engine.silent(named)
    with pytest.raises(Inconclusive, match=f"{named} takes the question and does not answer within 9 s"):
        docker_engine.judged()


def test_in_a_container_an_engine_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "inside_container", lambda: True)
    completed(monkeypatch, 1, stderr="ModuleNotFoundError: No module named 'docker'\n")
    with pytest.raises(Inconclusive, match="this is a container") as raised:
        docker_engine.judged()
    assert raised.value.remedy == ("Outside, run: make validate",)


def test_a_question_that_could_not_be_asked_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "inside_container", lambda: False)
    completed(monkeypatch, 1, stderr="Traceback\nModuleNotFoundError: No module named 'docker'\n")
    with pytest.raises(Inconclusive, match=r"could not be asked: .*No module named 'docker'") as raised:
        docker_engine.judged()
    assert raised.value.remedy == ("Install anew: make setup",)


def test_three_questions_fit_into_the_time_limit() -> None:
    assert 3 * docker_engine.ANSWER_S <= docker_engine.LIMIT_S < 10
