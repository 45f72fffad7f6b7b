"""Why a container did not start or compute: tables of causes, most specific first, and CUDA's own errors."""

from dgxcert.container.engine_kind import DOCKER, EngineKind
from dgxcert.machine import cuda_errors
from dgxcert.probes.host.engine import cause, cdi_errors, runtime_errors, toolkit_errors
from dgxcert.probes.host.engine.cause import Found

OF_THE_TOOLKIT = (*toolkit_errors.PROGRAMS, *cdi_errors.CAUSES, *toolkit_errors.DRIVER_ERRORS)
OF_THE_RUNTIME = runtime_errors.CAUSES
"""After CUDA's errors: its rows are about programs, memory and files in general."""

OTHERWISE = (
    "Try by hand: docker run --rm --gpus all ubuntu nvidia-smi",
    "Read the engine's log: $log",
    'Let it say more: "debug": true in $config; then restart it, start the container again, and read the log: $restart',
)
"""What to do about a text that no row knows."""


def find(text: str, kind: EngineKind = DOCKER) -> Found | None:
    """The cause that a text of engine, toolkit or container names; None where no row knows it.

    >>> find("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all").meaning.partition(":")[0]
    'no valid CDI specification defines nvidia.com/gpu=all'
    >>> find("RuntimeError: CUDA error: system not yet initialized").meaning.partition(":")[0]
    'CUDA error 802, system not yet initialized (CUDA_ERROR_SYSTEM_NOT_READY)'
    """
    return cause.find(text, OF_THE_TOOLKIT, kind) or _of_cuda(text) or cause.find(text, OF_THE_RUNTIME, kind)


def explain(text: str, kind: EngineKind = DOCKER) -> Found:
    """The cause that a text names, or the text's own last sentence and how to learn more.

    >>> explain("OSError: something new\\n").meaning
    'the container could not compute'
    """
    unknown = Found("the container could not compute", cause.sentence(text), kind.steps(OTHERWISE), conclusive=True)
    return find(text, kind) or unknown


def _of_cuda(text: str) -> Found | None:
    """CUDA's error that a text names, with the line that names it."""
    error = cuda_errors.named_in(text)
    if error is None:
        return None
    lines = [line for line in text.splitlines() if cuda_errors.named_in(line) == error]
    return Found(error.description, cause.sentence(lines[-1] if lines else text), error.remedy, conclusive=True)
