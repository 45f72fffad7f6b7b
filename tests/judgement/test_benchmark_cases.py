"""Benchmark cases: each is measured once, under a name and a limit of its own, stock and tuned side by side."""

import pytest

from dgxcert.judgement.benchmark_cases import COURSE, DECODE, INT4, LARGE, LORA, PREFILL, STOCK, TUNED, Case
from dgxcert.judgement.units import QUANTITIES


def test_a_case_names_its_limit() -> None:
    assert Case("bf16", "tuned", "single").limit("decode") == "decode.bf16.tuned.single"


@pytest.mark.parametrize(("name", "cases"), [("prefill", PREFILL), ("decode", DECODE), ("lora", LORA)])
def test_each_case_of_a_benchmark_has_its_own_key_and_a_limit_with_a_unit(name: str, cases: tuple[Case, ...]) -> None:
    assert len({str(case) for case in cases}) == len(cases)
    limits = {case.limit(name) for case in cases}
    assert limits == {limit for limit in QUANTITIES if limit.startswith(f"{name}.")}


@pytest.mark.parametrize(
    ("case", "limit"),
    [
        (Case("bf16", STOCK, "single"), "spread.host"),  # a fast GPU waits for the host's Python
        (Case("bf16", TUNED, COURSE), "spread.host"),
        (Case("bf16", STOCK, COURSE), "spread.host"),
        (Case("bf16", TUNED, "single"), "spread"),
        (Case("nf4", TUNED, LARGE), "spread"),
    ],
)
def test_a_case_that_depends_on_the_host_has_a_spread_limit_of_its_own(case: Case, limit: str) -> None:
    assert case.spread == limit
    assert limit in QUANTITIES


@pytest.mark.parametrize("cases", [PREFILL, DECODE])
def test_each_precision_is_measured_stock_and_tuned_but_torch_int4_has_no_stock_path(cases: tuple[Case, ...]) -> None:
    paths = {precision: set[str]() for precision in ("fp32", "fp16", "bf16", "nf4", "int4")}
    for case in cases:
        paths[case.precision].add(case.path)
    assert paths.pop(INT4) == {TUNED}
    assert list(paths.values()) == [{STOCK, TUNED}] * 4


def test_lora_measures_each_precision_and_size_both_ways() -> None:
    sizes = {(case.precision, case.setting) for case in LORA}
    assert {(case.precision, case.setting, case.path) for case in LORA} == {
        (*size, path) for size in sizes for path in (STOCK, TUNED)
    }
    assert {setting for precision, setting in sizes if precision == "nf4"} == {LARGE}
