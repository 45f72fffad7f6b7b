"""The engine is asked in a process with a time limit; however it ends, the answer is an engine or a problem."""

import json
import sys
from dataclasses import asdict

import pytest

from dgxcert import command
from dgxcert.container import engine_answer
from dgxcert.container.engine_answer import Engine, EngineProblem
from dgxcert.probes.host import docker_engine

SPARK = Engine(
    endpoint="unix:///var/run/docker.sock",
    version="29.2.1",
    api=53,
    oldest_api=44,
    sdk_api=45,
    oldest_sdk_api=24,
    architecture="aarch64",
    root="/var/lib/docker",
    rootless=False,
    gpu_ways=("CDI device nvidia.com/gpu=all",),
)
STOPPED = EngineProblem("unix:///x", "the engine is not running", ("Start it: sudo systemctl start docker",), True)


def completed(monkeypatch: pytest.MonkeyPatch, returncode: int | None, stdout: str = "", stderr: str = "") -> None:
    """Sets how the process that asks the engine ends."""

    def run(args: list[str], *, timeout_s: float) -> command.Completed:
        assert args == [sys.executable, "-P", "-m", "dgxcert.probes.host.docker_engine"]
        assert timeout_s == engine_answer.LIMIT_S
        return command.Completed(tuple(args), returncode, stdout, stderr)

    monkeypatch.setattr(command, "run", run)


@pytest.mark.parametrize("answer", [SPARK, STOPPED])
def test_an_answer_survives_the_way_through_the_process(
    monkeypatch: pytest.MonkeyPatch, answer: Engine | EngineProblem
) -> None:
    completed(monkeypatch, 0, json.dumps(asdict(answer)))
    assert engine_answer.ask() == answer


@pytest.mark.parametrize(
    ("host", "endpoint"), [("", "the current context's endpoint"), ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375")]
)
def test_a_process_that_times_out_means_an_unresponsive_engine(
    monkeypatch: pytest.MonkeyPatch, host: str, endpoint: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    completed(monkeypatch, None)
    answer = engine_answer.ask()
    assert answer == engine_answer.unresponsive(endpoint)
    assert f"{endpoint} accepts the request and does not answer within 9 s" in answer.problem
    assert not answer.conclusive


def test_inside_a_container_the_remedy_is_to_run_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_answer, "inside_container", lambda: True)
    completed(monkeypatch, 1, stderr="ModuleNotFoundError: No module named 'docker'\n")
    answer = engine_answer.ask()
    assert isinstance(answer, EngineProblem)
    assert "this is a container" in answer.problem
    assert answer.remedy == ("Outside, run: make validate",)
    assert not answer.conclusive


def test_a_process_that_fails_is_not_a_fault_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_answer, "inside_container", lambda: False)
    completed(monkeypatch, 1, stderr="Traceback\nModuleNotFoundError: No module named 'docker'\n")
    answer = engine_answer.ask()
    assert isinstance(answer, EngineProblem)
    assert "could not be queried" in answer.problem
    assert "No module named 'docker'" in answer.problem
    assert answer.remedy == ("Install again: make setup",)
    assert not answer.conclusive


def test_the_real_process_names_the_cause_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    answer = engine_answer.ask()
    assert isinstance(answer, EngineProblem)
    assert "unix:///nowhere/docker.sock, and there is no such socket" in answer.problem
    assert "unset DOCKER_HOST" in answer.remedy[0]


def test_the_requests_of_the_process_fit_into_its_time_limit() -> None:
    assert 3 * docker_engine.REQUEST_S <= engine_answer.LIMIT_S < 10
