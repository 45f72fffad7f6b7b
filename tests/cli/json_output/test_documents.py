"""Every `--json` prints one document that its schema allows, and nothing else; exit codes stay; secrets do not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from paths import ROOT
from suites import certified, timed_run
from suites.certified import AS_REQUIRED, SPARK
from suites.commands import Result
from suites.example import finished, short_of
from suites.signing import FULL, allowed_signers, make_key

from dgxcert import cli
from dgxcert.cli.json_output import document, schemas
from dgxcert.console import HIDDEN
from dgxcert.outcome import Outcome
from dgxcert.probes.hub import diagnosis
from dgxcert.probes.hub.diagnosis import Diagnosis, Step
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import run as runs
from dgxcert.redaction import scrubber
from dgxcert.runner import session
from dgxcert.runner.doctor import examination
from dgxcert.runner.doctor.findings import Effect, Examination, Finding

Command = Callable[..., Result]
"""The command, run in this process: see tests/cli/conftest.py."""


def read(name: str, result: Result, code: int) -> dict[str, Any]:
    """The document of a command, which fits its schema, came alone and with the right exit code."""
    assert (result.code or 0, result.err) == (code, "")
    assert result.out.isascii()
    assert HIDDEN.search(result.out.replace("\n", "")) is None
    content = json.loads(result.out)
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, schema)
    assert isinstance(content, dict)
    assert content["format"] == 1
    return content


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with one certified run of the Spark."""
    certified.folder(tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_the_schema_on_disk_is_that_of_the_document(name: str) -> None:
    path = ROOT / "docs" / "schemas" / f"{name}.json"
    assert path.read_text(encoding="utf-8") == schemas.schema(name), "regenerate it: make docs"


def test_every_command_with_json_has_a_schema() -> None:
    commands = typer.main.get_group(cli.app).commands
    with_json = {name for name, each in commands.items() if any("--json" in option.opts for option in each.params)}
    assert with_json == set(schemas.DOCUMENTS)


def test_list(dgxcert: Command, requirements: list[str]) -> None:
    listed = read("list", dgxcert("list", "--json"), 0)["requirements"]
    assert [each["key"] for each in listed] == requirements
    assert {each["tier"] for each in listed} == {"quick", "standard", "burn-in"}


def test_show_says_what_an_inventory_and_a_gate_ask_for(dgxcert: Command, results: Path) -> None:
    shown = read("show", dgxcert("show", "latest", "--results", results, "--json"), 0)
    run = runs.load(next(results.glob("2026*")))
    assert (shown["verdict"], shown["exit_code"], shown["id"]) == ("CERTIFIED", 0, run.id)
    assert shown["machine"]["gpus"][0]["uuid"] == SPARK.gpus[0].uuid
    assert [each["key"] for each in shown["results"]] == [result.key for result in run.results]
    decode = next(each for each in shown["figures"] if each["name"] == "decode-16bit")
    assert (decode["value"], decode["unit"], decode["failed"]) == (14.0, "token/s", False)
    assert shown["problems"] == []
    assert shown["signed"] is None


def test_show_says_what_did_not_pass_with_measured_required_and_remedy(dgxcert: Command, tmp_path: Path) -> None:
    about = {"reason": "9.8 < 13", "remedy": ("look",), "evidence": (short_of(13.0),)}
    failed = finished(certified.KEYS[0], Outcome.FAILED, **about)
    made = certified.folder(tmp_path / "results", failed)
    shown = read("show", dgxcert("show", made, "--json"), 1)
    (problem,) = shown["problems"]
    assert (problem["outcome"], problem["remedy"]) == ("failed", ["look"])
    (compared,) = problem["compared"]
    assert (compared["measured"], compared["sign"], compared["required"]) == (9.8, ">=", 13.0)
    assert (compared["unit"], compared["limit"], compared["holds"]) == ("token/s", "decode.fp16", False)


def test_show_says_what_is_waived(dgxcert: Command, tmp_path: Path) -> None:
    waiver = Waiver(requirement="DISK-SPACE", machine="spark-07", reason="on NFS", who="Ada", until="2027-01-31")
    run_folder = certified.folder(tmp_path / "results", FULL, waivers=(waiver,))
    shown = read("show", dgxcert("show", run_folder, "--json"), 0)
    (problem,) = shown["problems"]
    assert (problem["key"], problem["outcome"], problem["waiver"]["who"]) == ("DISK-SPACE", "failed", "Ada")


def test_history_lists_runs_and_of_a_machine_its_benchmarks(dgxcert: Command, results: Path) -> None:
    (results / "broken").mkdir()
    (results / "broken" / "run.json").write_text("{", encoding="utf-8")
    every = read("history", dgxcert("history", "--results", results, "--json"), 0)
    (run,) = every["runs"]
    assert (run["hostname"], run["profile"], run["tier"], run["gpus"]) == (
        "spark-07",
        "dgx-spark",
        "standard",
        ["NVIDIA GB10"],
    )
    assert list(every["unreadable"]) == ["broken"]
    assert every["benchmarks"] == []
    one = read("history", dgxcert("history", "spark-07", "--results", results, "--json"), 0)
    assert {each["key"]: each["points"] for each in one["benchmarks"]}["DECODE-SPEED[bf16-tuned-single]"] == [
        {"run": run["id"], "rate": 14.0}
    ]


def test_compare_says_each_change_and_what_else_differs(dgxcert: Command, tmp_path: Path) -> None:
    a, b = timed_run.write(tmp_path / "a"), timed_run.write(tmp_path / "b", rate=15.0, uuid="GPU-2")
    compared = read("compare", dgxcert("compare", a, b, "--json"), 1)
    (slower,) = [each for each in compared["benchmarks"] if each["change"] == "slower"]
    assert slower["more"] == pytest.approx(1 / 3, abs=0.01)
    assert {"what": "GPUs", "before": "['GPU-1']", "after": "['GPU-2']"} in compared["differences"]
    refused = dgxcert("compare", a, "--keep", "--json")
    assert (refused.code, refused.out) == (3, "")


def test_verify_and_drift_say_what_a_signature_is_worth(
    dgxcert: Command, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "read_machine", lambda: SPARK.model_copy(update={"driver": "590.10"}))
    key = make_key(tmp_path / "ada")
    signers = allowed_signers(tmp_path / "allowed", key)
    signed = dgxcert("sign", "latest", "--results", results, "--key", key, "--days", 3650)
    assert (signed.code or 0) == 0, signed.err
    asked = ("latest", "--results", results, "--allowed-signers", signers, "--json")
    verified = read("verify", dgxcert("verify", *asked), 0)
    assert verified["certifies"] is True
    assert read("show", dgxcert("show", *asked[:3], "--json"), 0)["signed"] == "certificate.json"
    assert verified["signer"]["principal"] == "ada@lab"
    assert verified["signed"]["verdict"] == "CERTIFIED"
    drifted = read("drift", dgxcert("drift", *asked), 1)
    assert drifted["valid"] is False
    (changed,) = [fact for fact in drifted["facts"] if fact["state"] == "changed" and fact["what"] == "driver"]
    assert changed["current"] == "590.10"
    next(results.glob("2026*/run.json")).write_text("{}", encoding="utf-8")
    name = next(results.glob("2026*")).name
    asked = (name, *asked[1:])
    refused = read("verify", dgxcert("verify", *asked), 1)
    assert (refused["certifies"], refused["signed"]) == (False, None)
    assert refused["refused"]["reason"] == "run.json was changed after signing"
    assert read("drift", dgxcert("drift", *asked), 1)["refused"]["reason"] == "run.json was changed after signing"


def test_hub_and_cache(dgxcert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step("dns", "failed", "refused", "hub", "sent HF_TOKEN=x7Qm2kLp", 0.1)
    monkeypatch.setattr(diagnosis, "diagnose", lambda needed: Diagnosis((step,), 1.0))
    asked = dgxcert("hub", "--json")
    told = read("hub", asked, asked.code or 0)
    assert (told["failed"], told["steps"][0]["detail"]) == ("dns", "sent HF_TOKEN=[secret]")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(session, "read_machine", lambda: SPARK)
    cached = read("cache", dgxcert("cache", "--profile", "cpu", "--json"), 1)
    assert not cached["complete"]
    assert all(each["fetch"].startswith("hf download") for each in cached["checkpoints"] if each["needed"])
    assert read("cache", dgxcert("cache", "--repo", "gpt2", "--json"), 1)["files"] == []


def test_doctor_says_what_is_in_the_way(dgxcert: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding(name="DISK-SPACE", title="There is room", effect=Effect.REJECTS, problem="12", remedy=("look",))
    about = {"profile": "cpu", "runtime": "native", "image": "", "seconds": 0.5, "exit_code": 1}
    monkeypatch.setattr(examination, "examine", lambda options: Examination(findings=(finding,), **about))
    told = read("doctor", dgxcert("doctor", "--profile", "cpu", "--json"), 1)
    assert told["findings"][0] == {**finding.model_dump(mode="json")}


REFUSED = (
    ("show", "3f2a"),
    ("history", "nobody"),
    ("compare", "a"),
    ("verify", "a"),
    ("drift", "a"),
    ("cache", "--profile", "x"),
)


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_keeps_a_command_from_its_answer_is_text_on_standard_error(
    dgxcert: Command, arguments: tuple[str, ...]
) -> None:
    done = dgxcert(*arguments, "--json")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("dgxcert: ")


HOSTILE = (
    "sent HF_TOKEN=x7Qm2kLp to \x1b[2J",
    'password: "x7Qm2kLp"',
    "Authorization: Bearer hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "\u202eDEIFITREC\u2066 漢字 µ \U0001f600 \x00",
    'a "quote", a \\ and a\nnew line',
    "token=\nnext",
    "its token=",
    "password: ",
)


@pytest.mark.parametrize("said", HOSTILE)
def test_whatever_a_run_says_stays_inside_its_string(dgxcert: Command, tmp_path: Path, said: str) -> None:
    failed = finished(certified.KEYS[0], Outcome.FAILED, reason=said, remedy=(said,), evidence=(AS_REQUIRED,))
    made = certified.folder(tmp_path / "results", failed)
    shown = read("show", dgxcert("show", made, "--json"), 1)
    (problem,) = shown["problems"]
    assert problem["reason"] == json.loads(scrubber.json_text(json.dumps({"reason": said})))["reason"]
    assert "x7Qm2kLp" not in json.dumps(shown)


def test_a_secret_of_this_machine_is_not_printed(
    dgxcert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = finished(certified.KEYS[0], Outcome.FAILED, reason="found zq8Wn3tRv5", evidence=(AS_REQUIRED,))
    made = certified.folder(tmp_path / "results", failed)
    monkeypatch.setenv("HF_TOKEN", "zq8Wn3tRv5")
    result = dgxcert("show", made, "--json")
    assert "zq8Wn3tRv5" not in result.out
    assert json.loads(result.out)["problems"][0]["reason"] == "found [secret]"


def test_numbers_that_json_does_not_know_are_refused() -> None:
    class Wrong(document.Document):
        number: float

    with pytest.raises(ValueError, match="Out of range"):
        document.text(Wrong(number=float("nan")))
