"""torch.compile: a decoder layer is compiled into kernels, whose result is compared with that of the layer in fp64."""

import os
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.stack import switches
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

HIDDEN, HEADS, WIDE = 96, 4, 320
ROWS, LENGTH = 3, 37

OWN_KERNELS = Limit(
    name="kernels of its own",
    min=1,
    unit="kernel",
    source="a compiler that hands the work back to torch's own operators has compiled nothing",
)

CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
NO_C_COMPILER = ("Failed to find C compiler", "No working C++ compiler found", "InvalidCxxCompiler")
NOT_ITS_FAULT = ("TritonMissing", "CUDA error", "out of memory")
NO_ROOM = re.compile(
    r"No space left on device|Disk quota exceeded|Read-only file system|failed to map segment from shared object|"
    r"Cannot allocate memory|virtual memory exhausted|out of memory allocating|Memory allocation failure|std::bad_alloc"
)
"""Messages of gcc, clang, ptxas and the loader about a full disk or memory, or a /tmp mounted noexec."""
KILLED = re.compile(
    r"signal terminated program|unable to execute command: \w+|failed due to signal"
    r"|`ptxas` (?:failed with error code -\d+|raised SIG\w+)"
)
"""Messages of gcc and clang about their own processes, and of Triton about ptxas."""
PYTHON_H = re.compile(r"Python\.h: No such file|'Python\.h' file not found")
UNKNOWN_GPU = "is not defined for option 'gpu-name'"
SWITCHES_OFF = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE")
"""torch reads both, in torch/_dynamo/eval_frame.py and config.py; each alone is enough."""
COMPILERS = ("triton.", "torch._inductor.", "torch._dynamo.")
"""Modules whose exceptions are errors of a compiler."""

Backend = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class CompiledLayer:
    """Compiled graphs, the kernels generated from them, and the relative error of the result."""

    graphs: int
    kernels: int
    error: float


@contextmanager
def fresh_caches() -> Iterator[None]:
    """Empty caches of inductor and Triton, so that this machine's compilers have to work."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-compile-") as folder:
        before = {name: os.environ[name] for name in CACHES if name in os.environ}
        os.environ.update({name: os.path.join(folder, name.lower()) for name in CACHES})
        try:
            yield
        finally:
            for name in CACHES:
                os.environ.pop(name, None)
            os.environ.update(before)


SET_ASIDE = (
    Trait.NATIVE.only(
        "Set aside what other versions compiled, where it exists: mv ~/.triton/cache ~/.triton/cache.old"
    ),
    Trait.CONTAINER.only(
        "Set aside what other versions compiled, in `make shell`: mv $TRITON_CACHE_DIR $TRITON_CACHE_DIR.old"
    ),
)


@contextmanager
def refusals(evidence: Recorder) -> Iterator[None]:
    """Raise Wrong with its message where a compiler refuses the code, Inconclusive where it could not run."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if any(words in text for words in NO_C_COMPILER):
            raise Inconclusive(
                "there is no C compiler, which Triton and torch.compile need",
                "Check for a compiler: cc --version",
                "Install one: sudo apt install build-essential",
            ) from error
        if _from_a_compiler(error) or isinstance(error, subprocess.CalledProcessError):
            _require_worked(error)
        if not _from_a_compiler(error) or any(words in text for words in NOT_ITS_FAULT):
            raise
        advise(evidence, text)
        raise Wrong(f"a compiler refused: {telling_line(text)}") from error


def _from_a_compiler(error: BaseException) -> bool:
    return f"{type(error).__module__}.".startswith(COMPILERS)


def _require_worked(error: BaseException) -> None:
    """Raise Inconclusive where a compiler could not run: no headers, no free space, or a signal."""
    chain = _chain(error)
    text = "\n".join(map(str, chain))
    failed = [error for error in chain if isinstance(error, subprocess.CalledProcessError)]
    if PYTHON_H.search(text) or any(_lacks_python_h(error) for error in failed):
        raise Inconclusive(
            "Python's header files are missing, which Triton and torch.compile need to load what they compiled",
            "Install them: sudo apt install python3-dev",
        ) from error
    full = NO_ROOM.search(text)
    if full or any(isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno) for cause in chain):
        raise Inconclusive(
            f"a compiler could not work: {full.group() if full else telling_line(str(chain[-1]) or 'MemoryError')}",
            "Check the disk and the memory: df -h /tmp; free -g; mount | grep /tmp",
            "Free space, or use another folder: export TMPDIR=/a/folder/with/free/space; then run this again.",
        ) from error
    if KILLED.search(text) or any(error.returncode < 0 for error in failed):
        raise Inconclusive(
            f"a compiler was ended by a signal: {telling_line(text)}",
            "Find what ended it: sudo dmesg | grep -iE 'out of memory|oom|segfault'; free -g",
            "End other work, then run this again.",
        ) from error


def _chain(error: BaseException) -> list[BaseException]:
    """The error and its causes; torch keeps these in `inner_exception` and raises `from None`."""
    chain = [error]
    while (inner := getattr(chain[-1], "inner_exception", None) or chain[-1].__cause__) and inner not in chain:
        chain.append(inner)
    return chain


