"""The Hub matrix holds: each way in which the Hub can fail is told apart, in time, and no secret is ever written."""

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
    """Every case judged once, by the program that `make hub-matrix` runs."""
    kept = tmp_path_factory.mktemp("hub-matrix") / "rows.json"
    program = [sys.executable, hub_matrix.__file__, "--json", str(kept)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=600)
    assert kept.exists(), done.stderr[-3000:]
    found = [Row(**row) for row in json.loads(kept.read_text(encoding="utf-8"))]
    assert bool(done.returncode) == (
        any(row.wrong for row in found) or ("MISSING" in done.stderr and "CI" in os.environ)
    )
    return {row.case: row for row in found}


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_told_as_the_table_says(rows: dict[str, Row], name: str) -> None:
    if name not in rows and (why := namespace.unusable()):
        needs.missing(f"network namespaces ({why})", "As root: apt-get install iproute2 iptables util-linux")
    assert rows[name].wrong == []
    assert rows[name].seconds <= hub_matrix.LIMIT_S


def test_every_mode_of_the_hub_is_in_the_table() -> None:
    assert {case.mode or case.name for case in CASES.values()} == set(hub_modes.MODES)


def test_every_step_is_the_first_to_fail_in_some_case() -> None:
    steps = {name for name, _ in hub_steps.STEPS} | {"download", "resume", "cache"}
    assert steps - {case.step for case in CASES.values()} == set()


def test_an_expectation_that_does_not_hold_is_noticed() -> None:
    row = Row("a case", "cas", "late", True, "", ["export HF_HUB_DISABLE_XET=1"], "nothing came", 31.0, [])
    wants = {"name": "a case", "step": "tls", "cause": "refused", "says": "hf auth login", "never": "DISABLE_XET"}
    assert [each.split(" ")[0] for each in hub_matrix.differs(hub_matrix.Case(**wants), row)] == [
        "step",
        "cause",
        "fails",
        "the",
        "the",
        "it",
    ]
    fits = hub_matrix.Case("a case", "cas", cause="late", fails=True, says="HF_HUB_DISABLE_XET=1")
    assert list(hub_matrix.differs(fits, row)) == ["it took 31.0 s"]


def test_a_whole_validation_writes_no_secret_anywhere(tmp_path: Path) -> None:
    """By the command that a user runs: its folder, its reports, what it prints, and its processes' arguments."""
    folder, home = tmp_path / "case", tmp_path / "case" / "home"
    home.mkdir(parents=True)
    rehearsed = (PROFILES / "cpu.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    asks = tmp_path / "asks-the-hub.yaml"
    asks.write_text("".join(line for line in rehearsed if "HUB-REACHABLE:" not in line), encoding="utf-8")
    program = [sys.executable, "-m", "dgxcert", "validate", "--profile", str(asks), "--only", "HUB-REACHABLE"]
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
        watch.look()
    printed_text = (folder / "printed").read_text(encoding="utf-8")
    assert done.returncode == 1, printed_text
    assert "identity" in printed_text
    assert watch.found_in("case") == watch.found_in("") == []
    assert {"records.jsonl", "run.json"} <= {path.name for path in (folder / "results").rglob("*")}
    assert loopback_hub.TOKEN not in printed_text
