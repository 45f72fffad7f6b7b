"""The limits that are read from the source of a test are those that runs of it were compared with."""

import json
from functools import cache
from pathlib import Path

import pytest
from paths import ROOT

from dgxcert.plan import limits_used, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.selection import any_gpu

KEPT = sorted((ROOT / "docs" / "measurements").rglob("run.json"))


@cache
def catalogue() -> dict[str, Entry]:
    return {any_gpu(entry.key): entry for entry in suite.collect(suite.root(), gpus=1)}


def compared(path: Path) -> set[tuple[str, str]]:
    """Every requirement of a kept run with each of the profile's limits that its evidence was compared with."""
    pairs = set()
    for result in json.loads(path.read_text(encoding="utf-8"))["results"]:
        sources = [held["source"] for item in result["evidence"] for held in item["held_against"]]
        names = {source.removeprefix("limit ").partition(":")[0] for source in sources}
        pairs |= {(any_gpu(result["key"]), name) for name in names if name in limits_used.KNOWN}
    return {pair for pair in pairs if pair[0] in catalogue()}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.parent.name)
def test_every_limit_that_a_kept_run_was_compared_with_is_found_in_the_source(path: Path) -> None:
    pairs = compared(path)
    assert len(pairs) > 20
    found = {key: limits_used.of(catalogue()[key], suite.root()) for key in {key for key, _ in pairs}}
    assert {(key, name) for key, name in pairs if name not in found[key]} == set()


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("GPU-PRESENT", ("gpu.count",)),
        ("GPU-CUDA", ("gpu.count",)),
        ("MATMUL-SPEED[bf16]", ("spread", "matmul.bf16")),
        ("DECODE-SPEED[nf4-stock-single]", ("spread.host", "ceiling.share", "decode.nf4.stock.single")),
        ("DECODE-SPEED[bf16-tuned-full_long]", ("spread", "ceiling.share", "decode.bf16.tuned.full_long")),
        ("GRADIENTS-CORRECT[nf4]", ("gradients",)),
        ("DEVICE-MEMORY", ("device.memory", "memory.reserved", "memory.handover")),
        ("POWER-INPUT", ("power.system", "power.package", "power.contract")),
        ("LAST-BOOT", ("boot.burn_in",)),
        ("STACK-VERSIONS", ()),
    ],
)
def test_each_set_of_parameters_has_its_own_limits(key: str, names: tuple[str, ...]) -> None:
    assert limits_used.of(catalogue()[key], suite.root()) == names


def test_every_speed_that_profiles_limit_belongs_to_one_requirement() -> None:
    speeds = [name for name in limits_used.KNOWN if name.split(".")[0] in ("decode", "prefill", "lora", "matmul")]
    used = {key: set(limits_used.of(entry, suite.root())) for key, entry in catalogue().items()}
    for name in speeds:
        assert [key for key, names in used.items() if name in names] == [_key(name)]


def _key(limit: str) -> str:
    kind, *parameters = limit.split(".")
    return f"{kind.upper()}-SPEED[{'-'.join(parameters)}]"
