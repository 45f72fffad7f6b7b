"""What is measured on a GPU is kept part by part: a call that is ended loses one part at most, and the next goes on."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from paths import ROOT


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    pytest.importorskip("torch", reason="the figures name torch: make setup")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import measure_gpu

    before = signal.signal(signal.SIGALRM, measure_gpu._too_long)
    yield measure_gpu
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def parts(scripts: ModuleType, **measures: Any) -> list[Any]:
    return [scripts.Part(name, 0.2, measure) for name, measure in measures.items()]


def test_the_next_call_goes_on_after_what_is_kept(scripts: ModuleType, tmp_path: Path) -> None:
    folder, asked = scripts.Folder(tmp_path, "cpu"), []

    def measure(name: str) -> Any:
        return lambda _limit_s: asked.append(name) or {"by": name}

    both = parts(scripts, first=measure("first"), second=measure("second"))
    assert scripts.measure(folder, both, time.monotonic()) == ["second"]  # one is begun however little time is left
    assert scripts.measure(folder, both, time.monotonic() + 5) == []
    assert scripts.measure(folder, both, time.monotonic() + 5) == []
    assert asked == ["first", "second"]
    assert folder.figures == {"first": {"by": "first"}, "second": {"by": "second"}}


def test_a_part_that_takes_too_long_is_ended_and_not_kept(scripts: ModuleType, tmp_path: Path) -> None:
    folder = scripts.Folder(tmp_path, "cpu")
    wanted = parts(scripts, quick=lambda _limit_s: 1, hangs=lambda _limit_s: time.sleep(60))
    began = time.monotonic()
    assert scripts.measure(folder, wanted, began + 1) == ["hangs"]
    assert time.monotonic() - began < 20
    assert folder.figures == {"quick": 1}


def test_what_is_unfinished_is_asked_again(scripts: ModuleType, tmp_path: Path) -> None:
    folder, calls = scripts.Folder(tmp_path, "cpu"), []

    def measure(_limit_s: float) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise scripts.Unfinished
        return 7

    wanted = parts(scripts, tier=measure)
    assert scripts.measure(folder, wanted, time.monotonic() + 5) == ["tier"]
    assert scripts.measure(folder, wanted, time.monotonic() + 5) == []
    assert folder.figures == {"tier": 7}


def test_figures_of_another_profile_are_not_mixed(scripts: ModuleType, tmp_path: Path) -> None:
    scripts.Folder(tmp_path, "h200").keep("kernels", "table")
    with pytest.raises(ValueError, match="holds measurements of profile h200, and this is cpu: name another folder"):
        _ = scripts.Folder(tmp_path, "cpu").figures


def test_the_page_holds_the_targets_of_a_run(scripts: ModuleType, tmp_path: Path) -> None:
    from dgxcert.profiles import profile as profiles

    rates = {
        "DECODE-SPEED[bf16-tuned-single]": {"rate": 216.0, "unit": "token/s", "ceiling": 0.751, "s": 1.0},
        "DECODE-SPEED[int4-tuned-single]": {"rate": 324.0, "unit": "token/s", "s": 1.0},
    }
    tier = {"verdict": "REJECTED", "seconds": 700, "outcomes": {"passed": 90}, "sampler": 0.024, "rates": rates}
    plan = scripts.Plan(profiles.load("h200"))
    table = {
        what: (measured, wanted)
        for what, measured, wanted in scripts.gpu_steps.tables(plan, {"tier": tier})["Standard tier"]
    }
    assert table["DECODE-SPEED[bf16-tuned-single] over its ceiling"] == ("0.751", ">= 0.80")
    assert table["DECODE-SPEED[int4-tuned-single] over DECODE-SPEED[bf16-tuned-single]"] == (
        "1.50 (324 / 216)",
        ">= 1.8",
    )
    assert table["sampling the driver"] == ("2.4% of a core", "under 2 %")
    assert table["from end to end"] == ("700 s", "under 480 s")


def test_every_part_has_a_name_of_its_own(scripts: ModuleType, tmp_path: Path) -> None:
    from dgxcert.profiles import profile as profiles

    plan = scripts.Plan(profiles.load("h200"))
    names = [part.name for part in scripts.gpu_steps.parts(plan, scripts.Folder(tmp_path, "h200"))]
    assert len(set(names)) == len(names) == 1 + 1 + 5 + 40 + 9 + 1 + 2
    assert all(
        part.takes_s < scripts.LIMIT_S for part in scripts.gpu_steps.parts(plan, scripts.Folder(tmp_path, "h200"))
    )
