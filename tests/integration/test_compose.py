"""What a container of the compose service can and cannot do, with every compose of this machine."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from needs import missing

from dgxcert.container import engine
from dgxcert.machine.image import Image

ROOT = Path(__file__).parents[2]

INSPECT = """
import json, os, pathlib, subprocess
def attempt(step):
    try:
        step()
    except OSError as error:
        return error.strerror
    return "yes"
def run_a_program():
    path = pathlib.Path("/tmp/program")
    path.write_text("#!/bin/sh\\nexit 0\\n")
    path.chmod(0o755)
    subprocess.run([path], check=True)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
cached = pathlib.Path(os.environ["HF_HOME"]) / "cached"
def write_to_cache():
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_text("weights")
before = cached.exists()
token = pathlib.Path(os.environ["HF_TOKEN_PATH"])
def limits():
    import resource
    return {"fsize": resource.getrlimit(resource.RLIMIT_FSIZE)[0]}
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "write to the root": attempt(lambda: pathlib.Path("/usr/new").touch()),
    "run a program in /tmp": attempt(run_a_program),
    "write to the cache": attempt(write_to_cache),
    "cached before": before,
    "write a result": attempt(lambda: pathlib.Path("/results/result").touch()),
    "capabilities": status["CapEff"].strip().strip("0"),
    "no new privileges": status["NoNewPrivs"].strip(),
    "capabilities to gain": [status[name].strip().strip("0") for name in ("CapInh", "CapPrm", "CapAmb")],
    "groups": os.getgroups(),
    "namespaces": {name: os.readlink("/proc/self/ns/" + name) for name in ("ipc", "pid")},
    "first process": pathlib.Path("/proc/1/comm").read_text().strip(),
    "signal the first process": attempt(lambda: os.kill(1, 0)),
    "make another's cache": attempt(lambda: pathlib.Path("/cache/54321").mkdir()),
    "rename the own cache": attempt(lambda: os.rename("/cache/" + str(os.getuid()), "/cache/54322")),
    "open the cache": attempt(lambda: os.chmod("/cache", 0o777)),
    "cache": [os.stat(os.path.dirname(os.environ["HF_HOME"])).st_mode & 0o777, os.stat("/cache").st_mode & 0o7777],
    "token": token.read_text() if token.exists() else None,
    "replace the token": attempt(lambda: os.rename("/tmp/program", token)),
    "sizes": {path: os.statvfs(path).f_blocks * os.statvfs(path).f_frsize for path in ("/dev/shm", "/tmp")},
    "limits": limits(),
    "environment": dict(os.environ),
}))
"""


OPEN = "chown 0 /cache && chmod 1777 /cache && chown 1000:1000 /cache"
"""What an older image made of a new volume."""


@dataclass
class Service:
    """The service under one compose, with the test's own project, image and folders."""

    compose: tuple[str, ...]
    image: Image
    folder: Path
    user: tuple[int, int] = (os.getuid(), os.getgid())
    project: str = field(default_factory=lambda: f"dgxcert-test-{uuid4().hex[:8]}")

    def __call__(self, *args: str, typed: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "DGXCERT_IMAGE": self.image.id,
            "DGXCERT_UID": str(self.user[0]),
            "DGXCERT_GID": str(self.user[1]),
            "DGXCERT_RESULTS": str(self.folder / "results"),
            **settings,
        }
        command = [*self.compose, "-p", self.project, "-f", str(ROOT / "compose.yaml"), *args]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=engine.environment(**environment),
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )

    def become(self, user: tuple[int, int]) -> None:
        """Start containers for another user, who owns the results."""
        self.user = user
        os.chown(self.folder / "results", *user)

    def shell(self, typed: str, *options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """What is typed into the service's shell, as `dgxcert shell` opens it."""
        return self("run", "--rm", "-T", *options, "cpu", "shell", typed=typed, **settings)

    def inspect(self, **settings: str) -> dict[str, object]:
        """What a program in the service can do and read."""
        done = self.shell(f"exec python3 - <<'END'\n{INSPECT}\nEND\n", **settings)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(params=["compose 2", "compose 1"])
def service(
    request: pytest.FixtureRequest,
    make_image: Callable[[str], tuple[Image, Path]],
    composes: dict[str, tuple[str, ...]],
    tmp_path: Path,
) -> Iterator[Service]:
    if request.param not in composes:
        missing(request.param, "Run: sudo scripts/system-packages")
    (tmp_path / "results").mkdir()
    service = Service(composes[request.param], make_image("contained")[0], tmp_path)
    yield service
    service("--profile", "cpu", "--profile", "gpu", "down", "--volumes")


@pytest.mark.parametrize("user", [(os.getuid(), os.getgid()), (4711, 4712)])
def test_the_service_can_do_what_the_suite_needs_and_no_more(service: Service, user: tuple[int, int]) -> None:
    service.become(user)
    container = service.inspect()
    assert container["user"] == list(user)
    assert container["groups"] in ([], [user[1]])
    assert container["write to the root"] == "Read-only file system"
    assert container["run a program in /tmp"] == "yes"
    assert container["capabilities"] == ""
    assert container["capabilities to gain"] == ["", "", ""]
    assert container["no new privileges"] == "1"
    assert container["first process"] in {"docker-init", "tini"}


@pytest.mark.parametrize("user", [(os.getuid(), os.getgid()), (4711, 4712)])
def test_the_inside_sees_neither_processes_nor_memory_of_the_host(service: Service, user: tuple[int, int]) -> None:
    service.become(user)
    container = service.inspect()
    for name, inside in dict(container["namespaces"]).items():  # type: ignore[call-overload]
        assert inside != os.readlink(f"/proc/self/ns/{name}")
    assert user[0] == 0 or container["signal the first process"] == "Operation not permitted"


@pytest.mark.parametrize("user", [(os.getuid(), os.getgid()), (4711, 4712)])
def test_no_user_can_make_or_open_the_cache_of_another(service: Service, user: tuple[int, int]) -> None:
    """Root included: in the container it has no capability, and the folder is nobody's."""
    service.become(user)
    container = service.inspect()
    assert container["cache"] == [0o700, 0o755]
    for attempt in ("make another's cache", "rename the own cache"):
        assert container[attempt] == "Permission denied"
    assert container["open the cache"] == "Operation not permitted"


def test_what_the_inside_can_take_is_limited(service: Service) -> None:
    done = service("run", "-d", "cpu", "shell", DGXCERT_MEMORY="2147483648", DGXCERT_SHM="2g", DGXCERT_TMP="1g")
    assert done.returncode == 0, done.stderr
    limits = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.ShmSize}} {{.HostConfig.IpcMode}}"
    found = engine.run("inspect", "--format", limits, done.stdout.split()[-1])
    engine.run("rm", "--force", done.stdout.split()[-1])
    assert found.stdout.split() == ["2147483648", "16384", "2147483648", "private"]
    container = service.inspect(DGXCERT_SHM="2g", DGXCERT_TMP="1g")
    assert container["sizes"] == {"/dev/shm": 2 * 2**30, "/tmp": 2**30}
    assert container["limits"] == {"fsize": 128 * 2**30}


