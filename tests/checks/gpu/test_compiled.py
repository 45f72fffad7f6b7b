"""The compiler checks: a compiled layer passes; a wrong graph, or a fallback to eager mode, fails."""

import errno
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import check_file
import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from needs import missing

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.correctness import torch_compile, triton_kernel

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch and triton are not tested here

CPU = Device("cpu", 0, "CPU")
PTXAS = """PTXAS error: Internal Triton PTX codegen error
`ptxas` stderr:
ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'

Repro command: /opt/triton/backends/nvidia/bin/ptxas -lineinfo -v --gpu-name=sm_121a /tmp/a.ptx -o /tmp/a.ptx.o
"""


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return check_file.load("gpu/test_compiled")


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def compile_with(monkeypatch: pytest.MonkeyPatch, backend: Callable[[Any, Any], Any]) -> None:
    """Replace torch's compiler with a planted one."""
    right = torch_compile.run
    monkeypatch.setattr(torch_compile, "run", lambda device, evidence: right(device, evidence, backend))


def test_a_layer_that_was_compiled_passes(
    check: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        missing("a C++ compiler", "torch.compile on a CPU needs one: sudo apt-get install g++")
    # one step of the layer: each kernel takes a C++ compiler seconds
    monkeypatch.setattr(
        torch_compile, "decoder_layer", lambda rows, _weights: torch.nn.functional.silu(rows).softmax(-1)
    )
    check.test_a_compiled_layer_computes_what_it_says(CPU, evidence)
    kernels, error = evidence.kept
    assert not evidence.violated
    assert kernels.value >= 1
    assert 0 < error.value < 1e-6


def test_a_compile_that_falls_back_to_eager_fails(
    check: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_with(monkeypatch, lambda graph, inputs: graph.forward)
    with pytest.raises(AssertionError):
        check.test_a_compiled_layer_computes_what_it_says(CPU, evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["compiled kernels"]


def test_a_graph_that_computes_something_else_fails(
    check: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_one_step(graph: Any, inputs: Any) -> Any:
        silu = next(node for node in graph.graph.nodes if "silu" in node.name)
        silu.replace_all_uses_with(silu.args[0])
        graph.recompile()
        return graph.forward

    compile_with(monkeypatch, without_one_step)
    monkeypatch.setattr(torch_compile, "OWN_KERNELS", torch_compile.OWN_KERNELS.model_copy(update={"min": 0}))
    with pytest.raises(AssertionError):
        check.test_a_compiled_layer_computes_what_it_says(CPU, evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["compiled layer error"]


def test_a_layer_that_is_a_little_off_fails(
    check: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_with(monkeypatch, lambda graph, inputs: lambda *args: [each * 1.0001 for each in graph.forward(*args)])
    monkeypatch.setattr(torch_compile, "OWN_KERNELS", torch_compile.OWN_KERNELS.model_copy(update={"min": 0}))
    with pytest.raises(AssertionError):
        check.test_a_compiled_layer_computes_what_it_says(CPU, evidence)


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
    assert any("rm -rf" in step for step in evidence.advice)


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
    """As torch raises it from what g++ said."""
    from torch._inductor.exc import CppCompileError

    try:
        raise CppCompileError(["g++", "main.cpp"], output) from subprocess.CalledProcessError(returncode, ["g++"])
    except CppCompileError as error:
        return error


def ptxas_error(text: str) -> Exception:
    return raised_by("triton.runtime.errors", f"PTXAS error: {text}\n`ptxas` stderr:\n")


KEPT_FROM_WORK = {
    "full disk": (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    "no folder": (PermissionError(errno.EACCES, "Permission denied", "/tmp/x"), "Permission denied"),
    "no memory": (MemoryError(), "could not work: MemoryError"),
    "full disk, says g++": (
        cpp_error("fatal error: error writing to /tmp/a.s: No space left on device"),
        "No space left",
    ),
    "no memory, says g++": (cpp_error("cc1plus: out of memory allocating 65536 bytes"), "out of memory allocating"),
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
    """An error as it is, as torch's compiler wraps it, and as dynamo does; neither sets a cause."""
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import InductorError

    return [error, InductorError(error, None), BackendCompilerFailed(refuse, error, None)]


@pytest.mark.parametrize("case", KEPT_FROM_WORK)
def test_a_compiler_that_is_kept_from_its_work_is_inconclusive(evidence: Recorder, case: str) -> None:
    error, reason = KEPT_FROM_WORK[case]
    for each in wrapped(error)[1:]:
        with pytest.raises(Inconclusive, match=reason) as raised, torch_compile.refusals(evidence):
            raise each
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
    for each in wrapped(error)[1:]:
        with pytest.raises(Wrong, match="a compiler refused"), torch_compile.refusals(evidence):
            raise each
    assert evidence.advice


def test_what_happened_before_a_refusal_does_not_excuse_it(evidence: Recorder) -> None:
    refusal = cpp_error(REFUSED)
    refusal.__cause__, refusal.__context__ = None, FileNotFoundError(errno.ENOENT, "No such file", "/cache/entry")
    with pytest.raises(Wrong, match="expected declaration"), torch_compile.refusals(evidence):
        raise refusal


@pytest.mark.parametrize("there", [True, False])
def test_a_silent_c_compiler_without_pythons_header_is_inconclusive(
    evidence: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
) -> None:
    if there:
        (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    expected = subprocess.CalledProcessError if there else Inconclusive
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


class Kernel:
    """A fake compiled kernel that computes correctly, except for one flipped bit at `place`."""

    def __init__(self, place: int | None) -> None:
        self.place = place

    def __getitem__(self, grid: tuple[int]) -> Callable[..., None]:
        def launch(left: Any, right: Any, out: Any, length: int, factor: int, block: int) -> None:
            assert grid[0] * block >= length > (grid[0] - 1) * block
            out[:length] = left * factor + right
            if self.place is not None:
                out[self.place] ^= 1

        return launch


@pytest.mark.parametrize(("place", "wrong"), [(None, 0), (5, 1), (triton_kernel.LENGTH, 1)])
def test_every_wrong_number_of_a_triton_kernel_is_counted(
    check: ModuleType,
    evidence: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    place: int | None,
    wrong: int,
) -> None:
    monkeypatch.setattr(triton_kernel, "build", lambda: Kernel(place))
    if wrong:
        with pytest.raises(AssertionError):
            check.test_a_triton_kernel_compiles_and_is_exact(CPU, evidence)
    else:
        check.test_a_triton_kernel_compiles_and_is_exact(CPU, evidence)
    assert evidence.kept[0].value == wrong


def test_a_triton_that_refuses_fails_the_requirement(
    check: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def __getitem__(self, grid: tuple[int]) -> Any:
            raise raised_by("triton.runtime.errors", PTXAS)

    monkeypatch.setattr(triton_kernel, "build", Refusing)
    with pytest.raises(Wrong, match="sm_121a"):
        check.test_a_triton_kernel_compiles_and_is_exact(CPU, evidence)
    assert evidence.advice


def test_the_real_kernel_is_exact_in_tritons_interpreter(evidence: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="the kernel itself needs triton, which comes with torch for CUDA")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert triton_kernel.wrong_numbers(CPU, evidence) == 0
