"""A container has computed only where it says so; what an engine or a container complains of is told by its cause."""

import json
from typing import Any

import docker
import pytest
import requests
from docker import errors
from suites import example

from dgxcert.container import engine_answer
from dgxcert.container.engine_answer import Engine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import container, docker_engine
from dgxcert.probes.host.container import CAUSES, OTHERWISE, Container

OCI = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
HOOK = (
    f"{OCI}runc create failed: unable to start container process: error during container init: error running prestart "
    "hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\n"
)
INJECTED = f"{OCI}could not apply required modification to OCI specification: error modifying OCI spec: "
GB10 = {"device": "cuda:0", "product": "NVIDIA GB10", "wrong": 0}

# Collected from public issues of docker/cli, NVIDIA/nvidia-container-toolkit and others, and from FACTS.md, section 2.
SAID = [
    ('could not select device driver "cdi" with capabilities: []', "CDI support is switched off", '"cdi": true'),
    (
        'could not select device driver "" with capabilities: [[gpu]]',
        "no NVIDIA Container Toolkit",
        "sudo apt install nvidia-container-toolkit",
    ),
    (
        'could not select device driver "nvidia" with capabilities: [[gpu]]',
        "no NVIDIA Container Toolkit",
        "sudo apt install nvidia-container-toolkit",
    ),
    (
        "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",
        "CDI specification of the GPUs is missing or stale",
        "sudo nvidia-ctk cdi generate",
    ),
    (
        f"{INJECTED}failed to inject CDI devices: unresolvable CDI devices runtime.nvidia.com/gpu=all: unknown",
        "CDI specification of the GPUs is missing or stale",
        "sudo nvidia-ctk cdi generate",
    ),
    (
        "unknown or invalid runtime name: nvidia",
        "runtime `nvidia` is not registered",
        "sudo nvidia-ctk runtime configure --runtime=docker",
    ),
    ("Failed to initialize NVML: Unknown Error", "lost its GPUs", "cgroupfs"),
    (
        f"{HOOK}nvidia-container-cli: initialization error: nvml error: driver/library version mismatch: unknown",
        "could not give the GPUs to the container",
        "sudo reboot",
    ),
    (
        f"{HOOK}nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared "
        "object file: no such file or directory: unknown",
        "could not give the GPUs to the container",
        "nvidia-smi",
    ),
    (
        f"{HOOK}nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0, please update your driver "
        "to a newer version, or use an earlier cuda container: unknown",
        "could not give the GPUs to the container",
        "nvidia-smi",
    ),
    ("exec /usr/bin/python3: exec format error", "built for another processor", "make image"),
    ("[FATAL tini (7)] exec python3 failed: Exec format error", "built for another processor", "make image"),
]


@pytest.mark.parametrize(("words", "meaning", "step"), SAID)
def test_a_complaint_is_told_by_its_cause_and_how_to_mend_it(words: str, meaning: str, step: str) -> None:
    found = container.failed(words)
    assert meaning in found.problem
    assert found.problem.endswith(words.splitlines()[-1])
    assert any(step in each for each in found.remedy)
    assert (found.devices, found.says) == ((), found.problem)


def test_every_cause_is_met_by_words_that_were_really_said() -> None:
    met = {container.failed(words).remedy for words, _, _ in SAID}
    assert met == {remedy for _, _, remedy in CAUSES}


def test_no_cause_hides_behind_an_earlier_one() -> None:
    """The first that fits counts, so a mark must not be part of a later and closer one."""
    marks = [mark for mark, _, _ in CAUSES]
    assert marks == [mark.lower() for mark in marks], "complaints are compared in small letters"
    hidden = [(early, late) for at, late in enumerate(marks) for early in marks[:at] if early in late]
    assert hidden == []
    assert marks.index('could not select device driver "cdi"') < marks.index("could not select device driver")


