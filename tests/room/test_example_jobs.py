"""The example jobs of docs/rooms.md: valid as far as can be told without a cluster, and their commands can be typed."""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from paths import ROOT

from dgxcert import command
from dgxcert.cli.app import app

PAGE = (ROOT / "docs" / "rooms.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## More machines than this is for\n")[2]
TYPED = re.compile(r'dgxcert (?:validate|room merge)(?: +(?:[^\s`|"]+|"[^"\n]*"))*')


def block(language: str) -> str:
    """The only block of a language in the section."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    return found


def job() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(block("yaml"))
    return content


def test_the_slurm_job_is_a_script_that_bash_and_shellcheck_take(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(block("bash"), encoding="utf-8")
    assert command.run(["bash", "-n", str(script)], timeout_s=10).returncode == 0
    beside = Path(sys.executable).with_name("shellcheck")
    program = str(beside) if beside.exists() else shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed")
    checked = command.run([program, str(script)], timeout_s=60)
    assert checked.returncode == 0, checked.stdout


def test_the_slurm_job_measures_one_machine_in_each_task_and_nothing_beside_it() -> None:
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", block("bash"), re.MULTILINE))
    assert set(options) == {"job-name", "nodes", "ntasks-per-node", "exclusive", "time"}
    assert options["ntasks-per-node"] == "1"
    assert "--kill-on-bad-exit=0" in block("bash")


def test_the_kubernetes_job_has_one_pod_for_each_machine() -> None:
    spec = job()["spec"]
    assert (job()["apiVersion"], job()["kind"]) == ("batch/v1", "Job")
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    template = spec["template"]
    pod = template["spec"]
    assert pod["restartPolicy"] == "Never", "a Job takes no pod that is restarted for ever"
    (rule,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"] == template["metadata"]["labels"]


def test_the_kubernetes_job_mounts_what_it_declares() -> None:
    pod = job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    declared = [volume["name"] for volume in pod["volumes"]]
    assert [mount["name"] for mount in container["volumeMounts"]] == declared
    assert "/results/$NODE" in container["command"][-1]
    assert {"NODE", "HOME"} == {variable["name"] for variable in container["env"]}


@pytest.mark.parametrize("text", sorted(set(TYPED.findall(SECTION))))
def test_every_command_can_be_typed(text: str) -> None:
    words = shlex.split(text)
    group = typer.main.get_command(app)
    at = 1
    while hasattr(group, "commands"):
        group = group.commands[words[at]]
        at += 1
    options = {name for parameter in group.params for name in parameter.opts}
    assert {word for word in words[at:] if word.startswith("--")} <= options
