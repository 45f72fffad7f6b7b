"""A run starts only with a complete and valid profile; a missing limit is never a pass."""

import copy
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import ROOT

from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.units import QUANTITIES
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import CannotStart, Inconclusive
from dgxcert.profiles import profile as profiles

SPARK: dict[str, Any] = yaml.safe_load((profiles.SHIPPED / "dgx-spark.yaml").read_text(encoding="utf-8"))
MINE = Path("somewhere/mine.yaml")

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> str:
    """The text of the Spark's profile with one change."""
    content = copy.deepcopy(SPARK)
    change(content)
    return yaml.safe_dump(content)


@pytest.mark.parametrize("name", profiles.names())
def test_every_shipped_profile_loads_under_its_own_name(name: str) -> None:
    assert profiles.load(name).name == name
    assert profiles.load(str(profiles.SHIPPED / f"{name}.yaml")) == profiles.load(name)


def test_a_users_profile_certifies_nothing_and_needs_another_name(tmp_path: Path) -> None:
    shipped = (profiles.SHIPPED / "dgx-spark.yaml").read_text(encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(shipped, encoding="utf-8")
    own = profiles.load(str(mine))
    assert (own.own, own.certifies) == (True, False)
    mine.write_text(f"name: dgx-spark\nown: false\n{shipped}", encoding="utf-8")
    with pytest.raises(CannotStart, match="the name dgx-spark ships"):
        profiles.load(str(mine))


@pytest.mark.parametrize(
    "edge", [{"min": 100, "max": 200}, {"max": 200}, {"reading": 250, "margin": 0.1, "direction": "max"}]
)
def test_a_speed_has_a_minimum_and_nothing_else(edge: dict[str, Any]) -> None:
    speed = {"unit": "GB/s", "source": "data sheet", **edge}
    with pytest.raises(CannotStart, match=r"limits\.bandwidth\.copy: a speed has a minimum and nothing else"):
        profiles.parse(changed(lambda c: c["limits"].update({"bandwidth.copy": speed})), MINE)


def test_only_a_calibrated_machine_is_certified() -> None:
    assert [name for name in profiles.names() if profiles.load(name).certifies] == ["dgx-spark"]


@pytest.mark.parametrize("name", profiles.names())
def test_the_profile_of_a_run_is_a_profile_again(name: str) -> None:
    """Without basis, reading and margin: as profiles of users were written before there were any."""
    shipped = profiles.load(name)
    text = yaml.safe_dump(shipped.model_dump(mode="json"), sort_keys=False)
    assert profiles.parse(text, MINE) == shipped


WRONG: dict[str, tuple[Change, str]] = {
    "top": (lambda c: c.update(machin="x"), "unknown key 'machin'; did you mean 'machine'?"),
    "gpu": (lambda c: c["gpu"].update(cuont=1), "unknown key 'gpu.cuont'; did you mean 'count'?"),
    "match": (lambda c: c["match"].update(produkt="x"), "unknown key 'match.produkt'; did you mean 'product'?"),
    "limit": (lambda c: c["limits"]["spread"].update(mx=1), "unknown key 'limits.spread.mx'; did you mean 'max'?"),
    "peak": (
        lambda c: c["physical"]["memory_bandwidth"].update(sauce="x"),
        "unknown key 'physical.memory_bandwidth.sauce'; did you mean 'source'?",
    ),
    "workload": (
        lambda c: c["workloads"]["decode"]["single"].update(new_token=1),
        "unknown key 'workloads.decode.single.new_token'; did you mean 'new_tokens'?",
    ),
    "missing": (lambda c: c.pop("certifies"), "missing key 'certifies'"),
    "no source": (
        lambda c: c["limits"]["decode.bf16.tuned.single"].pop("source"),
        "missing key 'limits.decode.bf16.tuned.single.source'",
    ),
    "no unit": (
        lambda c: c["limits"]["decode.bf16.tuned.single"].pop("unit"),
        "missing key 'limits.decode.bf16.tuned.single.unit'",
    ),
    "blank source": (
        lambda c: c["limits"]["decode.bf16.tuned.single"].update(source=" "),
        "limits.decode.bf16.tuned.single.source: must say where the number comes from",
    ),
    "blank peak source": (
        lambda c: c["physical"]["matmul.bf16"].update(source=""),
        "physical.matmul.bf16.source: must say where the number comes from",
    ),
    "min above max": (
        lambda c: c["limits"]["device.memory"].update(min=2, max=1),
        "limits.device.memory: min 2.0 is above max 1.0",
    ),
    "number as a name": (
        lambda c: c["limits"].update({5: c["limits"]["decode.bf16.tuned.single"]}),
        "limits.5: unknown name",
    ),
    "margin of a billion": (
        lambda c: c["limits"]["spread"].update({"max": None, "reading": 1, "margin": 1e9, "direction": "max"}),
        "limits.spread.margin: Input should be less than or equal to 10",
    ),
    "no edge": (
        lambda c: c["limits"]["transfer.to_host"].pop("min"),
        "limits.transfer.to_host: a limit needs `min`, `max` or `equals`, or `reading` and `margin`",
    ),
    "unit": (
        lambda c: c["limits"]["decode.bf16.tuned.single"].update(unit="tokens/s"),
        "limits.decode.bf16.tuned.single.unit: wanted token/s or of roofline or of ceiling, found 'tokens/s'",
    ),
    "factor": (
        lambda c: c["limits"]["bandwidth.copy"].update(unit="GiB/s"),
        "limits.bandwidth.copy.unit: wanted GB/s, found 'GiB/s'",
    ),
    "peak unit": (
        lambda c: c["physical"]["matmul.bf16"].update(unit="GFLOP/s"),
        "physical.matmul.bf16.unit: wanted TFLOP/s, found 'GFLOP/s'",
    ),
    "limit name": (
        lambda c: c["limits"].update({"decode.bf61.tuned.single": c["limits"].pop("decode.bf16.tuned.single")}),
        "limits.decode.bf61.tuned.single: unknown name; did you mean 'decode.bf16.tuned.single'?",
    ),
    "peak name": (
        lambda c: c["physical"].update(bandwidth=c["physical"].pop("memory_bandwidth")),
        "physical.bandwidth: unknown name; did you mean 'memory_bandwidth'?",
    ),
    "no memory": (lambda c: c.pop("memory"), "missing key 'memory'"),
    "no margin": (lambda c: c["memory"].pop("margin"), "missing key 'memory.margin'"),
    "no floor": (lambda c: c["memory"].pop("floor"), "missing key 'memory.floor'"),
    "memory key": (lambda c: c["memory"].update(flor={}), "unknown key 'memory.flor'; did you mean 'floor'?"),
    "margin without a source": (lambda c: c["memory"]["margin"].pop("source"), "missing key 'memory.margin.source'"),
    "margin in GB": (
        lambda c: c["memory"]["margin"].update(unit="GB"),
        "memory: margin: wanted a value above 0 in GiB, found 16 GB",
    ),
    "floor in MiB": (
        lambda c: c["memory"]["floor"].update(unit="MiB"),
        "memory: floor: wanted a value above 0 in GiB, found 4 MiB",
    ),
    "blank margin source": (
        lambda c: c["memory"]["margin"].update(source=" "),
        "memory.margin.source: must say where the number comes from",
    ),
    "floor at margin": (
        lambda c: c["memory"]["floor"].update(value=c["memory"]["margin"]["value"]),
        "memory: floor must be below margin, or work of the allowed size would be stopped",
    ),
    "floor above margin": (lambda c: c["memory"]["margin"].update(value=3), "memory: floor must be below margin"),
    "margin without end": (
        lambda c: c["memory"]["margin"].update(value=float("inf")),
        "wanted a finite number, found .inf",
    ),
    "word": (lambda c: c["limits"]["spread"].update(max="little"), "limits.spread.max: Input should be a valid number"),
    "nan": (lambda c: c["limits"]["spread"].update(max=float("nan")), "wanted a finite number, found .nan"),
    "infinite": (
        lambda c: c["physical"]["memory_bandwidth"].update(value=float("inf")),
        "wanted a finite number, found .inf",
    ),
    "too few rounds": (
        lambda c: c["workloads"]["timing"].update(least_rounds=5),
        "workloads.timing.least_rounds: Input should be",
    ),
    "other name": (
        lambda c: c["limits"]["spread"].update(name="spred"),
        "limits.spread.name: wanted spread, found spred",
    ),
    "no keys": (lambda c: c["limits"].update(spread=0.1), "limits.spread: wanted keys and values, found 0.1"),
    "no section": (lambda c: c.update(limits=3), "limits: Input should be a valid dictionary"),
    "no memory keys": (lambda c: c.update(memory=16), "memory: wanted keys and values, found 16"),
    "basis": (
        lambda c: c["limits"]["spread"].update(basis="guessed"),
        "limits.spread.basis: Input should be 'measured'",
    ),
    "both": (lambda c: c["gpu"].update(at_least=1), "gpu: give exactly one of `count` and `at_least`"),
    "neither": (lambda c: c["gpu"].pop("count"), "gpu: give exactly one of `count` and `at_least`"),
    "assumed": (
        lambda c: c["limits"]["transfer.to_host"].update(assumed=True),
        "limits.transfer.to_host: what is assumed certifies nothing",
    ),
    "assumed and published": (
        lambda c: c["limits"]["bandwidth.copy"].update(assumed=True),
        "limits.bandwidth.copy: assumed: what is not derived is not assumed, found basis published",
    ),
    "its own ceiling": (
        lambda c: c["limits"]["decode.nf4.tuned.long"].update(unit="of ceiling"),
        "limits.decode.nf4.tuned.long: wanted no share of its own ceiling",
    ),
    "eight without links": (
        lambda c: c.update(gpu={"count": 8}, not_applicable={"NVLINK-COUNT": "nobody looks"}),
        "not_applicable.NVLINK-COUNT: several GPUs are certified only with what joins them",
    ),
    "certifies any number": (
        lambda c: c.update(gpu={"at_least": 1}),
        "gpu.count: a profile that certifies must say exactly how many GPUs there are",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_by_file_and_key_with_a_suggestion(name: str) -> None:
    change, complaint = WRONG[name]
    with pytest.raises(CannotStart) as raised:
        profiles.parse(changed(change), MINE)
    assert re.match(rf"Profile {MINE}, line \d+, column \d+: ", raised.value.problem)
    assert complaint in raised.value.problem
    assert raised.value.remedy[0].startswith(("Fix the file", "Give a number"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("machine: [", "this is not YAML: "),
        ("limits:\n  spread: {max: 0.1}\n  spread: {max: 9}\n", "key 'spread' is given twice"),
        ("\tmachine: x", "this is not YAML"),
        ("", "wanted keys and values, found nothing"),
        ("# only a comment\n", "wanted keys and values, found nothing"),
        ("- machine", "wanted keys and values, found a list"),
        ("? [a]\n: b\n", "wanted a text as key"),
        ("!!python/object/apply:os.getcwd []", "wanted no tag, found 'tag:yaml.org,2002:python"),
    ],
)
def test_a_file_that_is_no_profile_is_named(text: str, complaint: str) -> None:
    with pytest.raises(CannotStart, match=rf"Profile {MINE}, line \d+, column \d+: {complaint}") as raised:
        profiles.parse(text, MINE)
    assert "\n" not in raised.value.problem


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dgx-sparc", "Did you mean 'dgx-spark'?"),
        ("h20", "Did you mean 'h200'?"),
        ("zzz", "None of the 19 known names is like it."),
    ],
)
def test_an_unknown_profile_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(CannotStart) as raised:
        profiles.load(name)
    assert raised.value.problem == f"There is no profile '{name}'."
    assert raised.value.remedy[0].startswith(hint)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"nowhere\.yaml cannot be read: .*No such file"):
        profiles.load(str(tmp_path / "nowhere.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"machine: \xe9\n")
    with pytest.raises(CannotStart, match=r"latin\.yaml, line 1, column 10: wanted text in UTF-8"):
        profiles.load(str(tmp_path / "latin.yaml"))


def test_a_users_profile_is_named_after_its_file(tmp_path: Path) -> None:
    (tmp_path / "lab-7.yml").write_text(changed(lambda c: None), encoding="utf-8")
    assert profiles.load(str(tmp_path / "lab-7.yml")).name == "lab-7"


def test_a_missing_limit_or_peak_is_inconclusive_and_its_place_is_named() -> None:
    spark = profiles.load("dgx-spark")
    with pytest.raises(Inconclusive, match=r"dgx-spark has no limit 'decode\.fp32': a missing limit is never a pass"):
        spark.limit("decode.fp32")
    bare = spark.model_copy(update={"physical": {}})
    with pytest.raises(Inconclusive, match=r"has no physical peak 'memory_bandwidth'") as raised:
        bare.peak("memory_bandwidth")
    assert "under `physical:`" in raised.value.remedy[0]


@pytest.mark.parametrize(
    ("gpu", "expected", "edges"),
    [({"count": 8}, 8, (8, None)), ({"at_least": 2}, 2, (None, 2)), ({"count": 0}, 0, (0, None))],
)
def test_the_number_of_gpus_comes_from_the_profile(gpu: dict[str, int], expected: int, edges: Any) -> None:
    profile = profiles.parse(changed(lambda c: c.update(gpu=gpu, certifies=False)), MINE)
    assert (profile.gpu.expected, profile.uses_gpu) == (expected, expected > 0)
    assert (profile.gpu_count.equals, profile.gpu_count.min) == edges


@pytest.mark.parametrize("name", profiles.names())
def test_every_shipped_profile_leaves_memory_free_for_the_system(name: str) -> None:
    """On unified memory an allocation that does not fit hangs the machine."""
    profile = profiles.load(name)
    assert profile.memory.margin.value >= (16 if profile.gpu.memory is MemoryKind.UNIFIED else 1)
    assert 0 < profile.memory.floor.value < profile.memory.margin.value


def test_the_hash_covers_the_content_of_a_profile_and_not_its_layout() -> None:
    spark = profiles.parse(changed(lambda c: None), MINE)
    assert profiles.parse("# a comment\n" + changed(lambda c: None) + "\n\n", MINE).sha256 == spark.sha256
    assert profiles.parse(changed(lambda c: c["limits"]["spread"].update(max=0.2)), MINE).sha256 != spark.sha256
    other_floor = changed(lambda c: c["memory"]["floor"].update(value=3))
    assert profiles.parse(other_floor, MINE).sha256 != spark.sha256


SUITE = [*(ROOT / "checks").rglob("test_*.py"), *(ROOT / "benchmarks").glob("test_*.py")]
LIMIT = re.compile(r'profile\.limit\(f?"(.+?)"\)')
OF_A_CASE = re.compile(r'profile\.limit\(case\.limit\("(.+?)"\)\)')
OF_A_CASES_SPREAD = "profile.limit(case.spread)"
OF_A_RESULT = re.compile(r"\{\w+\.precision\}")
PARAMETERS = re.compile(r'parametrize\("(\w+)", benchmark_cases\.(\w+)')


def limits_used() -> set[tuple[str, str]]:
    """Every limit that a check or benchmark uses, with the key of its requirement."""
    used: set[tuple[str, str]] = set()
    for block in (block for path in SUITE for block in path.read_text(encoding="utf-8").split("@requirement(")[1:]):
        name = block.split('"')[1]
        found = PARAMETERS.search(block)
        values = getattr(benchmark_cases, found[2]) if found else ()
        for value in values:
            key = f"{name}[{value}]"
            used |= {(limit.replace(f"{{{found[1]}}}", str(value)), key) for limit in LIMIT.findall(block)}
            used |= {(value.limit(what), key) for what in OF_A_CASE.findall(block)}
            used |= {(value.spread, key)} if OF_A_CASES_SPREAD in block else set()
        if not values:
            used |= {(limit, name) for limit in LIMIT.findall(block)}
    # An algorithm that NCCL chooses, and a precision that is known only once the device is: any of them.
    used = {(each, key) for limit, key in used for each in _of_every_algorithm(limit)}
    return {(OF_A_RESULT.sub(precision, limit), key) for limit, key in used for precision in benchmark_cases.TRAINING}


def _of_every_algorithm(limit: str) -> list[str]:
    name, chosen, _ = limit.partition("{workload.algorithm}")
    algorithms = benchmark_cases.COLLECTIVES[name.split(".")[1]] if chosen else ("",)
    return [f"{name}{algorithm}" for algorithm in algorithms]


def is_of(limit: str, profile: profiles.Profile) -> bool:
    """Whether devices of a profile can need a limit: gloo joins CPUs, everything else several GPUs."""
    if not limit.startswith("collectives."):
        return True
    return limit.endswith(".gloo") is not profile.uses_gpu and profile.gpu.count != 1


def test_every_limit_that_the_suite_uses_has_a_quantity() -> None:
    used = limits_used()
    assert ("spread", "LORA-SPEED[bf16-tuned-large]") in used
    assert ("spread.host", "LORA-SPEED[bf16-stock-large]") in used
    assert ("decode.int4.tuned.full", "DECODE-SPEED[int4-tuned-full]") in used
    assert ("load.mmap", "WEIGHTS-LOAD[mmap]") in used
    assert {limit for limit, _ in used} <= set(QUANTITIES)
    for path in SUITE:
        text = path.read_text(encoding="utf-8")
        found = len(LIMIT.findall(text)) + len(OF_A_CASE.findall(text)) + text.count(OF_A_CASES_SPREAD)
        assert len(re.findall(r"profile\.limit\(", text)) == found, (
            f"{path.name} uses a limit in a way that this test does not find"
        )


@pytest.mark.parametrize("name", profiles.names())
def test_every_shipped_profile_has_the_limits_of_all_requirements_that_it_does_not_exclude(name: str) -> None:
    profile = profiles.load(name)
    for limit, key in limits_used():
        excluded = any(
            name in (key, key.partition("[")[0]) or (name.endswith("-*]") and key.startswith(name.removesuffix("*]")))
            for name in profile.not_applicable
        )
        assert excluded or limit in profile.limits or not is_of(limit, profile), f"{key} needs {limit}"


@pytest.mark.parametrize("name", profiles.names())
def test_every_limit_that_ships_states_its_basis(name: str) -> None:
    assert [limit.name for limit in profiles.load(name).limits.values() if limit.basis is None] == []


def test_a_basis_that_is_not_stated_changes_no_hash() -> None:
    """Runs of dgxcert 0.1.0 kept no basis; the hashes that they recorded must stay those of their profiles."""
    unstated = {name: limit.model_copy(update={"basis": None}) for name, limit in profiles.load("cpu").limits.items()}
    old = profiles.load("cpu").model_copy(update={"limits": unstated})
    content = old.model_dump(mode="json")
    for limit in content["limits"].values():
        del limit["basis"]
    del content["site"], content["lab"], content["not_applicable_alone"], content["not_applicable_pair"]
    content["gpu"] = {"count": 0, "at_least": None, "unified_memory": False}
    assert (
        old.sha256
        == hashlib.sha256(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
    )
    assert old.sha256 != profiles.load("cpu").sha256


def test_a_limit_copied_from_a_run_keeps_its_source(tmp_path: Path) -> None:
    limit = profiles.load("h200").limits["bandwidth.copy"]
    path = tmp_path / "copied.yaml"
    path.write_text(
        f"extends: h200\ncertifies: false\nlimits:\n  bandwidth.copy: {limit.model_dump_json()}\n", encoding="utf-8"
    )
    assert profiles.load(str(path)).limits["bandwidth.copy"] == limit


def test_the_three_kinds_of_memory_and_how_one_was_written_before() -> None:
    """A run that recorded `unified_memory: true` keeps its profile, and its hash."""
    spark = profiles.parse(changed(lambda c: None), MINE)
    before = profiles.parse(changed(lambda c: c.update(gpu={"count": 1, "unified_memory": True})), MINE)
    assert (spark.gpu.memory, before) == (MemoryKind.UNIFIED, spark)
    separate = profiles.parse(changed(lambda c: c.update(gpu={"count": 1, "unified_memory": False})), MINE)
    coherent = profiles.parse(changed(lambda c: c.update(gpu={"count": 1, "memory": "coherent"})), MINE)
    assert (separate.gpu.memory, coherent.gpu.memory) == (MemoryKind.SEPARATE, MemoryKind.COHERENT)
    assert len({spark.sha256, separate.sha256, coherent.sha256}) == 3
    for both in ({"unified_memory": True, "memory": "unified"}, {"unified_memory": "yes"}):
        with pytest.raises(CannotStart, match="gpu: unified_memory: write `memory: unified` in its place"):
            profiles.parse(changed(lambda c, both=both: c.update(gpu={"count": 1, **both})), MINE)


@pytest.mark.parametrize("range_", [[80, 40], [0, 40]])
def test_memory_that_a_profile_is_told_by_has_a_least_and_a_most(range_: list[float]) -> None:
    with pytest.raises(CannotStart, match=r"match: memory_gib: wanted the least and the most, found \["):
        profiles.parse(changed(lambda c: c["match"].update(memory_gib=range_)), MINE)


def test_what_a_match_does_not_state_changes_no_hash() -> None:
    spark = profiles.parse(changed(lambda c: None), MINE)
    named = profiles.parse(changed(lambda c: c["match"].update(systems=["DGX Spark"])), MINE)
    assert spark.sha256 != named.sha256
    bare = named.model_copy(update={"match": spark.match})
    assert bare.sha256 == spark.sha256


def test_sizes_of_several_gpus_that_are_not_stated_change_no_hash() -> None:
    """Profiles of runs before several GPUs worked together have no sizes for it; the hashes they recorded must stay."""
    spark = profiles.parse(changed(lambda c: None), MINE)
    for name, stated in (("collectives", {"largest_mib": 8}), ("data_parallel", {"alone": 4})):
        other = profiles.parse(changed(lambda c, name=name, stated=stated: c["workloads"].update({name: stated})), MINE)
        assert other.sha256 != spark.sha256
        whole = getattr(spark.workloads, name).model_dump(mode="json")
        same = profiles.parse(changed(lambda c, name=name, whole=whole: c["workloads"].update({name: whole})), MINE)
        assert same.sha256 == spark.sha256
