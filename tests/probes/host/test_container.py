"""A container has computed only where it prints a result; the cause of an error message is recognised."""

import json
from typing import Any

import docker
import pytest
import requests
from docker import errors
from suites import example

from dgxcert.container import engine_answer
from dgxcert.container.engine_answer import Engine
from dgxcert.container.engine_kind import DOCKER
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import container, docker_engine
from dgxcert.probes.host.container import Container
from dgxcert.probes.host.engine.start_errors import OTHERWISE

GB10 = {"device": "cuda:0", "product": "NVIDIA GB10", "uuid": "GPU-0", "wrong": 0}


def test_a_failure_shows_its_cause_and_the_line_that_says_so() -> None:
    result = container.failed("Error response from daemon\nexec format error\nRun 'docker run --help'")
    assert result.problem == "the image has another architecture: exec format error"
    assert "make image" in " ".join(result.remedy)
    assert (result.devices, result.description) == ((), result.problem)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("ModuleNotFoundError: No module named 'torch'", "ModuleNotFoundError: No module named 'torch'"),
        ("", ""),
        (
            'Traceback (most recent call last):\n  File "c.py", line 21\nOSError: libcudart.so.13: cannot open\n\n',
            "OSError: libcudart.so.13: cannot open",
        ),
        (
            "Traceback (most recent call last):\nRuntimeError: strange\nSearch for `cudaErrorStrange' in the docs.\n"
            "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable it.\n",
            "RuntimeError: strange",
        ),
        ("something new\n\nRun 'docker run --help' for more information", "something new"),
    ],
)
def test_an_unknown_message_is_shown_with_the_general_remedy(message: str, shown: str) -> None:
    result = container.failed(message)
    assert result == Container((), 0, f"the container could not compute: {shown}", DOCKER.steps(OTHERWISE))


def test_of_a_long_message_the_end_is_shown() -> None:
    problem = container.failed("wrapped: " * 500 + "the reason").problem
    assert problem.endswith("the reason")
    assert len(problem) < 700


def test_devices_that_computed_are_named_with_their_product() -> None:
    result = container.parse(0, json.dumps([GB10, {**GB10, "device": "cuda:1", "uuid": "GPU-1", "wrong": 3}]), "")
    assert result == Container(("cuda:0 (NVIDIA GB10)", "cuda:1 (NVIDIA GB10)"), 3, "", (), ("GPU-0", "GPU-1"))
    assert (
        result.description == "products of whole numbers in a container, on cuda:0 (NVIDIA GB10), cuda:1 (NVIDIA GB10)"
    )


def test_the_banner_of_the_images_entry_point_is_skipped() -> None:
    banner = "=============\n== PyTorch ==\n=============\n\nNVIDIA Release 25.11\n\n"
    assert container.parse(0, banner + json.dumps([GB10]), "a warning").devices == ("cuda:0 (NVIDIA GB10)",)


@pytest.mark.parametrize("stderr", ["", "UserWarning: something else\n"])
def test_a_container_without_devices_has_a_problem_though_it_exited_with_0(stderr: str) -> None:
    result = container.parse(0, "[]", stderr)
    assert result.problem.startswith("the container could not compute: torch found no GPU in the container.")
    assert stderr.strip() in result.problem
    assert (result.devices, result.remedy) == ((), DOCKER.steps(OTHERWISE))


@pytest.mark.parametrize("output", ["5", "[{}]", "[5]", "{}x"])
def test_json_of_another_form_is_no_result(output: str) -> None:
    assert "it printed no result" in container.parse(0, output, "").problem


def test_every_line_of_standard_error_is_searched_for_a_cause() -> None:
    result = container.parse(0, "[]", "UserWarning: Can't initialize NVML\n  return torch._C._cuda()\n")
    assert "the container has no working driver" in result.problem


def test_a_container_without_devices_has_the_cause_of_its_message() -> None:
    result = container.parse(0, "[]", "a warning\nFailed to initialize NVML: Unknown Error\n")
    assert "lost its GPUs when the system's services were reloaded" in result.problem


@pytest.mark.parametrize("output", ["", "\n", "Hello from the image", '[{"device": "cuda:0"', "[]\nbye"])
def test_a_container_that_prints_no_result_has_not_computed(output: str) -> None:
    result = container.parse(0, output, "")
    assert result.problem.startswith("the container could not compute: it printed no result")
    assert result.devices == ()


@pytest.mark.parametrize(
    ("code", "output", "stderr", "problem"),
    [
        (1, "", "RuntimeError: CUDA error: out of memory", "CUDA error: out of memory"),
        (255, "", "exec /usr/bin/python3: exec format error", "has another architecture"),
        (1, "printed only", "", "printed only"),
        (137, "", "", "exit code 137"),
        (1, json.dumps([GB10]), "", "could not compute"),
    ],
)
def test_a_container_that_fails_has_not_computed_whatever_it_printed(
    code: int, output: str, stderr: str, problem: str
) -> None:
    result = container.parse(code, output, stderr)
    assert problem in result.problem
    assert result.devices == ()