def test_results_belong_to_the_caller_and_the_cache_is_kept(service: Service) -> None:
    first = service.inspect()
    assert (first["write a result"], first["write to the cache"], first["cached before"]) == ("yes", "yes", False)
    result = service.folder / "results" / "result"
    assert (result.stat().st_uid, result.stat().st_gid) == (os.getuid(), os.getgid())
    assert service.inspect()["cached before"]


def test_any_user_can_use_the_cache_and_write_results(service: Service) -> None:
    """The caller's numeric id is not in the container's list of users."""
    service.become((4711, 4712))
    container = service.inspect()
    assert (container["user"], container["write to the cache"], container["write a result"]) == (
        [4711, 4712],
        "yes",
        "yes",
    )
    service.become((4713, 4714))
    container = service.inspect()
    assert (container["cached before"], container["write to the cache"]) == (False, "yes"), (
        "each user has their own cache"
    )


def test_a_token_by_hand_is_a_file_that_the_inside_cannot_change_and_in_no_environment_variable(
    service: Service,
) -> None:
    token = service.folder / "token"
    token.write_text("hf_between_us", encoding="utf-8")
    token.chmod(0o600)
    service.become((4711, 4712))
    container = service.inspect(HF_TOKEN_FILE=str(token), HF_TOKEN="hf_between_us")
    assert container["token"] == "hf_between_us"
    assert container["replace the token"] != "yes"
    assert "hf_between_us" not in json.dumps(container["environment"])
    done = service.shell("echo hf_mine > /run/secrets/hf_token", HF_TOKEN_FILE=str(token))
    assert "Read-only file system" in done.stderr
    assert token.read_text(encoding="utf-8") == "hf_between_us"


