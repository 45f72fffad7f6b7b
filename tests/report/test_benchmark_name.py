"""Benchmarks are named without what their group says, in the order in which people think of them."""

from dgxcert.judgement import benchmark_cases
from dgxcert.report import benchmark_name
from dgxcert.report.benchmark_name import LABEL_CHARS, names

CASES = {"LORA": benchmark_cases.LORA, "DECODE": benchmark_cases.DECODE, "PREFILL": benchmark_cases.PREFILL}
KEYS = [
    *(f"{name}-SPEED[{case}]" for name, cases in CASES.items() for case in cases),
    *(f"MATMUL-SPEED[{each}]" for each in benchmark_cases.MATMUL),
    *(f"MEMORY-BANDWIDTH[{each}]" for each in benchmark_cases.DIRECTIONS),
    *(f"HOST-TRANSFER[{each}]" for each in benchmark_cases.TRANSFERS),
    *(f"WEIGHTS-LOAD[{each}]" for each in benchmark_cases.LOADS),
]


def test_every_benchmark_has_a_group_and_a_label_that_is_whole() -> None:
    named = names(KEYS)
    assert list(dict.fromkeys(name.group for name in named.values())) == [
        *("Decode", "Prefill", "LoRA training", "Hardware"),
    ]
    assert not [name.label for name in named.values() if "…" in name.label]
    assert not [name.whole for name in named.values() if "…" in name.whole]
    assert len({name.whole for name in named.values()}) == len(KEYS)


def test_cases_stand_by_what_is_asked_of_them_then_by_precision_then_by_path() -> None:
    shuffled = ["fp32-tuned-long", "int4-tuned-single", "bf16-tuned-single", "bf16-stock-single"]
    labels = [name.label for name in names(f"DECODE-SPEED[{each}]" for each in shuffled).values()]
    assert labels == ["bf16 stock single", "bf16 tuned single", "int4 tuned single", "fp32 tuned long"]


def test_the_gpu_is_named_only_where_there_are_several() -> None:
    keys = [f"MATMUL-SPEED[bf16-gpu{gpu}]" for gpu in (11, 2)]
    assert [name.label for name in names(keys).values()] == ["matmul bf16, GPU 2", "matmul bf16, GPU 11"]
    assert [name.label for name in names(keys[:1]).values()] == ["matmul bf16"]


def test_a_strange_key_comes_last_and_stays_short() -> None:
    named = names(["\x1b[2J" + "A" * 100, "MATMUL-SPEED[bf16]", "DECODE-SPEED", "DECODE-SPEED[" + "x" * 99 + "-gpu1]"])
    assert [name.group for name in named.values()][-1] == benchmark_name.OTHER
    assert max(len(name.label) for name in named.values()) <= LABEL_CHARS
    assert "\x1b" not in "".join(name.label for name in named.values())
