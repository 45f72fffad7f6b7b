"""What a run has computed by the stage after its work, which decides what the kernel log leaves open before it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Computation:
    """The requirements that a run was to measure, those that have passed, and what it read before the work.

    >>> Computation(("MATMUL-CORRECT[bf16-gpu0]",), frozenset()).missing("MATMUL-CORRECT")
    'MATMUL-CORRECT[bf16-gpu0] did not pass'
    """

    planned: tuple[str, ...] = ()
    """Keys, of every stage."""
    passed: frozenset[str] = frozenset()
    before: Mapping[tuple[str, str], object] = field(default_factory=dict)
    """The value of each quantity that the stages before this one recorded in this boot, by key and name."""

    def missing(self, *ids: str) -> str:
        """Why these requirements prove nothing, or "" where each was measured on every GPU and all passed.

        >>> Computation().missing("MATMUL-CORRECT")
        'nothing measured MATMUL-CORRECT in this run'
        >>> Computation(("MATMUL-CORRECT",), frozenset({"MATMUL-CORRECT"})).missing("MATMUL-CORRECT")
        ''
        """
        unplanned = [name for name in ids if not self._keys(name)]
        if unplanned:
            return f"nothing measured {' and '.join(unplanned)} in this run"
        failed = [key for name in ids for key in self._keys(name) if key not in self.passed]
        return f"{', '.join(failed[:3])} did not pass" if failed else ""

    def _keys(self, name: str) -> list[str]:
        return [key for key in self.planned if key.partition("[")[0] == name]
