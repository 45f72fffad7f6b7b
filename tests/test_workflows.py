"""The workflows: no pull request reaches a machine, nothing unpinned runs, and every verdict is kept."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dgxcert.judgement.requirement import Tier
from dgxcert.profiles import profile

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yml"))

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))

REVIEWED = "github.ref == 'refs/heads/main' && github.ref_protected"
NO_FORK = "!github.event.repository.fork"

Workflow = dict[Any, Any]


def read(name: str) -> Workflow:
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))


def triggers(workflow: Workflow) -> dict[str, Any]:
    return workflow[True]  # YAML 1.1 reads the key `on` as true


def steps(workflow: Workflow) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def scripts(workflow: Workflow) -> list[str]:
    return [step["run"] for step in steps(workflow) if "run" in step]


def jobs_on_own_machines(workflow: Workflow) -> dict[str, Any]:
    return {name: job for name, job in workflow["jobs"].items() if "self-hosted" in job["runs-on"]}


def uploads(job: dict[str, Any]) -> dict[str, Any]:
    found = [step for step in job["steps"] if step.get("uses", "").startswith("actions/upload-artifact@")]
    return {step["with"]["path"]: step for step in found}


def numbers(limit: int | str) -> list[int]:
    """The number of minutes, or those between which an expression chooses."""
    return [limit] if isinstance(limit, int) else [int(number) for number in re.findall(r"'(\d+)'", limit)]


def test_the_workflows_are_those_that_the_page_describes() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert NAMES == ["audit", "cpu", "gpu"]
    assert all(f"`{name}.yml`" in page for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_may_only_read(name: str) -> None:
    workflow = read(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert not [job for job in workflow["jobs"].values() if "permissions" in job]


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_by_its_commit_and_names_its_version(name: str) -> None:
    text = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    used = re.findall(r"\buses: *(.+)", text)
    assert used
    for action in used:
        assert action == "./" or re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("name", NAMES)
def test_a_checkout_keeps_no_credentials(name: str) -> None:
    checkouts = [step for step in steps(read(name)) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", NAMES)
def test_no_script_contains_an_expression(name: str) -> None:
    for script in scripts(read(name)):
        assert "${{" not in script, "pass it through env"


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_of_a_workflow_exists(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    called = {target for script in scripts(read(name)) for target in re.findall(r"\bmake ([a-z0-9-]+)", script)}
    assert called <= targets


@pytest.mark.parametrize("name", NAMES)
def test_every_job_has_a_time_limit(name: str) -> None:
    limits = [numbers(job["timeout-minutes"]) for job in read(name)["jobs"].values()]
    assert all(limits)
    assert all(minutes > 0 for each in limits for minutes in each)


@pytest.mark.parametrize("name", NAMES)
def test_no_failure_is_ignored(name: str) -> None:
    text = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    assert "continue-on-error" not in text
    assert "|| true" not in text


@pytest.mark.parametrize("name", ["audit", "cpu"])
def test_every_program_that_a_hosted_machine_runs_exists(name: str) -> None:
    called = re.findall(r"\b(?:scripts|container)/[\w./-]+", "\n".join(scripts(read(name))))
    assert called
    assert [path for path in called if not (ROOT / path).is_file()] == []


def test_a_change_is_tested_on_a_hosted_machine_only() -> None:
    workflow = read("cpu")
    assert set(triggers(workflow)) == {"pull_request", "push"}
    assert triggers(workflow)["push"] == {"branches": ["main"]}
    assert {job["runs-on"] for job in workflow["jobs"].values()} == {"ubuntu-24.04"}
    assert "secrets." not in (FOLDER / "cpu.yml").read_text(encoding="utf-8")
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert "github.ref" in workflow["concurrency"]["group"]


def test_the_locks_are_audited_on_a_hosted_machine_and_the_database_must_answer() -> None:
    workflow = read("audit")
    assert set(triggers(workflow)) == {"pull_request", "push", "schedule"}
    assert "**.lock" in triggers(workflow)["pull_request"]["paths"]
    assert {job["runs-on"] for job in workflow["jobs"].values()} == {"ubuntu-24.04"}
    assert "secrets." not in (FOLDER / "audit.yml").read_text(encoding="utf-8")
    commands = "\n".join(scripts(workflow))
    assert "scripts/audit.py --must-reach" in commands
    assert "--require-hashes" in commands


def test_a_rehearsal_keeps_its_run_folder_and_summary_however_it_ends() -> None:
    (job,) = read("cpu")["jobs"].values()
    however = "always() && steps.rehearse.outcome != 'skipped'"
    assert uploads(job)["results/"]["if"] == however
    assert uploads(job)["results/"]["with"]["if-no-files-found"] == "error"
    (summary,) = [step for step in job["steps"] if "GITHUB_STEP_SUMMARY" in step.get("run", "")]
    assert summary["if"] == however
    assert [step["id"] for step in job["steps"] if "make validate" in step.get("run", "")] == ["rehearse"]


def test_no_event_of_a_pull_request_starts_a_workflow_with_machines() -> None:
    for name in NAMES:
        workflow = read(name)
        if jobs_on_own_machines(workflow):
            assert set(triggers(workflow)) <= {"workflow_dispatch", "schedule", "push"}, name
            assert triggers(workflow)["push"] == {"branches": ["main"]}, name


def test_only_the_protected_main_branch_reaches_a_machine() -> None:
    jobs = jobs_on_own_machines(read("gpu"))
    assert jobs
    assert {job["if"] for job in jobs.values()} == {f"{REVIEWED} && {NO_FORK}"}


def test_a_branch_that_may_not_reach_a_machine_fails_and_is_not_skipped() -> None:
    jobs = read("gpu")["jobs"]
    assert jobs["refuse"]["if"] == f"${{{{ !({REVIEWED}) && {NO_FORK} }}}}"
    assert jobs["refuse"]["runs-on"] == "ubuntu-24.04"
    assert scripts({"jobs": {"refuse": jobs["refuse"]}})[-1].splitlines()[-1] == "exit 1"


def test_a_machine_has_one_run_at_a_time_and_the_next_does_not_cancel_it() -> None:
    for job in jobs_on_own_machines(read("gpu")).values():
        assert job["concurrency"]["cancel-in-progress"] is False
        assert job["concurrency"]["group"] == "dgx-${{ matrix.runner }}"
        assert job["runs-on"] == ["self-hosted", "${{ matrix.runner }}"]
        assert job["strategy"]["fail-fast"] is False


def validation() -> dict[str, Any]:
    """The step that validates a machine."""
    (step,) = [step for step in read("gpu")["jobs"]["validate"]["steps"] if step.get("id") == "validate"]
    return step


def test_a_validation_starts_from_a_clean_checkout_and_is_one_action() -> None:
    job = read("gpu")["jobs"]["validate"]
    assert job["steps"][0]["with"]["clean"] is True
    assert [step["uses"].partition("@")[0] for step in job["steps"]] == ["actions/checkout", "./"]


def test_runs_are_kept_where_a_clean_checkout_does_not_reach() -> None:
    """In the default of the action and in the workflow; a variable of the repository may name another place."""
    assert ACTION["inputs"]["results"]["default"].startswith("~/")
    assert re.search(r"vars\.DGX_RESULTS \|\| '~/", validation()["with"]["results"])


def test_the_token_is_in_one_step_only() -> None:
    assert (FOLDER / "gpu.yml").read_text(encoding="utf-8").count("secrets.") == 1
    (step,) = [step for step in steps(read("gpu")) if "HF_TOKEN" in step.get("env", {})]
    assert step["uses"] == "./"
    assert step["env"] == {"HF_TOKEN": "${{ secrets.HF_TOKEN }}"}
    assert "secrets." not in (ROOT / "action.yml").read_text(encoding="utf-8")


def test_report_and_run_folder_are_kept_however_a_run_ends() -> None:
    kept = uploads(ACTION["runs"])
    folder = "${{ steps.validate.outputs.run }}"
    assert {path: step["if"] for path, step in kept.items()} == dict.fromkeys(
        (folder, f"{folder}/junit.xml"), "always() && steps.validate.outputs.run != ''"
    )
    assert kept[folder]["with"]["if-no-files-found"] == "error"
    for step in kept.values():  # two machines, or two attempts, must not claim one name
        assert "${{ inputs.name || runner.name }}" in step["with"]["name"]
        assert "${{ github.run_attempt }}" in step["with"]["name"]
    assert validation()["with"]["name"] == "${{ matrix.runner }}"


def test_a_burn_in_has_its_minutes_and_the_time_for_them() -> None:
    inputs = triggers(read("gpu"))["workflow_dispatch"]["inputs"]
    assert inputs["minutes"]["default"] == ACTION["inputs"]["minutes"]["default"]
    assert validation()["with"]["minutes"] == "${{ inputs.minutes || '30' }}"
    assert "burn-in" in read("gpu")["jobs"]["validate"]["timeout-minutes"]


def test_every_input_that_the_workflow_gives_is_one_of_the_action() -> None:
    assert validation()["with"].keys() <= ACTION["inputs"].keys()


def test_inputs_of_make_are_chosen_from_a_list() -> None:
    inputs = triggers(read("gpu"))["workflow_dispatch"]["inputs"]
    assert {inputs["profile"]["type"], inputs["tier"]["type"]} == {"choice"}
    assert set(inputs["profile"]["options"]) == {"auto", *profile.names()} - {"cpu"}
    assert set(inputs["tier"]["options"]) == {tier.value for tier in Tier}
    assert "runner" not in str([step.get("env") for step in steps(read("gpu"))])


def test_the_job_of_gitlab_in_the_page_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (snippet,) = [block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S) if "artifacts:" in block]
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(snippet, encoding="utf-8")
    schema = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.gitlab-ci"]
    done = subprocess.run([*schema, "--data-transform", "gitlab-ci", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = [job for job in yaml.safe_load(snippet).values() if "script" in job]
    for line in (*job["script"], *job["after_script"]):
        assert subprocess.run(["bash", "-n", "-c", line], check=False).returncode == 0
    (validate,) = [line for line in job["script"] if line.startswith("make validate ")]
    for name in ("RESULTS", "VENV"):  # what is in the checkout, its clean-up removes
        assert f'{name}="$HOME/dgxcert/' in validate
    began, new, run = tmp_path / "began", tmp_path / "dgxcert/results/2026-b", tmp_path / "run"
    (new.parent / "2026-a").mkdir(parents=True)
    began.touch()
    os.utime(new.parent / "2026-a", (0, 0))
    new.mkdir()
    (new / "junit.xml").touch()
    os.utime(began, (1, 1))
    subprocess.run(
        ["bash", "-c", *job["after_script"]], cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, check=True
    )
    assert [path.name for path in run.iterdir()] == ["junit.xml"], "the run of this job, and no earlier one"
