"""dgxcert: certifies NVIDIA DGX machines for Hugging Face work."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgxcert.judgement.requirement import requirement

__all__ = ["requirement"]


def __getattr__(name: str) -> Any:
    """Load `requirement` when it is first used.

    Probes start this package in dozens of short processes; pydantic would cost each of them 0.2 s.
    """
    if name == "requirement":
        from dgxcert.judgement.requirement import requirement

        return requirement
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
