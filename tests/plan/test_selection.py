"""The plan excludes what the profile, the tier or --only excludes, and nothing else; an unknown name is an error."""

import pytest

from dgxcert.judgement.requirement import Stage
from dgxcert.outcome import CannotStart
from dgxcert.plan import lanes, selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import Options, Weights
from dgxcert.plan.selection import Planned
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile


def entry(key: str, group: str = "gpu", tier: str = "quick") -> Entry:
    name = key.partition("[")[0]
    return Entry.model_validate(
        {
            "key": key,
            "id": name,
            "group": group,
            "title": f"{name} is right",
            "why": "training stops",
            "remedy": ("look",),
            "tier": tier,
            "takes_s": 1,
            "budget_s": 60,
            "nodeid": f"checks/{group}/test_it.py::{key}",
        }
    )


CATALOGUE = [
    entry("GPU-PRESENT"),
    entry("BF16-CORRECT[gpu0]"),
    entry("BF16-CORRECT[gpu1]"),
    entry("STACK-IMPORT[torch]", group="stack"),
    entry("STACK-IMPORT[peft]", group="stack"),
    entry("DECODE-SPEED[bf16-gpu0]", group="benchmarks", tier="standard"),
    entry("DECODE-SPEED[bf16-gpu1]", group="benchmarks", tier="standard"),
    entry("DECODE-SPEED[int4-gpu0]", group="benchmarks", tier="standard"),
]
EVERYTHING = [each.key for each in CATALOGUE]


def excluding(*names: str) -> Profile:
    excluded = dict.fromkeys(names, "not on this machine")
    return profiles.load("cpu").model_copy(
        update={"name": "mine", "not_applicable": excluded, "not_applicable_native": {}}
    )


EXCLUDES_NONE = excluding()


def make(profile: Profile, *only: str, tier: str = "standard") -> list[Planned]:
    options = Options.model_validate({"profile": "mine", "only": only, "tier": tier})
    return selection.make(CATALOGUE, profile, options, gpus=1)


def run_by(planned: list[Planned]) -> list[str]:
    return [each.key for each in planned if each.runs]


def test_a_plan_names_every_requirement_of_the_catalogue_in_order() -> None:
    assert [each.key for each in make(EXCLUDES_NONE, "GPU-PRESENT", tier="quick")] == EVERYTHING


def test_the_whole_standard_tier_runs_everything() -> None:
    assert run_by(make(EXCLUDES_NONE)) == EVERYTHING


def test_the_quick_tier_excludes_the_standard_tier_with_a_reason() -> None:
    planned = make(EXCLUDES_NONE, tier="quick")
    assert run_by(planned) == EVERYTHING[:5]
    assert {each.not_run for each in planned[5:]} == {"belongs to tier standard"}
    assert not any(each.not_applicable for each in planned)


@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        ("GPU-PRESENT", ["GPU-PRESENT"]),
        ("STACK-IMPORT", ["STACK-IMPORT[torch]", "STACK-IMPORT[peft]"]),
        ("STACK-IMPORT[peft]", ["STACK-IMPORT[peft]"]),
        ("DECODE-SPEED[bf16]", ["DECODE-SPEED[bf16-gpu0]", "DECODE-SPEED[bf16-gpu1]"]),
        ("DECODE-SPEED[bf16-gpu1]", ["DECODE-SPEED[bf16-gpu1]"]),
        ("BF16-CORRECT", ["BF16-CORRECT[gpu0]", "BF16-CORRECT[gpu1]"]),
    ],
)
def test_the_profile_excludes_by_id_or_key_with_or_without_the_gpu(name: str, excluded: list[str]) -> None:
    planned = make(excluding(name))
    assert [each.key for each in planned if each.not_applicable == "not on this machine"] == excluded
    assert run_by(planned) == [key for key in EVERYTHING if key not in excluded]


def test_the_reason_nearest_to_the_requirement_is_given() -> None:
    planned = make(
        EXCLUDES_NONE.model_copy(update={"not_applicable": {"STACK-IMPORT": "all", "STACK-IMPORT[peft]": "this one"}})
    )
    assert {each.key: each.not_applicable for each in planned if each.not_applicable} == {
        "STACK-IMPORT[torch]": "all",
        "STACK-IMPORT[peft]": "this one",
    }


