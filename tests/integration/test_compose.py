"""The compose service as every compose on this machine starts it: what a container can and cannot do."""

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

LOOK = """
import json, os, pathlib, subprocess
def able(step):
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
kept = pathlib.Path(os.environ["HF_HOME"]) / "kept"
def keep():
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("weights")
before = kept.exists()
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "write to the root": able(lambda: pathlib.Path("/usr/new").touch()),
    "run a program in /tmp": able(run_a_program),
    "keep in the cache": able(keep),
    "kept before": before,
    "leave a result": able(lambda: pathlib.Path("/results/left").touch()),
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
    """One compose on the test's own project, image and folders."""

    compose: tuple[str, ...]
    image: Image
    folder: Path
    user: tuple[int, int] = (os.getuid(), os.getgid())
    project: str = field(default_factory=lambda: f"dgxcert-test-{uuid4().hex[:8]}")

    def __call__(self, *args: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        given = {
            "DGXCERT_IMAGE": self.image.id,
            "DGXCERT_UID": str(self.user[0]),
            "DGXCERT_GID": str(self.user[1]),
            "DGXCERT_RESULTS": str(self.folder / "results"),
            **settings,
        }
        command = [*self.compose, "-p", self.project, "-f", str(ROOT / "compose.yaml"), *args]
        return subprocess.run(
            command, cwd=ROOT, env=engine.environment(**given), capture_output=True, text=True, check=False
        )

    def look(self, **settings: str) -> dict[str, object]:
        """What a program in the service sees."""
        done = self("run", "--rm", "-T", "--entrypoint", "python3", "cpu", "-c", LOOK, **settings)
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
    made = Service(composes[request.param], make_image("contained")[0], tmp_path)
    yield made
    made("--profile", "cpu", "--profile", "gpu", "down", "--volumes")


def test_the_service_can_do_what_the_suite_needs_and_no_more(service: Service) -> None:
    seen = service.look()
    assert seen["user"] == [os.getuid(), os.getgid()]
    assert seen["write to the root"] == "Read-only file system"
    assert seen["run a program in /tmp"] == "yes"
    assert seen["capabilities"] == ""
    assert seen["no new privileges"] == "1"
    assert seen["ipc"] == os.readlink("/proc/self/ns/ipc")
    assert seen["first process"] in {"docker-init", "tini"}


def test_results_belong_to_the_caller_and_the_cache_is_kept(service: Service) -> None:
    first = service.look()
    assert (first["leave a result"], first["keep in the cache"], first["kept before"]) == ("yes", "yes", False)
    left = service.folder / "results" / "left"
    assert (left.stat().st_uid, left.stat().st_gid) == (os.getuid(), os.getgid())
    assert service.look()["kept before"]


def test_any_user_can_use_the_cache_and_leave_results(service: Service) -> None:
    """The caller's numeric id is in no list of users inside."""
    service.user = (4711, 4712)
    os.chown(service.folder / "results", *service.user)
    seen = service.look()
    assert (seen["user"], seen["keep in the cache"], seen["leave a result"]) == ([4711, 4712], "yes", "yes")
    service.user = (4713, 4714)
    os.chown(service.folder / "results", *service.user)
    seen = service.look()
    assert (seen["kept before"], seen["keep in the cache"]) == (False, "yes"), "a second user beside the first"


def test_the_token_comes_as_a_file_and_stands_in_no_environment(service: Service) -> None:
    token = service.folder / "token"
    token.write_text("hf_between_us", encoding="utf-8")
    seen = service.look(HF_TOKEN_FILE=str(token), HF_TOKEN="hf_between_us")
    assert seen["token"] == "hf_between_us"
    assert "hf_between_us" not in json.dumps(seen["environment"])


def test_the_users_own_authority_is_there_inside(service: Service) -> None:
    authority = service.folder / "authority.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")
    trusting = ["-e", "SSL_CERT_FILE=/run/secrets/authority"]
    show = ["run", "--rm", "-T", *trusting, "--entrypoint", "sh", "cpu", "-c", 'cat "$SSL_CERT_FILE"']
    assert service(*show, DGXCERT_AUTHORITY=str(authority)).stdout == "-----BEGIN CERTIFICATE-----"


def test_without_a_token_the_file_is_empty_and_nobody_complains(service: Service) -> None:
    done = service("run", "--rm", "-T", "--entrypoint", "cat", "cpu", "/run/secrets/hf_token")
    assert (done.returncode, done.stdout) == (0, "")
    assert "undefined secret" not in done.stderr


def test_the_gpu_service_asks_for_every_gpu_and_room_to_work(service: Service) -> None:
    shown = service("--profile", "gpu", "config")
    assert shown.returncode == 0, shown.stderr
    assert "driver: nvidia" in shown.stdout
    assert "memlock: -1" in shown.stdout
    assert "stack: 67108864" in shown.stdout


def test_the_gpu_service_without_the_gpu_runtime_says_so(service: Service) -> None:
    if "nvidia" in engine.run("info", "--format", "{{json .Runtimes}}").stdout:
        pytest.skip("this engine has the GPU runtime")
    done = service("run", "--rm", "-T", "gpu", "--help")
    assert done.returncode != 0
    assert "could not select device driver" in done.stderr
