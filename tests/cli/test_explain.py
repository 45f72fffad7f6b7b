"""`explain` says why, what, how much and what to do; `profiles` shows every number; near misses are named."""

import io
import re
from pathlib import Path

import pytest
import yaml
from suites.site_profile import write as site_profile

from dgxcert.cli import screen
from dgxcert.console import PlainConsole
from dgxcert.plan import known_faults, suite
from dgxcert.profiles import profile as profiles


def test_a_requirement_is_explained_with_limits_remedy_and_faults(dgxcert) -> None:
    done = dgxcert("explain", "GPU-THERMAL")
    assert (done.code or 0, done.err) == (0, "")
    assert done.out.startswith("GPU-THERMAL: The GPU stays cool under load\n")
    for heading in ("Why it matters", "When it is measured", "Limits", "What to do if it does not pass"):
        assert f"\n\n{heading}\n  " in done.out
    assert "group gpu, tier standard; in the container, or in this environment" in done.out
    assert "\n    dgx-spark: at most 87 °C (published); 86 °C plus 1 %; " in done.out
    assert re.search("dgx-spark, .*generic-nvidia, .*h200, .*: at most 0.05 of time .derived.; a few samples", done.out)
    assert "does not apply to cpu: this profile rehearses without a GPU" in done.out
    assert "  B6  The GPU overheats and slows down: " in done.out
    assert "GPU-CLOCK-UNDER-LOAD, GPU-STEADY" in done.out
    assert "ONLY='GPU-THERMAL'" in done.out


def test_a_step_is_one_line_that_can_be_copied_however_narrow_the_terminal(
    dgxcert, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = PlainConsole(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    monkeypatch.setattr(screen, "console", lambda *_: narrow)
    dgxcert("explain", "CLOCK-SYNCHRONISED")
    assert isinstance(narrow.file, io.StringIO)
    assert "\n  1. Read its state: timedatectl timesync-status; chronyc tracking\n" in narrow.file.getvalue()


def test_every_fault_that_a_requirement_catches_is_named(dgxcert) -> None:
    known = known_faults.load(suite.root())
    caught = sorted({name for fault in known.faults.values() for name in fault.caught_by})[:3]
    for requirement in caught:
        shown = re.findall(r"^  ([A-Z]\d+)  ", dgxcert("explain", requirement).out, re.MULTILINE)
        assert shown == [name for name, fault in known.faults.items() if requirement in fault.caught_by]


def test_a_benchmark_of_many_cases_shows_its_numbers_and_one_profile_their_sources(dgxcert) -> None:
    every = dgxcert("explain", "decode-speed").out
    shown = every.partition("\n  decode.bf16.tuned.single\n")[2].split("\n  decode.")[0].splitlines()
    assert "    >= 0.61 of roofline, published: dgx-spark" in shown
    assert "    >= 0.55 of roofline, measured: dgx-h200, h200" in shown
    assert any(line.startswith("    >= 0.2 of ceiling, derived: dgx-a100-40, ") for line in shown)
    assert "with basis and source: dgxcert explain DECODE-SPEED --profile " in every
    one = dgxcert("explain", "DECODE-SPEED", "--profile", "h200").out
    assert "at least 0.55 of roofline (measured); 0.69 of roofline less 20 %; one H200, " in one
    assert "h200: does not apply: models are neither trained nor run in 32 bits on a GPU" in one


@pytest.mark.parametrize("typed", ["DECODE-SPEED[int4-tuned-single]", "decode-speed[int4-tuned-single-gpu0]"])
def test_one_case_is_explained_by_its_key(dgxcert, typed: str) -> None:
    out = dgxcert("explain", typed).out
    assert out.startswith("DECODE-SPEED[int4-tuned-single]: ")
    assert "decode.int4.tuned.single" in out
    assert "cases: " not in out
    assert "decode.int4.tuned.full" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", "DECOD-SPED"), "No requirement is called 'DECOD-SPED'; did you mean 'DECODE-SPEED'?"),
        (("explain", "stack"), "stack is a group of 17 requirements: ACCELERATE-TEST, "),
        (("explain", "GPU-XID", "--profile", "h20"), "There is no profile 'h20'. Did you mean 'h200'?"),
        (("profiles", "show", "dgx-sprk"), "There is no profile 'dgx-sprk'. Did you mean 'dgx-spark'?"),
        (("profiles", "show", "nowhere.yaml"), "nowhere.yaml cannot be read"),
    ],
)
def test_what_is_not_there_is_named_with_what_is_near(dgxcert, arguments: tuple[str, ...], said: str) -> None:
    done = dgxcert(*arguments)
    assert (done.code, done.out) == (3, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_every_profile_that_ships_is_listed_on_one_line(dgxcert) -> None:
    done = dgxcert("profiles")
    heading, *rows, _ = done.out.splitlines()
    assert " ".join(heading.split()) == "profile certifies chosen for measured published derived machine"
    assert [row.split()[0] for row in rows] == profiles.names()
    of = dict(zip(profiles.names(), rows, strict=True))
    assert re.split("  +", of["dgx-spark"])[:3] == ["dgx-spark", "yes", "1 x NVIDIA GB10"]
    assert re.split("  +", of["dgx-h200"])[:3] == ["dgx-h200", "no", "8 x NVIDIA H200, DGX H200 or DGX H100"]
    assert re.split("  +", of["h200"])[2] == "NVIDIA H200"
    assert re.split("  +", of["dgx-station-gb300"])[2] == "1 x NVIDIA GB300 with 246 to 256 GiB"
    assert "any other GPU" in of["generic-nvidia"]
    assert "only by name" in rows[0]


@pytest.mark.parametrize("name", profiles.names())
def test_a_profile_is_shown_with_every_number_and_its_source(dgxcert, name: str) -> None:
    out, loaded = dgxcert("profiles", "show", name).out, profiles.load(name)
    written = profiles.quantities(name)
    for limit, each in loaded.limits.items():
        assert f"\n  {limit}: " in out
        assert f"({each.basis.value}); {written['limits'][limit].origin}\n" in out
    for reason in loaded.not_applicable.values():
        assert f"\n  {reason}: " in out


def test_a_file_of_ones_own_and_a_site_profile_are_shown(dgxcert, tmp_path: Path) -> None:
    mine = tmp_path / "rack-7.yaml"
    mine.write_text(yaml.safe_dump({"extends": "h200", "certifies": False, "machine": "rack [7]"}))
    own = dgxcert("profiles", "show", mine).out
    assert own.startswith("rack-7: rack [7]\n")
    assert "never certifies: it is a file of your own; chosen for: only by name" in own
    site = dgxcert("profiles", "show", site_profile(tmp_path)).out
    assert "tightened by site profile dgx-spark of Ada Lovelace" in site
    assert re.search(
        r"bandwidth\.copy: at least 217 GB/s \(measured; tightened by the site, ships as at least 170", site
    )


def test_a_requirement_of_pairs_is_explained_with_the_limits_of_profiles_that_have_some(dgxcert) -> None:
    explained = dgxcert("explain", "pair-link").out
    assert explained.startswith("PAIR-LINK: The cable joins")
    assert "dgx-spark: pair.halves: at least 2 half (published)" in explained
    assert "does not apply to dgx-a100-40" in explained
    assert explained.endswith("dgxcert room run room.yaml\n")
    assert "h200" not in dgxcert("explain", "PAIR-TRAINING", "--profile", "dgx-spark").out
