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
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "write to the root": attempt(lambda: pathlib.Path("/usr/new").touch()),
    "run a program in /tmp": attempt(run_a_program),
    "write to the cache": attempt(write_to_cache),
    "cached before": before,
    "write a result": attempt(lambda: pathlib.Path("/results/result").touch()),
    "capabilities": status["CapEff"].strip().strip("0"),
    "no new privileges": status["NoNewPrivs"].strip(),
    "ipc": os.readlink("/proc/self/ns/ipc"),
    "first process": pathlib.Path("/proc/1/comm").read_text().strip(),
    "token": pathlib.Path(os.environ["HF_TOKEN_PATH"]).read_text(),
    "environment": dict(os.environ),
}))
"""


@dataclass
class Service:
    """The service under one compose, with the test's own project, image and folders."""

    compose: tuple[str, ...]
    image: Image
    folder: Path
    user: tuple[int, int] = (os.getuid(), os.getgid())
    project: str = field(default_factory=lambda: f"dgxcert-test-{uuid4().hex[:8]}")

    def __call__(self, *args: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "DGXCERT_IMAGE": self.image.id,
            "DGXCERT_UID": str(self.user[0]),
            "DGXCERT_GID": str(self.user[1]),
            "DGXCERT_RESULTS": str(self.folder / "results"),
            **settings,
        }
        command = [*self.compose, "-p", self.project, "-f", str(ROOT / "compose.yaml"), *args]
        return subprocess.run(
            command, cwd=ROOT, env=engine.environment(**environment), capture_output=True, text=True, check=False
        )

    def inspect(self, **settings: str) -> dict[str, object]:
        """What a program in the service can do and read."""
        done = self("run", "--rm", "-T", "--entrypoint", "python3", "cpu", "-c", INSPECT, **settings)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


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


def test_the_service_can_do_what_the_suite_needs_and_no_more(service: Service) -> None:
    container = service.inspect()
    assert container["user"] == [os.getuid(), os.getgid()]
    assert container["write to the root"] == "Read-only file system"
    assert container["run a program in /tmp"] == "yes"
    assert container["capabilities"] == ""
    assert container["no new privileges"] == "1"
    assert container["ipc"] == os.readlink("/proc/self/ns/ipc")
    assert container["first process"] in {"docker-init", "tini"}


def test_results_belong_to_the_caller_and_the_cache_is_kept(service: Service) -> None:
    first = service.inspect()
    assert (first["write a result"], first["write to the cache"], first["cached before"]) == ("yes", "yes", False)
    result = service.folder / "results" / "result"
    assert (result.stat().st_uid, result.stat().st_gid) == (os.getuid(), os.getgid())
    assert service.inspect()["cached before"]


def test_any_user_can_use_the_cache_and_write_results(service: Service) -> None:
    """The caller's numeric id is not in the container's list of users."""
    service.user = (4711, 4712)
    os.chown(service.folder / "results", *service.user)
    container = service.inspect()
    assert (container["user"], container["write to the cache"], container["write a result"]) == (
        [4711, 4712],
        "yes",
        "yes",
    )
    service.user = (4713, 4714)
    os.chown(service.folder / "results", *service.user)
    container = service.inspect()
    assert (container["cached before"], container["write to the cache"]) == (False, "yes"), (
        "each user has their own cache"
    )


def test_the_token_is_a_file_and_in_no_environment_variable(service: Service) -> None:
    token = service.folder / "token"
    token.write_text("hf_between_us", encoding="utf-8")
    container = service.inspect(HF_TOKEN_FILE=str(token), HF_TOKEN="hf_between_us")
    assert container["token"] == "hf_between_us"
    assert "hf_between_us" not in json.dumps(container["environment"])


def test_the_users_certificate_authority_is_readable_in_the_container(service: Service) -> None:
    authority = service.folder / "authority.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")
    variables = ["-e", "SSL_CERT_FILE=/run/secrets/authority"]
    show = ["run", "--rm", "-T", *variables, "--entrypoint", "sh", "cpu", "-c", 'cat "$SSL_CERT_FILE"']
    assert service(*show, DGXCERT_AUTHORITY=str(authority)).stdout == "-----BEGIN CERTIFICATE-----"


def test_without_a_token_the_file_is_empty_without_a_warning(service: Service) -> None:
    done = service("run", "--rm", "-T", "--entrypoint", "cat", "cpu", "/run/secrets/hf_token")
    assert (done.returncode, done.stdout) == (0, "")
    assert "undefined secret" not in done.stderr


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