def test_the_users_certificate_authority_is_readable_in_the_container(service: Service) -> None:
    authority = service.folder / "authority.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")
    variable = ("-e", "SSL_CERT_FILE=/run/secrets/authority")
    shown = service.shell('cat "$SSL_CERT_FILE"', *variable, DGXCERT_AUTHORITY=str(authority))
    assert "-----BEGIN CERTIFICATE-----" in shown.stdout


def test_without_a_token_there_is_no_file_and_no_warning(service: Service) -> None:
    container = service.inspect()
    assert container["token"] is None


def test_a_proxy_of_the_caller_is_in_no_variable_that_the_engine_shows(service: Service) -> None:
    proxy = "http://user:between-us@127.0.0.1:9"
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "NO_PROXY")
    done = service("run", "-d", "cpu", "shell", **dict.fromkeys(names, proxy))
    shown = engine.run("inspect", done.stdout.split()[-1]).stdout
    engine.run("rm", "--force", done.stdout.split()[-1])
    assert "HTTPS_PROXY=" in shown
    assert "between-us" not in shown


@pytest.mark.parametrize(
    ("prepared", "said"),
    [
        ("mkdir -m 777 /cache/4711; chown 54321 /cache/4711", "belongs to user 54321 and not to user 4711"),
        ("ln -s /tmp /cache/4711", "is a link"),
        ("mkfifo /cache/4711; chown 4711 /cache/4711", "is no folder"),
        ("mkdir -m 777 /cache/4711; chown 4711 /cache/4711", "has mode 0777, which lets others write"),
    ],
    ids=["another's", "link", "fifo", "open"],
)
def test_a_cache_that_somebody_else_prepared_is_refused_with_what_to_do(
    service: Service, prepared: str, said: str
) -> None:
    """As in a volume of an older image, whose /cache was open to all."""
    made = service("run", "--rm", "-T", "--entrypoint", "sh", "cpu", "-c", f"umask 0; {OPEN}; {prepared}")
    assert made.returncode == 0, made.stderr
    service.become((4711, 4712))
    refused = service("run", "--rm", "-T", "cpu", "list")
    assert refused.returncode == 3
    assert f"/cache/4711 of the volume dgxcert_cache {said}" in refused.stderr
    assert "-T /cache/4711 /cache/4711.aside" in refused.stderr
    assert "Traceback" not in refused.stderr
    moved = service("run", "--rm", "-T", "--entrypoint", "mv", "cpu", "-T", "/cache/4711", "/cache/4711.aside")
    assert moved.returncode == 0, moved.stderr
    assert service.inspect()["write to the cache"] == "yes"


def test_an_old_volume_is_taken_over_with_what_is_cached(service: Service) -> None:
    cached = "mkdir -p /cache/4711/huggingface; echo weights > /cache/4711/huggingface/cached"
    owned = "chown -R 4711:4712 /cache/4711"
    made = service("run", "--rm", "-T", "--entrypoint", "sh", "cpu", "-c", f"{OPEN}; {cached}; {owned}")
    assert made.returncode == 0, made.stderr
    service.become((4711, 4712))
    container = service.inspect()
    assert (container["cached before"], container["write to the cache"]) == (True, "yes")
    assert container["cache"] == [0o755, 0o755]


def test_who_is_no_number_is_refused_in_a_sentence(service: Service) -> None:
    refused = service("run", "--rm", "-T", "cpu", "list", DGXCERT_UID="-1")
    assert refused.returncode == 3
    assert "dgxcert: DGXCERT_UID is '-1', wanted a user's number: DGXCERT_UID=$(id -u)" in refused.stderr


def test_the_gpu_service_requests_every_gpu_and_the_ulimits_of_ngc(service: Service) -> None:
    shown = service("--profile", "gpu", "config")
    assert shown.returncode == 0, shown.stderr
    assert "driver: nvidia" in shown.stdout
    assert "memlock: -1" in shown.stdout
    assert "stack: 67108864" in shown.stdout


def test_the_gpu_service_without_the_gpu_runtime_fails_with_its_reason(service: Service) -> None:
    if "nvidia" in engine.run("info", "--format", "{{json .Runtimes}}").stdout:
        pytest.skip("this engine has the GPU runtime")
    done = service("run", "--rm", "-T", "gpu", "--help")
    assert done.returncode != 0
    assert "could not select device driver" in done.stderr
