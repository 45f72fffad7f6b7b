"""Switches: each variable that turns compilation off is known, those of the installed torch among them."""

import re
from importlib import util
from pathlib import Path

import pytest

from dgxcert.probes.stack import switches

READ_BY_TORCH = re.compile(
    r"""(?:environ(?:\.get)?\s*[\[(]|getenv\s*\(|env_name_(?:force|default)\s*=\s*\[?)\s*["']([A-Z][A-Z0-9_]+)["']"""
    r"""|["']([A-Z][A-Z0-9_]{3,})["']\s+(?:not\s+)?in\s+os\.environ"""
)


def variables_of(package: str) -> set[str]:
    """Every variable that the Python files of an installed package read."""
    spec = util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    names: set[str] = set()
    for file in Path(spec.origin).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8", errors="replace")
        names.update(first or second for first, second in READ_BY_TORCH.findall(text))
    return names


@pytest.mark.parametrize("package", ["torch", "transformers", "accelerate", "peft", "datasets", "bitsandbytes"])
def test_every_variable_that_says_disable_is_in_the_table_or_declared_harmless(package: str) -> None:
    named = {name for name in variables_of(package) if "DISABLE" in name or "SUPPRESS_ERRORS" in name}
    known = [re.compile(rule[0]) for rule in switches.SWITCHES]
    unknown = {
        name
        for name in named
        if not any(rule.fullmatch(name) for rule in known) and not switches.DECLARED_HARMLESS.fullmatch(name)
    }
    assert unknown == set()
    assert package != "torch" or {"TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE"} <= named


@pytest.mark.parametrize(
    ("name", "off", "on"),
    [
        ("TORCHDYNAMO_DISABLE", "1", "0"),
        ("TORCH_COMPILE_DISABLE", "1", "0"),
        ("TORCHDYNAMO_SUPPRESS_ERRORS", "0", ""),  # any text is true to torch
        ("PYTORCH_JIT", "0", "1"),
        ("TRITON_INTERPRET", "True", "0"),
        ("TRITON_DISABLE_LINE_INFO_OPT", "1", ""),
        ("CUDA_LAUNCH_BLOCKING", "1", "0"),
        ("NVIDIA_TF32_OVERRIDE", "0", ""),
        ("USE_TF", "YES", "0"),
        ("USE_TORCH", "false", "AUTO"),
        ("ACCELERATE_USE_CPU", "true", "false"),
        ("ACCELERATE_MIXED_PRECISION", "fp16", "no"),
        ("ATEN_CPU_CAPABILITY", "default", "avx2"),
        ("TORCH_COMPILE_OVERRIDE_BACKENDS", "0-:eager", ""),
    ],
)
def test_a_value_decides(name: str, off: str, on: str) -> None:
    (found,) = switches.parse({name: off, "LANG": "C"})
    assert (found.name, found.value) == (name, off)
    assert switches.parse({name: on}) == ()
    assert switches.parse({name: off}, frozenset({name})) == ()


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "TORCHINDUCTOR_CACHE_DIR", "HF_HOME"])
def test_an_ordinary_setting_is_no_switch(name: str) -> None:
    assert switches.parse({name: "1"}) == ()


def test_what_compilers_read_is_told_from_places_and_logs() -> None:
    variables = {"TRITON_PTXAS_PATH": "x", "TORCHINDUCTOR_CPP_WRAPPER": "1", "TORCH_LOGS": "x", "TRITON_CACHE_DIR": "x"}
    assert switches.of_compilers(variables) == ("TORCHINDUCTOR_CPP_WRAPPER",)
    assert switches.unset(()) == ()


def test_another_cuda_in_the_library_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other, same = tmp_path / "own", tmp_path / "other", tmp_path / "same"
    for folder in (own, other, same):
        folder.mkdir()
    for file in (own / "libcublas.so.13", other / "libcublas.so.13", other / "libcublas.so.12", other / "libm.so.6"):
        file.touch()
    (same / "libcublas.so.13").symlink_to(own / "libcublas.so.13")
    monkeypatch.setattr(switches, "_torch_s_own", lambda: [own])
    (found,) = switches.other_cuda(f"{tmp_path}/gone:{same}:{other}")
    assert (found.name, found.value) == ("LD_LIBRARY_PATH", str(other / "libcublas.so.13"))
    assert switches.other_cuda(f"{same}:") == ()
