"""torch.compile: refusals of a compiler are wrong with advice, and what keeps it from working is inconclusive."""

import errno
import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.correctness import torch_compile

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch and triton are not tested here

CPU = Device("cpu", 0, "CPU")
PTXAS = """PTXAS error: Internal Triton PTX codegen error
`ptxas` stderr:
ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'

Repro command: /opt/triton/backends/nvidia/bin/ptxas -lineinfo -v --gpu-name=sm_121a /tmp/a.ptx -o /tmp/a.ptx.o
"""


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def test_kernels_graphs_and_error_are_those_of_the_backend(evidence: Recorder) -> None:
    eager = torch_compile.run(CPU, evidence, lambda graph, inputs: graph.forward)
    assert (eager.graphs, eager.kernels) == (1, 0)
    assert 0 < eager.error < 1e-6
    doubled = torch_compile.run(
        CPU, evidence, lambda graph, inputs: lambda *args: [2 * output for output in graph.forward(*args)]
    )
    assert doubled.error == pytest.approx(1, rel=1e-5)


def raised_by(module: str, text: str) -> Exception:
    return type("Refusal", (RuntimeError,), {"__module__": module})(text)


def refuse(error: Exception) -> Callable[[Any, Any], Any]:
    def backend(graph: Any, inputs: Any) -> Any:
        raise error

    return backend


def test_a_compiler_that_refuses_is_wrong_and_named_with_what_to_do(evidence: Recorder) -> None:
    with pytest.raises(Wrong, match="ptxas fatal   : Value 'sm_121a' is not defined"):
        torch_compile.run(CPU, evidence, refuse(raised_by("triton.runtime.errors", PTXAS)))
    assert any("TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas" in step for step in evidence.advice)


def test_any_other_refusal_has_advice_of_its_own(evidence: Recorder) -> None:
    with pytest.raises(Wrong, match=r"CompilationError: at 3:12"), torch_compile.refusals(evidence):
        raise raised_by("triton.compiler.errors", "CompilationError: at 3:12")
    assert any("mv ~/.triton/cache ~/.triton/cache.old" in step for step in evidence.advice)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("builtins", "Failed to find C compiler. Please specify via CC environment variable"),
        ("torch._inductor.exc", "InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx"),
    ],
)
def test_a_missing_c_compiler_is_inconclusive(evidence: Recorder, module: str, text: str) -> None:
    with pytest.raises(Inconclusive, match="no C compiler"), torch_compile.refusals(evidence):
        raise raised_by(module, text)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("builtins", "something else"),
        ("torch", "CUDA error: an illegal memory access was encountered"),
        ("torch._inductor.exc", "TritonMissing: Cannot find a working triton installation"),
        ("torch._inductor.exc", "InductorError: OutOfMemoryError: CUDA out of memory"),
    ],
)
def test_what_is_not_a_compilers_refusal_stays_what_it_is(evidence: Recorder, module: str, text: str) -> None:
    error = raised_by(module, text)
    with pytest.raises(RuntimeError) as raised, torch_compile.refusals(evidence):
        raise error
    assert raised.value is error
    assert not evidence.advice


GCC = ["/usr/bin/gcc", "/tmp/tmp1/cuda_utils.c", "-O3", "-shared", "-o", "/tmp/tmp1/cuda_utils.so"]
REFUSED = "main.cpp:7:1: error: expected declaration before '}' token"


def cpp_error(output: str, returncode: int = 1) -> Exception:
    """As torch raises it from the output of g++."""
    from torch._inductor.exc import CppCompileError

    try:
        raise CppCompileError(["g++", "main.cpp"], output) from subprocess.CalledProcessError(returncode, ["g++"])
    except CppCompileError as error:
        return error


def ptxas_error(text: str) -> Exception:
    return raised_by("triton.runtime.errors", f"PTXAS error: {text}\n`ptxas` stderr:\n")


