"""`dgxcert hub`: lines for people, JSON for programs, an exit code for each end, and a repository of one's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulated.hub_modes import GATED, WHOAMI, Mode, _refuses
from simulated.loopback_hub import TOKEN, LoopbackHub
from typer.testing import CliRunner

from dgxcert import cli
from dgxcert.probes.hub import diagnosis
from dgxcert.probes.hub.diagnosis import Diagnosis, Step

pytestmark = pytest.mark.usefixtures("plain_hub_environment")

REPO = "hf-internal-testing/tiny-random-gpt2"
WORKS = Step("http", "ok", "", "hub", "HTTP 200", 0.1, notes=("HF_HUB_OFFLINE=y: the client reads it as false",))


def told(monkeypatch: pytest.MonkeyPatch, *steps: Step, options: tuple[str, ...] = ()) -> tuple[int, str]:
    monkeypatch.setattr(diagnosis, "diagnose", lambda needed: Diagnosis(steps, 1.0))
    shown = CliRunner().invoke(cli.app, ["hub", *options])
    return shown.exit_code, shown.output


@pytest.mark.parametrize(
    ("cause", "code", "says"),
    [("", 0, "models can be downloaded"), ("bad-token", 1, "hf auth login"), ("refused", 2, "refuses connections")],
)
def test_exit_code_and_lines(monkeypatch: pytest.MonkeyPatch, cause: str, code: int, says: str) -> None:
    last = Step("tcp", "failed" if cause else "ok", cause, "hub", "seen", 0.1)
    exit_code, output = told(monkeypatch, WORKS, last)
    assert exit_code == code
    assert says in output
    assert "noticed  HF_HUB_OFFLINE=y" in output


def test_json_has_the_documented_names(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Step("settings", "failed", "variable", "", "seen", 0.1, ("unset HF_HUB_ETAG_TIMEOUT",))
    code, output = told(monkeypatch, failed, options=("--json",))
    report = json.loads(output)
    assert (code, report["failed"], report["remedy"]) == (1, "settings", ["unset HF_HUB_ETAG_TIMEOUT"])
    named = {"failed", "cause", "meaning", "remedy", "conclusive", "seconds", "notes", "steps"}
    assert set(report) == named | {"format", "repository"}
    assert set(report["steps"][0]) == {"name", "state", "cause", "host", "detail", "seconds", "remedy", "notes"}


@pytest.mark.parametrize("options", [("--repo", "a b"), ("--repo", "x", "--type", "models")])
def test_question_that_cannot_be_asked_is_refused(monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    assert told(monkeypatch, WORKS, options=options)[0] == 1  # CannotStart, which `main` turns into 3


def test_repository_is_not_asked_about_where_the_hub_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Step("tcp", "failed", "refused", "hub", "seen", 0.1)
    assert "org/m was not asked about" in told(monkeypatch, failed, options=("--repo", "org/m"))[1]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    mine = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**mine, "HOME": str(tmp_path), "HF_TOKEN": TOKEN, "TMPDIR": str(tmp_path)}


def asked(hub: LoopbackHub, home: dict[str, str], name: str) -> tuple[list[dict[str, str]], dict[str, object]]:
    """The steps and the facts of the question about one repository."""
    program = [sys.executable, "-P", "-m", "dgxcert.probes.hub.access.repository", "model", name]
    done = subprocess.run(program, env={**home, **hub.environment()}, capture_output=True, text=True, check=True)
    assert TOKEN not in done.stdout + done.stderr
    answer = json.loads(done.stdout)
    return answer["steps"], answer["facts"]


def test_repository_of_the_user(home: dict[str, str]) -> None:
    with LoopbackHub() as hub:
        steps, facts = asked(hub, home, REPO)
        assert [(step["name"], step["state"]) for step in steps] == [
            ("repository", "ok"),
            ("file", "ok"),
            ("room", "ok"),
        ]
        assert (facts["gated"], facts["private"], facts["files"]) == (False, False, len(hub.files))
        steps, _ = asked(hub, home, "org/nothing")
        assert (steps[-1]["name"], steps[-1]["cause"]) == ("repository", "private")
        assert "org/nothing is not found as loopback-student" in steps[-1]["detail"]


def test_scope_of_a_fine_grained_token_is_named(home: dict[str, str]) -> None:
    with LoopbackHub(Mode("fine-grained", hub=_refuses(WHOAMI, "whoami"))) as hub:
        steps, _ = asked(hub, home, "org/nothing")
    assert "the fine-grained token has no right to read it" in steps[-1]["detail"]


def test_gated_repository_names_the_step_that_is_refused(home: dict[str, str]) -> None:
    with LoopbackHub(Mode("gated", hub=_refuses(GATED, "/resolve/"))) as hub:
        steps, _ = asked(hub, home, REPO)
    assert [step["state"] for step in steps] == ["ok", "failed"]
    assert steps[-1]["cause"] == "gated"


def test_files_without_room_for_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dgxcert.probes.hub.access import repository
    from dgxcert.probes.hub.context import Context, ProbedFile
    from dgxcert.probes.hub.http_request import RequestFailed

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    context, huge = Context(ProbedFile("a/b", "main", "", 0)), repository.Asked("model", "a/b", {"size_bytes": 1 << 60})
    with pytest.raises(RequestFailed, match="GB wanted"):
        repository.have_room(huge, context)
    assert "GB free" in repository.have_room(repository.Asked("model", "a/b", {"size_bytes": 1}), context)
