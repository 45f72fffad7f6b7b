"""Launchers: a child starts in the environment of its stage, is killed completely, and its exit is explained."""

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
from suites import example

from dgxcert import command
from dgxcert.container import engine, handover, limits, proxies
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite
from dgxcert.probes.gpu.sharing import outside_view, watch
from dgxcert.runner.launcher import Here, InContainer

IMAGE = example.image_ready().image


@dataclass
class Started:
    """The arguments that a launcher passed to `command.start`."""

    args: list[str] = field(default_factory=list)
    cwd: Path = Path()
    env: dict[str, str] = field(default_factory=dict)
    beside: list[list[str]] = field(default_factory=list)
    """The arguments of the processes beside it."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Start nothing; engine and compose are those of a Docker CLI."""
    found = Started()

    def start(args: list[str], *, output: IO[bytes], cwd: Path, env: dict[str, str]) -> str:
        found.args, found.cwd, found.env = args, cwd, env
        return "the process"

    monkeypatch.setattr(command, "start_piped", start)
    monkeypatch.setattr(command, "start", lambda args, **_: found.beside.append(args))
    monkeypatch.setattr(engine, "compose", lambda: ("/usr/bin/docker", "compose"))
    monkeypatch.setattr(engine, "endpoint", lambda: "unix:///run/mine.sock")
    return found


def in_container(folder: Path, service: str = "cpu") -> InContainer:
    return InContainer(IMAGE, service, "hf_secret", {"DGXCERT_MEMORY": "77"})


def start(launcher: Here | InContainer, child: int = 3, inside: Path = Path("results/run/inside")) -> object:
    with open(os.devnull, "wb") as output:
        return launcher.start(child, inside, output)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "container-1.log"
    path.write_bytes(b"")
    return path


@pytest.fixture(autouse=True)
def _no_ca_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ignore CA bundles that are set where the tests run."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def test_a_child_in_a_container_is_a_compose_run_of_this_suites_own_service(started: Started, tmp_path: Path) -> None:
    assert start(in_container(tmp_path / "2026-run")) == "the process"
    compose = ["/usr/bin/docker", "compose", "-p", "dgxcert", "-f", str(suite.root() / "compose.yaml")]
    run = ["run", "--rm", "-T", "--name", f"dgxcert-{os.getpid()}-3", "cpu"]
    assert started.args == [*compose, *run, "stage", "/results"]
    assert started.cwd == suite.root()


@pytest.mark.parametrize("service", ["gpu", "cpu"])
def test_the_service_is_the_one_that_the_profile_needs(started: Started, tmp_path: Path, service: str) -> None:
    start(in_container(tmp_path, service))
    assert started.args[started.args.index("--name") + 2] == service


def test_compose_gets_the_image_the_user_the_limits_and_the_folder_for_the_inside(
    started: Started, tmp_path: Path
) -> None:
    start(in_container(tmp_path / "results" / "run"), inside=tmp_path / "results" / "run" / "inside")
    asked = ("DGXCERT_IMAGE", "DGXCERT_UID", "DGXCERT_GID", "DGXCERT_RESULTS", "DGXCERT_MEMORY", "DOCKER_HOST")
    assert {name: started.env[name] for name in asked} == {
        "DGXCERT_IMAGE": "sha256:77",
        "DGXCERT_UID": str(os.getuid()),
        "DGXCERT_GID": str(os.getgid()),
        "DGXCERT_RESULTS": str(tmp_path / "results" / "run" / "inside"),
        "DGXCERT_MEMORY": "77",
        "DOCKER_HOST": "unix:///run/mine.sock",
    }


