"""The compiler checks: a compiled layer passes; a wrong graph, or a fallback to eager mode, fails."""

import shutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from needs import missing

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.workloads.correctness import torch_compile, triton_kernel

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch and triton are not tested here

CPU = Device("cpu", 0, "CPU")
PTXAS = "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"


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


@pytest.mark.catches("COMPILE-CORRECT", "the output of a compiled layer off by a ten-thousandth")
def test_a_layer_that_is_a_little_off_fails(
    check: ModuleType, evidence: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_with(monkeypatch, lambda graph, inputs: lambda *args: [each * 1.0001 for each in graph.forward(*args)])
    monkeypatch.setattr(torch_compile, "OWN_KERNELS", torch_compile.OWN_KERNELS.model_copy(update={"min": 0}))
    with pytest.raises(AssertionError):
        check.test_a_compiled_layer_computes_what_it_says(CPU, evidence)


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


@pytest.mark.catches("TRITON-KERNEL", "one wrong number")
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
            raise type("PTXASError", (RuntimeError,), {"__module__": "triton.runtime.errors"})(PTXAS)

    monkeypatch.setattr(triton_kernel, "build", Refusing)
    with pytest.raises(Wrong, match="sm_121a"):
        check.test_a_triton_kernel_compiles_and_is_exact(CPU, evidence)
    assert evidence.advice