def test_a_name_with_a_star_matches_all_keys_with_that_prefix_and_must_match_one() -> None:
    exclusions = {"DECODE-SPEED[int4-*]": "no 4 bits", "DECODE-SPEED": "no model"}
    catalogue = [entry(f"DECODE-SPEED[{case}]") for case in ("int4-tuned", "int4", "int42-tuned", "fp16-tuned")]
    profile = EXCLUDES_NONE.model_copy(update={"not_applicable": exclusions})
    options = Options(profile="x")
    found = {each.key: selection.decide(each, profile, options, gpus=1).not_applicable for each in catalogue}
    assert found == {
        "DECODE-SPEED[int4-tuned]": "no 4 bits",
        "DECODE-SPEED[int4]": "no model",
        "DECODE-SPEED[int42-tuned]": "no model",
        "DECODE-SPEED[fp16-tuned]": "no model",
    }
    with pytest.raises(CannotStart, match=r"no requirement is called 'DECODE-SPEED\[fp8-\*\]'"):
        make(EXCLUDES_NONE.model_copy(update={"not_applicable": {"DECODE-SPEED[fp8-*]": "?"}}))


def test_nothing_but_the_profile_makes_a_requirement_not_applicable() -> None:
    for only, tier in ((("GPU-PRESENT",), "standard"), ((), "quick"), (("stack",), "quick")):
        assert not any(each.not_applicable for each in make(EXCLUDES_NONE, *only, tier=tier))


def test_an_exclusion_by_the_profile_outranks_deselection() -> None:
    for only, tier in ((("GPU-PRESENT",), "standard"), ((), "quick")):
        planned = make(excluding("DECODE-SPEED"), *only, tier=tier)
        assert {(each.not_applicable, each.not_run) for each in planned[5:]} == {("not on this machine", "")}


@pytest.mark.parametrize(
    ("only", "run"),
    [
        (("GPU-PRESENT",), ["GPU-PRESENT"]),
        (("STACK-IMPORT[torch]",), ["STACK-IMPORT[torch]"]),
        (("stack",), ["STACK-IMPORT[torch]", "STACK-IMPORT[peft]"]),
        (("DECODE-SPEED[bf16]",), ["DECODE-SPEED[bf16-gpu0]", "DECODE-SPEED[bf16-gpu1]"]),
        (("BF16-CORRECT[gpu1]",), ["BF16-CORRECT[gpu1]"]),
        (("*-SPEED",), EVERYTHING[5:]),
        (("GPU-*", "st?ck"), ["GPU-PRESENT", "STACK-IMPORT[torch]", "STACK-IMPORT[peft]"]),
    ],
)
def test_only_names_ids_keys_groups_and_patterns(only: tuple[str, ...], run: list[str]) -> None:
    planned = make(EXCLUDES_NONE, *only)
    assert run_by(planned) == run
    assert {each.not_run for each in planned if not each.runs} == {"deselected by --only"}


def test_only_does_not_reach_beyond_the_tier() -> None:
    planned = make(EXCLUDES_NONE, "DECODE-SPEED", "GPU-PRESENT", tier="quick")
    assert run_by(planned) == ["GPU-PRESENT"]


@pytest.mark.parametrize(
    ("only", "hint"),
    [
        ("GPU-PRESNT", "did you mean 'GPU-PRESENT'?"),
        ("gpu-present", "did you mean 'GPU-PRESENT'?"),
        ("stak", "did you mean 'stack'?"),
        ("DECODE-SPEED[bf61]", r"did you mean 'DECODE-SPEED\[bf16\]'?"),
        ("BF16-CORRECT[gpu7]", r"did you mean 'BF16-CORRECT'?"),
        ("XYZ-*", "none of the "),
        ("", "none of the "),
    ],
)
def test_a_name_that_matches_nothing_stops_the_run(only: str, hint: str) -> None:
    with pytest.raises(CannotStart, match=f"--only: no requirement is called '.*'; {hint}"):
        make(EXCLUDES_NONE, "GPU-PRESENT", only)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HUB-REACHABEL", "none of the "),
        ("GPU-PRESNT", "did you mean 'GPU-PRESENT'?"),
        ("stack", r"did you mean 'STACK-IMPORT', 'STACK-IMPORT\[peft\]' or"),
        ("*-SPEED", "did you mean 'DECODE-SPEED'?"),
    ],
)
def test_an_exclusion_of_a_profile_must_name_an_existing_requirement(name: str, hint: str) -> None:
    """A group or a pattern would otherwise be accepted silently and exclude nothing."""
    with pytest.raises(CannotStart, match=f"profile mine: not_applicable: no requirement is called '.*'; {hint}"):
        make(excluding(name))