def test_each_cause_has_its_own_words_and_its_own_remedy() -> None:
    assert len({meaning for _, meaning, _ in CAUSES}) == len(CAUSES)
    same = 2  # other words of Docker 29 and of torch for what an older row says
    assert len({remedy for _, _, remedy in CAUSES} | {OTHERWISE}) == len(CAUSES) + 1 - same


@pytest.mark.parametrize(
    "words",
    [
        f"{OCI}unable to apply cgroup configuration: no space left on device: unknown",
        "No such image: sha256:77",
        "ModuleNotFoundError: No module named 'torch'",
        "",
    ],
)
def test_words_that_nobody_knows_are_shown_with_how_to_look_further(words: str) -> None:
    found = container.failed(words)
    assert found == Container((), 0, f"the container could not compute: {words}", OTHERWISE)


def test_the_end_of_a_long_complaint_is_what_is_shown() -> None:
    trace = (
        'Traceback (most recent call last):\n  File "compute.py", line 21\nOSError: libcudart.so.13: cannot open\n\n'
    )
    assert container.failed(trace).problem == "the container could not compute: OSError: libcudart.so.13: cannot open"
    assert len(container.failed("x" * 5000).problem) < 400


def test_a_cause_counts_wherever_it_stands() -> None:
    assert "built for another processor" in container.failed("exec format error\nand more\n").problem


def test_devices_that_computed_are_named_with_what_they_are() -> None:
    found = container.parse(0, json.dumps([GB10, {"device": "cuda:1", "product": "NVIDIA GB10", "wrong": 3}]), "")
    assert found == Container(("cuda:0 (NVIDIA GB10)", "cuda:1 (NVIDIA GB10)"), 3, "", ())
    assert found.says == "products of whole numbers in a container, on cuda:0 (NVIDIA GB10), cuda:1 (NVIDIA GB10)"


def test_what_an_images_entry_prints_before_is_passed_over() -> None:
    banner = "=============\n== PyTorch ==\n=============\n\nNVIDIA Release 25.11\n\n"
    assert container.parse(0, banner + json.dumps([GB10]), "a warning").devices == ("cuda:0 (NVIDIA GB10)",)


@pytest.mark.parametrize("complaints", ["", "UserWarning: something else\n"])
def test_a_container_without_devices_has_a_problem_though_it_ended_well(complaints: str) -> None:
    found = container.parse(0, "[]", complaints)
    assert found.problem.startswith("the container could not compute: torch found no GPU in the container.")
    assert complaints.strip() in found.problem
    assert (found.devices, found.remedy) == ((), OTHERWISE)


@pytest.mark.parametrize("output", ["5", "[{}]", "[5]", "{}x"])
def test_json_that_is_no_result_is_no_result(output: str) -> None:
    assert "it printed something else than its results" in container.parse(0, output, "").problem


def test_every_line_of_the_complaints_is_searched_for_a_cause() -> None:
    found = container.parse(0, "[]", "UserWarning: Can't initialize NVML\n  return torch._C._cuda()\n")
    assert "the container has no working driver" in found.problem


def test_a_container_without_devices_is_told_by_the_cause_that_it_complains_of() -> None:
    found = container.parse(0, "[]", "a warning\nFailed to initialize NVML: Unknown Error\n")
    assert "lost its GPUs when the system's services were reloaded" in found.problem


@pytest.mark.parametrize("output", ["", "\n", "Hello from the image", '[{"device": "cuda:0"', "[]\nbye"])
def test_a_container_that_prints_something_else_has_not_computed(output: str) -> None:
    found = container.parse(0, output, "")
    assert found.problem.startswith("the container could not compute: it printed something else than its results")
    assert found.devices == ()


@pytest.mark.parametrize(
    ("code", "output", "complaints", "said"),
    [
        (1, "", "RuntimeError: CUDA error: out of memory", "CUDA error: out of memory"),
        (255, "", "exec /usr/bin/python3: exec format error", "built for another processor"),
        (1, "printed only", "", "printed only"),
        (137, "", "", "exit code 137"),
        (1, json.dumps([GB10]), "", "could not compute"),
    ],
)
def test_a_container_that_ends_badly_has_not_computed_whatever_it_printed(
    code: int, output: str, complaints: str, said: str
) -> None:
    found = container.parse(code, output, complaints)
    assert said in found.problem
    assert found.devices == ()