def _lacks_python_h(error: subprocess.CalledProcessError) -> bool:
    """Whether a C compiler failed where Python.h is missing: Triton runs it without keeping its output."""
    builds = any(str(word).endswith((".c", ".cpp")) for word in (error.cmd if isinstance(error.cmd, list) else ()))
    return builds and error.returncode > 0 and not Path(sysconfig.get_paths()["include"], "Python.h").is_file()


def telling_line(text: str) -> str:
    """The line of a compiler's output with the error.

    >>> telling_line("ptxas info\\nptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'\\n")
    "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    for mark in ("fatal", "error:", "Error:"):
        for line in lines:
            if mark in line:
                return line[:300]
    return lines[-1][:300]


def advise(evidence: Recorder, text: str) -> None:
    """Put the remedy of this refusal before the check's own."""
    set_by_hand = switches.unset(switches.of_compilers())
    if UNKNOWN_GPU in text:
        evidence.advise(
            *set_by_hand,
            "Check that it is of CUDA 13 or newer, which knows this GPU: /usr/local/cuda/bin/ptxas --version",
            "Use it instead of Triton's own: export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas",
            "Run this again from that shell; in the container (`make validate`) the right one is set.",
        )
    else:
        evidence.advise(
            *set_by_hand,
            "Check the versions, in `make shell`: python -m pip list",
            *SET_ASIDE,
            "Run in the container (`make validate`) if it is still refused: its compilers fit each other.",
        )


def run(device: Device, evidence: Recorder, backend: Backend | None = None) -> CompiledLayer:
    """Compile and run a decoder layer in fp32, and compare it with the layer in fp64 on the CPU.

    A `backend` takes the place of torch's own compiler, inductor. Raises Wrong where a compiler refuses.
    """
    import torch
    from torch._inductor import compile_fx, config, metrics

    require_switched_on(evidence)
    rows, weights = _inputs()
    graphs: list[Any] = []

    def counting(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return (backend or compile_fx.compile_fx)(graph, inputs)

    with ExitStack() as stack:
        stack.enter_context(fresh_caches())
        stack.enter_context(config.patch(fx_graph_cache=False, compile_threads=1))
        stack.enter_context(refusals(evidence))
        stack.enter_context(numerics.exact_matmul())
        stack.enter_context(torch.inference_mode())
        torch._dynamo.reset()
        metrics.reset()
        compiled = torch.compile(decoder_layer, backend=counting, fullgraph=True)
        output = compiled(rows.to(device.name), [weight.to(device.name) for weight in weights])
        device.wait()
        kernels = int(metrics.generated_kernel_count)
    exact = decoder_layer(rows.double(), [weight.double() for weight in weights])
    return CompiledLayer(len(graphs), kernels, numerics.relative_error(output, exact))


def require_switched_on(evidence: Recorder, variables: Mapping[str, str] = os.environ) -> None:
    """Raise Wrong where a variable switches torch.compile off; advise on others that change what it does.

    torch would run the layer as it is, and say nothing.
    """
    off = [each for each in switches.parse(variables) if each.name in SWITCHES_OFF]
    if off:
        others = [name for name in switches.of_compilers(variables) if name not in SWITCHES_OFF]
        settings = ", ".join(f"{each.name}={each.value}" for each in off)
        raise Wrong(f"torch.compile is switched off by {settings}", *switches.unset((*SWITCHES_OFF, *others)))
    evidence.advise(*switches.unset(switches.of_compilers(variables)))


def decoder_layer(rows: "torch.Tensor", weights: "list[torch.Tensor]") -> "torch.Tensor":
    """A decoder layer: norm and attention, norm and gated MLP, each added to the rows (batch, length, hidden)."""
    from torch.nn import functional

    qkv_proj, o_proj, gate_up_proj, down_proj = weights
    qkv = functional.linear(functional.rms_norm(rows, (HIDDEN,)), qkv_proj)
    query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in qkv.chunk(3, -1))
    scores = query @ key.transpose(-1, -2) / (HIDDEN // HEADS) ** 0.5
    rows = rows + functional.linear((scores.softmax(-1) @ value).transpose(1, 2).flatten(2), o_proj)
    gate, up = functional.linear(functional.rms_norm(rows, (HIDDEN,)), gate_up_proj).chunk(2, -1)
    return rows + functional.linear(functional.silu(gate) * up, down_proj)


def _inputs() -> "tuple[torch.Tensor, list[torch.Tensor]]":
    """Rows (batch, length, hidden) of odd length, and weights scaled so that outputs keep their magnitude."""
    import torch

    generator = torch.Generator("cpu").manual_seed(9)
    shapes = ((3 * HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (2 * WIDE, HIDDEN), (HIDDEN, WIDE))
    rows = torch.randn(ROWS, LENGTH, HIDDEN, generator=generator)
    return rows, [torch.randn(shape, generator=generator) / shape[1] ** 0.5 for shape in shapes]