CANNOT_WORK = {
    "full disk": (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    "no folder": (PermissionError(errno.EACCES, "Permission denied", "/tmp/x"), "Permission denied"),
    "no memory": (MemoryError(), "could not work: MemoryError"),
    "full disk, by g++": (
        cpp_error("fatal error: error writing to /tmp/a.s: No space left on device"),
        "No space left",
    ),
    "no memory, by g++": (cpp_error("cc1plus: out of memory allocating 65536 bytes"), "out of memory allocating"),
    "nothing runs in /tmp": (
        ImportError("/tmp/a.so: failed to map segment from shared object"),
        "failed to map segment",
    ),
    "g++ killed": (cpp_error("", -9), "ended by a signal"),
    "a part of g++ killed": (
        cpp_error("g++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated."),
        r"ended by a signal: g\+\+: fatal error: Killed signal terminated program cc1plus",
    ),
    "ptxas killed": (ptxas_error("`ptxas` failed with error code -9"), "ended by a signal"),
    "ptxas crashed": (ptxas_error("`ptxas` raised SIGSEGV"), "ended by a signal"),
    "gcc killed": (subprocess.CalledProcessError(-9, GCC), "ended by a signal"),
    "no Python.h": (cpp_error("main.cpp:1:10: fatal error: Python.h: No such file or directory"), "header files"),
}


def wrapped(error: Exception) -> list[Exception]:
    """An error as torch's compiler wraps it, and as dynamo does; neither sets a cause."""
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import InductorError

    return [InductorError(error, None), BackendCompilerFailed(refuse, error, None)]


@pytest.mark.parametrize("case", CANNOT_WORK)
def test_a_compiler_that_could_not_work_is_inconclusive(evidence: Recorder, case: str) -> None:
    error, reason = CANNOT_WORK[case]
    for wrapper in wrapped(error):
        with pytest.raises(Inconclusive, match=reason) as raised, torch_compile.refusals(evidence):
            raise wrapper
        assert len(raised.value.remedy) >= 1
    assert not evidence.advice


def test_a_full_disk_while_a_layer_is_compiled_is_inconclusive(evidence: Recorder) -> None:
    with pytest.raises(Inconclusive, match="No space left on device"):
        torch_compile.run(CPU, evidence, refuse(OSError(errno.ENOSPC, "No space left on device")))


@pytest.mark.parametrize(
    "error",
    [
        cpp_error(REFUSED),
        ptxas_error("`ptxas` failed with error code 1"),
        OSError("/tmp/a.so: undefined symbol: kernel"),
    ],
)
def test_a_compiler_that_refuses_the_code_is_wrong_however_it_is_wrapped(evidence: Recorder, error: Exception) -> None:
    for wrapper in wrapped(error):
        with pytest.raises(Wrong, match="a compiler refused"), torch_compile.refusals(evidence):
            raise wrapper
    assert evidence.advice


def test_what_happened_before_a_refusal_does_not_excuse_it(evidence: Recorder) -> None:
    refusal = cpp_error(REFUSED)
    refusal.__cause__, refusal.__context__ = None, FileNotFoundError(errno.ENOENT, "No such file", "/cache/entry")
    with pytest.raises(Wrong, match="expected declaration"), torch_compile.refusals(evidence):
        raise refusal


@pytest.mark.parametrize("exists", [True, False])
def test_a_silent_c_compiler_without_pythons_header_is_inconclusive(
    evidence: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exists: bool
) -> None:
    if exists:
        (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    expected = subprocess.CalledProcessError if exists else Inconclusive
    with pytest.raises(expected, match=r"non-zero exit status 1|header files"), torch_compile.refusals(evidence):
        raise subprocess.CalledProcessError(1, GCC)


def test_caches_of_earlier_compilations_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", "/mine")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    before = dict(os.environ)
    with torch_compile.fresh_caches():
        for name in torch_compile.CACHES:
            assert Path(os.environ[name]).parent.is_dir()
            assert os.environ[name] != before.get(name)
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", torch_compile.SWITCHES_OFF)
def test_a_variable_that_switches_compilation_off_is_named_with_what_unsets_it(name: str) -> None:
    with pytest.raises(Wrong, match=f"switched off by {name}=1") as raised:
        torch_compile.require_switched_on(Recorder(), {name: "1", "TORCHINDUCTOR_CPP_WRAPPER": "1"})
    both = "unset TORCHDYNAMO_DISABLE TORCH_COMPILE_DISABLE TORCHINDUCTOR_CPP_WRAPPER"
    assert raised.value.remedy[0].endswith(both)
    evidence = Recorder()
    torch_compile.require_switched_on(evidence, {name: "0"})
    assert "unset" in evidence.advice[0]


def test_without_such_variables_nothing_is_advised() -> None:
    evidence = Recorder()
    torch_compile.require_switched_on(evidence, {"TORCHINDUCTOR_CACHE_DIR": "/cache"})
    assert evidence.advice == ()
