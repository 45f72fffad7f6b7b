"""The Hub matrix: the diagnosis names each simulated fault in time, and no secret is ever written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import needs
import pytest
from simulated import hub_matrix, hub_modes, loopback_hub, loopback_proxy, namespace
from simulated.hub_matrix import Row
from simulated.loopback_hub import LoopbackHub
from simulated.loopback_proxy import LoopbackProxy
from simulated.secret_watch import Watch

from dgxcert.plan import suite
from dgxcert.probes.hub import steps as hub_steps

CASES = hub_matrix.cases()
PROFILES = suite.root() / "src" / "dgxcert" / "profiles"


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """The diagnosis of every case, by the program that `make hub-matrix` runs."""
    report = tmp_path_factory.mktemp("hub-matrix") / "rows.json"
    program = [sys.executable, hub_matrix.__file__, "--json", str(report)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=600)
    assert report.exists(), done.stderr[-3000:]
    all_rows = [Row(**row) for row in json.loads(report.read_text(encoding="utf-8"))]
    assert bool(done.returncode) == (
        any(row.wrong for row in all_rows) or ("MISSING" in done.stderr and "CI" in os.environ)
    )
    return {row.case: row for row in all_rows}


@pytest.mark.parametrize("name", CASES)
def test_diagnosis_of_each_case_is_as_expected(rows: dict[str, Row], name: str) -> None:
    if name not in rows and (why := namespace.unusable()):
        needs.missing(f"network namespaces ({why})", "As root: apt-get install iproute2 iptables util-linux")
    assert rows[name].wrong == []
    assert rows[name].seconds <= hub_matrix.LIMIT_S


def test_every_mode_of_the_hub_has_a_case() -> None:
    assert {case.mode or case.name for case in CASES.values()} == set(hub_modes.MODES)


def test_every_step_fails_first_in_some_case() -> None:
    steps = {name for name, _ in hub_steps.STEPS} | {"folders", "download", "resume", "cache"}
    assert steps - {case.step for case in CASES.values()} == set()


def test_differences_from_the_expectations_are_named() -> None:
    row = Row("a case", "cas", "late", True, "", ["export HF_HUB_DISABLE_XET=1"], "no response", 31.0, [])
    expected = {
        "name": "a case",
        "step": "tls",
        "cause": "refused",
        "remedy_has": "hf auth login",
        "remedy_lacks": "DISABLE_XET",
    }
    assert [difference.split(" ")[0] for difference in hub_matrix.differences(hub_matrix.Case(**expected), row)] == [
        "step",
        "cause",
        "fails",
        "the",
        "the",
        "it",
    ]
    matching = hub_matrix.Case("a case", "cas", cause="late", fails=True, remedy_has="HF_HUB_DISABLE_XET=1")
    assert list(hub_matrix.differences(matching, row)) == ["it took 31.0 s"]


def test_validation_writes_no_secret(tmp_path: Path) -> None:
    """Neither to its run folder and reports, nor to the terminal, nor into the arguments of its processes."""
    folder, home = tmp_path / "case", tmp_path / "case" / "home"
    home.mkdir(parents=True)
    shipped = (PROFILES / "cpu.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    profile = tmp_path / "with-hub.yaml"
    profile.write_text("".join(line for line in shipped if "HUB-REACHABLE:" not in line), encoding="utf-8")
    program = [sys.executable, "-m", "dgxcert", "validate", "--profile", str(profile), "--only", "HUB-REACHABLE"]
    with (
        LoopbackHub() as hub,
        LoopbackProxy(loopback_proxy.DEMANDS) as proxy,
        Watch(tmp_path, hub_matrix.SECRETS) as watch,
    ):
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(folder), **hub.environment()}
        environment |= {**proxy.environment(user=True), "HF_TOKEN": hub_matrix.WRONG_TOKEN}
        program += ["--results", str(folder / "results"), "--runtime", "native"]
        with (folder / "printed").open("w") as printed:
            done = subprocess.run(program, env=environment, stdout=printed, stderr=printed, check=False, timeout=120)
        watch.scan()
    printed_text = (folder / "printed").read_text(encoding="utf-8")
    assert done.returncode == 1, printed_text
    assert "identity" in printed_text
    assert watch.sightings("case") == watch.sightings("") == []
    assert {"records.jsonl", "run.json"} <= {path.name for path in (folder / "results").rglob("*")}
    assert loopback_hub.TOKEN not in printed_text
