"""Refusals: what a kernel that is only tried may raise, after which the machine is measured without it."""

import sys

from dgxcert.outcome import Wrong


def kinds() -> tuple[type[Exception], ...]:
    """The exceptions of a trial: torch's and a library's, Triton's own, and that what was computed is no number.

    Triton's errors (of its compiler, of ptxas, for want of shared memory) are no RuntimeErrors.

    >>> RuntimeError in kinds()
    True
    """
    triton = getattr(sys.modules.get("triton.errors"), "TritonError", None)  # what has raised one is imported
    return (RuntimeError, ImportError, ValueError, Wrong, *([triton] if triton else []))


def said(refusal: Exception) -> str:
    r"""What an exception says, in one line.

    >>> said(RuntimeError("ptxas failed\nand a trace"))
    'refused, ptxas failed'
    """
    lines = str(refusal).strip().splitlines()
    return f"refused, {lines[0] if lines else type(refusal).__name__}"
