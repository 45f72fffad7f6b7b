"""Later: a call that goes on beside others, for whose result nobody waits longer than there is time."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from dgxcert.outcome import CannotStart

T = TypeVar("T")


class Later(Generic[T]):
    """A call in a thread of its own, which ends with this process at the latest.

    >>> Later(lambda: 2 + 2).result(within_s=5)
    4
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._results: list[T] = []
        self._refused: CannotStart | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except CannotStart as error:
            self._refused = error

    def result(self, within_s: float) -> T:
        """The result. Raises CannotStart where the call does, and TimeoutError where it does not end in time."""
        self._thread.join(max(0.0, within_s))
        if self._refused is not None:
            raise self._refused
        if not self._results:
            raise TimeoutError
        return self._results[0]
