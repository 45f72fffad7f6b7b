"""The comparison with other tools reads what each reported; a benchmark that was not measured is an error."""

from types import ModuleType
from typing import Any

import pytest
from paths import ROOT

KEYS = ["DECODE-SPEED[fp32-stock-single]", "LORA-SPEED[fp32-tuned-small]"]


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("torch", reason="the comparison needs torch: make setup")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import bench_peers

    return bench_peers


def result(key: str, rate: float | None) -> dict[str, Any]:
    name = "decode" if key.startswith("DECODE") else "LoRA"
    timed = {"name": name, "value": rate, "rounds_s": [1.0, 1.0, 1.0] if rate else None}
    about = [{"name": f"peak memory of {name}", "value": 0.5}, {"name": f"spread of {name}", "value": 0.01}]
    return {
        "key": key,
        "outcome": "passed" if rate else "inconclusive",
        "reason": "no GPU",
        "evidence": [timed, *about],
    }


def test_the_rates_of_a_run_are_read_by_benchmark_and_path(peers: ModuleType) -> None:
    run = {"results": [result(KEYS[0], 120.0), result(KEYS[1], 6.5), result("OTHER", 1.0)]}
    assert peers.of_suite(run, KEYS, 30.0) == ({"decode stock": 120.0, "lora tuned": 6.5}, 30.0, 0.5)


def test_a_benchmark_that_was_not_measured_is_no_figure(peers: ModuleType) -> None:
    run = {"results": [result(KEYS[0], 120.0), result(KEYS[1], None)]}
    with pytest.raises(ValueError, match=r"LORA-SPEED\[fp32-tuned-small\] was not measured: inconclusive, no GPU"):
        peers.of_suite(run, KEYS, 30.0)


def figures(peers: ModuleType, *turns: float) -> Any:
    """The same turns of every tool, each rate a multiple of its turn's."""
    found = peers.Figures()
    for turn in turns:
        paths = {f"{what} {path}": 2 * turn for what in ("decode", "prefill", "lora") for path in peers.PATHS}
        found.add(peers.SUITE, paths, 20.0, 1.0)
        found.add(peers.BARE, dict.fromkeys(peers.BARE_PROGRAMS, turn), 10.0, 0.5)
        theirs = {"decode": turn, "decode, memory tracked": turn / 2, "prefill": turn, "steps": turn}
        found.add(peers.THEIRS, theirs | {"samples": 30 * 4 * turn}, 40.0, 0.25 * turn)
    return found


def test_the_table_compares_medians_and_shows_both_figures(peers: ModuleType) -> None:
    table = {what: (measured, wanted) for what, measured, wanted in peers.rows(figures(peers, 1.0, 3.0, 2.0), 4)}
    assert table["decode, token/s: tuned / bare loop"] == ("2 (4 / 2)", ">= 0.97")
    assert table["the same, with its memory tracking"] == ("4 (4 / 1)", ">= 1.5")
    assert table["optimum-benchmark: wall time of a turn; highest memory"][0] == "40 s; 0.75 GiB"


def test_a_report_that_multiplies_by_the_steps_is_shown(peers: ModuleType) -> None:
    table = {what: measured for what, measured, _ in peers.rows(figures(peers, 2.0), 4)}
    what = "LoRA, sample/s that optimum-benchmark reports / its own steps of 4 rows"
    assert table[what] == "30 (240 / 8)"


def test_a_figure_that_is_missing_is_named(peers: ModuleType) -> None:
    found = figures(peers, 1.0)
    del found.rates["bare loop"]
    with pytest.raises(KeyError, match="no turn reported 'bare loop'"):
        list(peers.rows(found, 4))