def test_a_token_file_of_the_users_is_not_mounted(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN_FILE", "/home/me/token")
    start(in_container(tmp_path))
    assert started.env["HF_TOKEN_FILE"] == ""


def handed_over(env: dict[str, str]) -> dict[str, Any]:
    """What the entry of the container is given."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.path.relpath(Path(env["DGXCERT_EXCHANGE"], handover.NAME)))
        return dict(json.loads(b"".join(iter(lambda: asking.recv(65536), b""))))


def test_token_and_proxies_are_handed_over_and_in_no_argument_and_no_variable_of_compose(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(proxies, "find", lambda: {"HTTPS_PROXY": "http://me:secret@proxy:3128"})
    launcher = in_container(tmp_path)
    start(launcher)
    assert not [word for word in (*started.args, *started.env.values()) if "secret" in word]
    given = handed_over(started.env)
    assert given == {"token": "hf_secret", "environment": {"HTTPS_PROXY": "http://me:secret@proxy:3128"}}


def test_the_folder_of_the_exchange_is_the_callers_alone_and_ends_with_the_child(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "run", lambda *_: command.Completed((), 0, "", ""))
    monkeypatch.setattr(command, "end_group", lambda *_: True)
    launcher = in_container(tmp_path)
    process: Any = start(launcher)
    exchange = Path(started.env["DGXCERT_EXCHANGE"])
    assert exchange.stat().st_mode & 0o777 == 0o700
    for _ in range(2):  # the supervisor may end a child twice
        assert launcher.end(process, 1.0)
    assert not exchange.exists()


@pytest.mark.parametrize("service", ["gpu", "cpu"])
def test_the_gpus_are_watched_from_outside_where_the_container_has_them(
    started: Started, tmp_path: Path, service: str
) -> None:
    launcher = in_container(tmp_path, service)
    start(launcher, 7)
    exchange = Path(started.env["DGXCERT_EXCHANGE"])
    assert (exchange / outside_view.FILE.name).exists() is (service == "gpu"), "the sign to ask there"
    watched = [args[-2:] for args in started.beside]
    name, file = f"dgxcert-{os.getpid()}-7", str(exchange / outside_view.FILE.name)
    assert watched == ([[name, file]] if service == "gpu" else [])
    assert all(args[3] == watch.__name__ for args in started.beside)


def test_a_full_disk_is_a_sentence(started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handover, "offer", refuse)
    with pytest.raises(CannotStart, match=r"takes temporary files \(No space left on device\)"):
        start(in_container(tmp_path))


def test_no_other_variable_reaches_compose(started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_FILE", "other.yaml")
    monkeypatch.setenv("DGXCERT_IMAGE", "other:image")
    start(in_container(tmp_path))
    assert "COMPOSE_FILE" not in started.env
    assert started.env["DGXCERT_IMAGE"] == "sha256:77"


def test_every_variable_that_compose_gets_is_used_in_its_file(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authority.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    start(in_container(tmp_path))
    asks = (suite.root() / "compose.yaml").read_text(encoding="utf-8")
    told = [name for name in started.env if name.startswith("DGXCERT_") and name not in os.environ]
    assert len(told) == 7
    assert all(f"${{{name}:-" in asks for name in (*told, *limits.OF_MEMORY, "HF_TOKEN_FILE"))
    assert started.env["DGXCERT_AUTHORITY"] == str(tmp_path / "authority.pem")
    assert "SSL_CERT_FILE=/run/secrets/authority" in started.args


def test_without_a_ca_bundle_the_image_uses_its_own(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    start(in_container(tmp_path))
    assert "DGXCERT_AUTHORITY" not in started.env
    assert "-e" not in started.args


def test_a_relative_folder_becomes_absolute(started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    start(in_container(tmp_path))
    assert started.env["DGXCERT_RESULTS"] == str(tmp_path / "results" / "run" / "inside")
    start(Here())
    assert f"--dgxcert-inside={tmp_path}/results/run/inside" in started.args


def test_children_of_one_run_have_unique_container_names(started: Started, tmp_path: Path) -> None:
    launcher = in_container(tmp_path)
    names = []
    for child in (1, 2):
        start(launcher, child)
        names.append(started.args[started.args.index("--name") + 1])
    assert len(set(names)) == 2


def test_a_local_child_is_a_pytest_of_this_interpreter_that_knows_its_parent(started: Started, tmp_path: Path) -> None:
    start(Here(), inside=tmp_path)
    assert started.args[0] == sys.executable
    wanted = {f"--dgxcert-inside={tmp_path}", f"--dgxcert-parent={os.getpid()}"}
    assert wanted <= set(started.args)
    assert started.env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize(
    ("returncode", "words", "killed"),
    [
        (0, "its process ended with exit code 0", False),
        (2, "its process ended with exit code 2", False),
        (137, "its process ended with exit code 137", False),
        (-9, "its process was killed by SIGKILL", True),
        (-11, "its process was killed by SIGSEGV", False),
        (-6, "its process was killed by SIGABRT", False),
    ],
)
def test_the_exit_of_a_local_child_is_explained(
    tmp_path: Path, log: Path, returncode: int, words: str, killed: bool
) -> None:
    assert Here().death(returncode, log) == (words, killed)


@pytest.mark.parametrize(
    ("returncode", "words", "killed"),
    [
        (0, "its process ended with exit code 0", False),
        (137, "its process was killed by SIGKILL", True),
        (139, "its process was killed by SIGSEGV", False),
        (134, "its process was killed by SIGABRT", False),
        (143, "its process was killed by SIGTERM", False),
        (129, "its process was killed by SIGHUP", False),
        (128, "its process ended with exit code 128 (last words)", False),
        (125, "its process ended with exit code 125 (last words)", False),
        (255, "its process ended with exit code 255 (last words)", False),
        (-9, "its process was killed by SIGKILL (last words)", True),
    ],
)
def test_the_exit_of_a_container_is_that_of_its_process(
    tmp_path: Path, log: Path, returncode: int, words: str, killed: bool
) -> None:
    log.write_text("first\nlast words\n\n", encoding="utf-8")
    assert in_container(tmp_path).death(returncode, log) == (words, killed)


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (b"", "it printed nothing"),
        (b"\n \n", "it printed nothing"),
        (b"no such service: gpu", "no such service: gpu"),
        (b"Error response from daemon: \xff\n", "Error response from daemon: \ufffd"),
        (b"x" * 5000, "x" * 400),
    ],
    ids=["empty", "blank", "one line", "no text", "long"],
)
def test_a_container_that_did_not_start_is_explained_by_the_last_line_of_its_log(
    tmp_path: Path, log: Path, printed: bytes, said: str
) -> None:
    log.write_bytes(printed)
    words, _ = in_container(tmp_path).death(1, log)
    assert words == f"its process ended with exit code 1 ({said})"


End = Callable[..., tuple[bool, list[Any]]]


@pytest.fixture
def end(started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> End:
    """End a started child, with planned results of engine and process group; returns the result and the actions."""

    def act(returncode: int | None, stderr: str = "", *, group_gone: bool = True) -> tuple[bool, list[Any]]:
        done: list[Any] = []

        def ask(*args: str) -> command.Completed:
            done.append(args)
            return command.Completed(args, returncode, "", stderr)

        def end_group(process: object, grace_s: float) -> bool:
            done.append((process, grace_s))
            return group_gone

        monkeypatch.setattr(engine, "run", ask)
        monkeypatch.setattr(command, "end_group", end_group)
        launcher = in_container(tmp_path)
        process: Any = start(launcher, 7)
        return launcher.end(process, 1.5), done

    return act


def test_an_engine_that_fails_does_not_keep_the_client_alive(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*args: str) -> command.Completed:
        raise FileNotFoundError(2, "No such file or directory", "docker")

    ended: list[object] = []
    launcher = in_container(tmp_path)
    process: Any = start(launcher, 7)
    monkeypatch.setattr(engine, "run", ask)
    monkeypatch.setattr(command, "end_group", lambda *given: bool(ended.append(given)) or True)
    assert not launcher.end(process, 1.5)
    assert ended == [(process, 1.5)]


@pytest.mark.parametrize("code", [-35, -64])
def test_a_signal_without_a_name_has_its_number(code: int, tmp_path: Path) -> None:
    assert Here().death(code, tmp_path / "log") == (
        f"its process was killed by signal {-code}".replace("signal 64", "SIGRTMAX"),
        False,
    )


def test_ending_removes_the_container_by_its_name_and_the_client_that_waits_for_it(end: End) -> None:
    gone, done = end(0)
    assert gone
    assert done == [("rm", "--force", f"dgxcert-{os.getpid()}-7"), ("the process", 1.5)]


def test_a_container_that_was_already_removed_has_ended(end: End) -> None:
    """Older engines report an error for `docker rm --force`; newer ones succeed."""
    assert end(1, "Error: No such container: dgxcert-1-7\n")[0]


@pytest.mark.parametrize(
    ("returncode", "stderr"),
    [
        (
            1,
            "Error response from daemon: cannot remove container: could not kill: tried to kill container, but did not",
        ),
        (1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
        (None, ""),
    ],
    ids=["it does not die", "no engine", "no answer"],
)
def test_a_container_that_the_engine_did_not_remove_is_reported_as_running(
    end: End, returncode: int | None, stderr: str
) -> None:
    gone, done = end(returncode, stderr)
    assert not gone
    assert done[-1] == ("the process", 1.5), "its client is ended all the same"


def test_a_client_that_survives_its_kill_is_reported(end: End) -> None:
    assert not end(0, group_gone=False)[0]


@pytest.mark.parametrize("group_gone", [True, False])
def test_ending_a_local_child_kills_its_group_and_calls_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_gone: bool
) -> None:
    process: Any = "the process"
    monkeypatch.setattr(engine, "run", lambda *_: pytest.fail("no container was started"))
    monkeypatch.setattr(command, "end_group", lambda *given: group_gone and given == (process, 1.5))
    assert Here().end(process, 1.5) is group_gone


@pytest.mark.parametrize(("said", "of"), [("4711\n", 4711), ("0\n", 12), ("", 12)])
def test_the_memory_of_a_container_is_not_that_of_the_client_that_waits_for_it(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, of: int
) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(*args: str) -> command.Completed:
        asked.append(args)
        return command.Completed(args, 0, said, "")

    launcher = in_container(tmp_path)
    start(launcher, 7)
    monkeypatch.setattr(engine, "run", ask)
    monkeypatch.setattr(command, "resident_bytes", lambda pid: pid)
    client: Any = type("Client", (), {"pid": 12})()
    assert launcher.resident_bytes(client) == of
    assert Here().resident_bytes(client) == 12
    assert asked[0][0] == "inspect"
    assert asked[0][-1].endswith("-7")