@pytest.mark.parametrize(
    ("excluded", "only", "tier"),
    [
        (tuple({each.id for each in CATALOGUE}), (), "standard"),
        (("GPU-PRESENT",), ("GPU-PRESENT",), "standard"),
        ((), ("DECODE-SPEED",), "quick"),
    ],
    ids=["everything-excluded", "only-what-is-excluded", "only-what-is-in-another-tier"],
)
def test_a_run_without_requirements_does_not_start(excluded: tuple[str, ...], only: tuple[str, ...], tier: str) -> None:
    with pytest.raises(CannotStart, match="Nothing is left to run: profile mine with tier"):
        make(excluding(*excluded), *only, tier=tier)


def test_an_empty_catalogue_does_not_start() -> None:
    with pytest.raises(CannotStart, match="No requirement was found"):
        selection.make([], EXCLUDES_NONE, Options(profile="mine"), gpus=1)


@pytest.mark.parametrize(
    ("key", "without"),
    [
        ("DECODE-SPEED[int4-gpu3]", "DECODE-SPEED[int4]"),
        ("BF16-CORRECT[gpu0]", "BF16-CORRECT"),
        ("BF16-CORRECT[gpu12]", "BF16-CORRECT"),
        ("STACK-IMPORT[torch]", "STACK-IMPORT[torch]"),
        ("GPU-PRESENT", "GPU-PRESENT"),
    ],
)
def test_a_key_can_be_written_without_its_gpu(key: str, without: str) -> None:
    assert selection.any_gpu(key) == without


@pytest.mark.parametrize(("weights", "runs"), [(Weights.SEEDED, False), (Weights.HUB, True)])
def test_real_checkpoints_are_used_only_with_weights_hub(weights: Weights, runs: bool) -> None:
    real = entry("CHECKPOINT-FILES[gpt2]", group="hub").model_copy(update={"real_weights": True})
    found = selection.decide(real, EXCLUDES_NONE, Options(profile="cpu", weights=weights), gpus=1)
    assert found.runs is runs
    assert runs or found.not_run == "needs real checkpoints: --weights hub"


@pytest.mark.parametrize(("gpus", "reason"), [(1, "one GPU"), (2, ""), (8, "")])
def test_what_joins_gpus_does_not_apply_where_there_is_one(gpus, reason):
    profile = profiles.load("h200").model_copy(update={"not_applicable_alone": {"BF16-CORRECT": "one GPU"}})
    entry = next(each for each in CATALOGUE if each.id == "BF16-CORRECT")
    assert selection.decide(entry, profile, Options(profile="x"), gpus=gpus).not_applicable == reason


@pytest.mark.parametrize("gpus", [1, 8])
def test_all_gpus_burn_in_at_once_for_the_minutes_of_one(gpus: int) -> None:
    options = Options.model_validate({"profile": "generic-nvidia", "tier": "burn-in", "minutes": 30.0})
    catalogue = suite.collect(suite.root(), gpus=gpus)
    planned = selection.make(catalogue, profiles.load("generic-nvidia"), options, gpus=gpus)
    (burn_in,) = (each for each in planned if each.resumes)
    assert burn_in.key == "BURN-IN"
    assert (burn_in.takes_s, burn_in.budget_s) == (60 + 1800, 900 + 1.25 * 1800)
    assert len([each for each in planned if each.id == "BURN-IN-THERMAL"]) == gpus
    assert "BURN-IN" in {key for phase in lanes.phases(work(planned))[:1] for lane in phase for key in lane.keys}


def work(planned: list[Planned]) -> list[Planned]:
    return [each for each in planned if each.runs and each.stage is Stage.WORK]