IMAGE = example.image_ready().image


class FakeClient:
    """A client of the SDK and the one container that it creates; `on` holds the error of each step."""

    def __init__(self, **on: Exception) -> None:
        self._on = on
        self.containers = self
        self.settings: dict[str, Any] = {}
        self.command: list[str] = []
        self.steps: list[str] = []

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name in self._on:
            raise self._on[name]

    def create(self, image: str, command: list[str], **settings: Any) -> "FakeClient":
        self.command, self.settings = [image, *command], settings
        self._step("create")
        return self

    def start(self) -> None:
        self._step("start")

    def wait(self, timeout: float) -> dict[str, int]:
        assert timeout == container.LIMIT_S
        self._step("wait")
        return {"StatusCode": 0}

    def logs(self, *, stdout: bool, stderr: bool) -> bytes:
        assert stdout is not stderr
        return json.dumps([GB10]).encode() if stdout else b"harmless"

    def remove(self, *, force: bool) -> None:
        assert force
        self._step("remove")


@pytest.fixture
def fake_client(monkeypatch: pytest.MonkeyPatch):
    """Create a client whose steps raise these errors."""

    def make(**on: Exception) -> FakeClient:
        client = FakeClient(**on)
        engine = Engine("unix:///x", "29", 53, 44, 45, 24, "aarch64", "/var/lib/docker", False, ())
        monkeypatch.setattr(docker_engine, "read", lambda: engine)
        monkeypatch.setattr(docker, "DockerClient", lambda base_url, **_: client if base_url == "unix:///x" else None)
        return client

    return make


def refused(explanation: str) -> errors.APIError:
    return errors.APIError("500 Server Error", explanation=explanation)


def test_a_container_computes_by_the_images_id_and_is_removed(fake_client) -> None:
    client = fake_client()
    assert container.read(IMAGE, gpus=True) == Container(("cuda:0 (NVIDIA GB10)",), 0, "", (), ("GPU-0",))
    assert client.command == ["sha256:77", "-P", "-m", "dgxcert.probes.gpu.compute", "cuda"]
    assert client.steps == ["create", "start", "wait", "remove"]


def test_gpus_are_requested_only_for_a_profile_with_gpus(fake_client) -> None:
    client = fake_client()
    container.read(IMAGE, gpus=True)
    (request,) = client.settings["device_requests"]
    assert (request["Count"], request["Capabilities"]) == (-1, [["gpu"]])
    container.read(IMAGE, gpus=False)
    assert client.settings["device_requests"] == []
    assert client.command[-1] == "cpu"


def test_a_container_has_the_restrictions_of_the_suites_own(fake_client) -> None:
    client = fake_client()
    container.read(IMAGE, gpus=False)
    kept = {name: client.settings[name] for name in ("read_only", "cap_drop", "network_disabled", "security_opt")}
    assert kept == {
        "read_only": True,
        "cap_drop": ["ALL"],
        "network_disabled": True,
        "security_opt": ["no-new-privileges:true"],
    }
    assert "privileged" not in client.settings


@pytest.mark.parametrize(("step", "removed"), [("create", False), ("start", True), ("wait", True)])
def test_a_step_that_the_engine_refuses_has_a_cause_and_leaves_no_container(
    fake_client, step: str, removed: bool
) -> None:
    client = fake_client(**{step: refused('could not select device driver "" with capabilities: [[gpu]]')})
    assert "no NVIDIA Container Toolkit" in container.read(IMAGE, gpus=True).problem
    assert ("remove" in client.steps) is removed


def test_a_container_that_does_not_end_in_time_is_inconclusive_and_removed(fake_client) -> None:
    client = fake_client(wait=requests.exceptions.ReadTimeout("Read timed out. (read timeout=150.0)"))
    with pytest.raises(Inconclusive, match="did not end within 150 s, or the engine stopped answering") as raised:
        container.read(IMAGE, gpus=True)
    assert "docker run --rm --gpus all dgxcert:course" in raised.value.remedy[0]
    assert client.steps[-1] == "remove"


def test_a_container_that_is_already_removed_is_no_problem(fake_client) -> None:
    fake_client(remove=errors.NotFound("No such container"))
    assert container.read(IMAGE, gpus=True).devices == ("cuda:0 (NVIDIA GB10)",)


def test_without_an_engine_no_container_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_answer, "ask", lambda: engine_answer.unresponsive("unix:///x"))
    monkeypatch.setattr(docker, "DockerClient", lambda **_: pytest.fail("connected"))
    with pytest.raises(Inconclusive, match="the container engine does not answer"):
        container.read(IMAGE, gpus=True)