IMAGE = example.image_ready().image


class Played:
    """An engine's client and the one container that it makes; `on` says what each step raises."""

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

    def create(self, image: str, command: list[str], **settings: Any) -> "Played":
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
def play(monkeypatch: pytest.MonkeyPatch):
    """Play an engine on which each of these steps fails so."""

    def make(**on: Exception) -> Played:
        played = Played(**on)
        engine = Engine("unix:///x", "29", 53, 44, 45, 24, "aarch64", "/var/lib/docker", False, ())
        monkeypatch.setattr(docker_engine, "read", lambda: engine)
        monkeypatch.setattr(docker, "DockerClient", lambda base_url, **_: played if base_url == "unix:///x" else None)
        return played

    return make


def refused(explanation: str) -> errors.APIError:
    return errors.APIError("500 Server Error", explanation=explanation)


def test_a_container_computes_by_the_images_id_and_is_removed(play) -> None:
    played = play()
    assert container.read(IMAGE, gpus=True) == Container(("cuda:0 (NVIDIA GB10)",), 0, "", ())
    assert played.command == ["sha256:77", "-P", "-m", "dgxcert.probes.gpu.compute", "cuda"]
    assert played.steps == ["create", "start", "wait", "remove"]


def test_gpus_are_asked_for_only_where_there_are_some(play) -> None:
    played = play()
    container.read(IMAGE, gpus=True)
    (request,) = played.settings["device_requests"]
    assert (request["Count"], request["Capabilities"]) == (-1, [["gpu"]])
    container.read(IMAGE, gpus=False)
    assert played.settings["device_requests"] == []
    assert played.command[-1] == "cpu"


def test_a_container_may_do_no_more_than_the_suites_own(play) -> None:
    played = play()
    container.read(IMAGE, gpus=False)
    kept = {name: played.settings[name] for name in ("read_only", "cap_drop", "network_disabled", "security_opt")}
    assert kept == {
        "read_only": True,
        "cap_drop": ["ALL"],
        "network_disabled": True,
        "security_opt": ["no-new-privileges:true"],
    }
    assert "privileged" not in played.settings


@pytest.mark.parametrize(("step", "removed"), [("create", False), ("start", True), ("wait", True)])
def test_what_the_engine_refuses_is_told_by_its_cause_and_nothing_is_left_behind(
    play, step: str, removed: bool
) -> None:
    played = play(**{step: refused('could not select device driver "" with capabilities: [[gpu]]')})
    assert "no NVIDIA Container Toolkit" in container.read(IMAGE, gpus=True).problem
    assert ("remove" in played.steps) is removed


def test_a_container_that_does_not_end_in_time_is_inconclusive_and_removed(play) -> None:
    played = play(wait=requests.exceptions.ReadTimeout("Read timed out. (read timeout=150.0)"))
    with pytest.raises(Inconclusive, match="did not end within 150 s, or the engine stopped answering") as raised:
        container.read(IMAGE, gpus=True)
    assert "docker run --rm --gpus all dgxcert:course" in raised.value.remedy[0]
    assert played.steps[-1] == "remove"


def test_a_container_that_is_gone_already_is_no_trouble(play) -> None:
    play(remove=errors.NotFound("No such container"))
    assert container.read(IMAGE, gpus=True).devices == ("cuda:0 (NVIDIA GB10)",)


def test_without_an_engine_no_container_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_answer, "ask", lambda: engine_answer.unresponsive("unix:///x"))
    monkeypatch.setattr(docker, "DockerClient", lambda **_: pytest.fail("asked"))
    with pytest.raises(Inconclusive, match="the container engine does not answer"):
        container.read(IMAGE, gpus=True)
