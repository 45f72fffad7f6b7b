"""A connection to the first address of a host that answers, and which addresses before it do not answer at all.

Python's clients try the addresses in turn and wait the whole time limit for each: an address whose packets are dropped
costs every new connection ten seconds, or two minutes. hf_xet tries both families at once.
"""

import contextlib
import queue
import socket
import threading
import time
from typing import NamedTuple

STAGGER_S = 0.3
"""After which the next address is tried as well."""
SILENT_S = 2.2
"""Without an answer for so long an address is silent: more than the second after which a lost SYN is sent again."""


class Lost(NamedTuple):
    """The addresses of a host that do not answer, in the client's order before one that does."""

    silent: tuple[str, ...]
    answers: str

    @property
    def cause(self) -> str:
        """A key of causes.CAUSES: a family of addresses that is lost, or single addresses."""
        families = {":" in address for address in self.silent}
        if families == {True} and ":" not in self.answers:
            return "ipv6-lost"
        return "ipv4-lost" if families == {False} and ":" in self.answers else "address-lost"

    @property
    def detail(self) -> str:
        """Which address does not answer, and which does.

        >>> Lost(("2600:9000::1",), "18.66.0.1").detail
        '2600:9000::1 does not answer within 2.2 s, 18.66.0.1 does'
        """
        verb = "does" if len(self.silent) == 1 else "do"
        return f"{', '.join(self.silent)} {verb} not answer within {SILENT_S} s, {self.answers} does"


_lost: dict[str, Lost] = {}
_silent: set[tuple[str, int]] = set()


def lost(host: str) -> Lost | None:
    """What was noticed at the connections to a host in this process."""
    return _lost.get(host)


def forget() -> None:
    """Forget what was noticed."""
    _lost.clear()
    _silent.clear()


def connect(host: str, addresses: list[str], port: int, timeout_s: float) -> socket.socket:
    """A connection to the first of these addresses that answers. Raises OSError where none does."""
    answering = [address for address in addresses if (address, port) not in _silent]
    race = _Race(answering or addresses, port, timeout_s)
    connection, index = race.run()
    silent = race.silent_before(index)
    _silent.update((address, port) for address in silent)
    if silent:
        _lost[host] = Lost(silent, race.addresses[index])
    return connection


class _Race:
    """Attempts that start one after another, each in a thread of its own."""

    def __init__(self, addresses: list[str], port: int, timeout_s: float) -> None:
        self.addresses, self._port, self._timeout_s = addresses, port, timeout_s
        self._results: queue.Queue[tuple[int, socket.socket | OSError]] = queue.Queue()
        self._started: list[float] = []
        self._ended: dict[int, socket.socket | OSError] = {}
        self._over = threading.Event()

    def run(self) -> tuple[socket.socket, int]:
        """The connection and the place of its address. Raises OSError."""
        begun = time.monotonic()
        try:
            while len(self._ended) < len(self.addresses) or self._connected():
                if (chosen := self._chosen()) is not None:
                    return self._ended.pop(chosen), chosen  # type: ignore[return-value]  # _chosen takes sockets only
                if time.monotonic() - begun > self._timeout_s:
                    break
                self._start_next()
                with contextlib.suppress(queue.Empty):
                    index, result = self._results.get(timeout=0.05)
                    self._ended[index] = result
        finally:
            self._close()
        errors = [error for error in self._ended.values() if isinstance(error, OSError)]
        if len(errors) < len(self.addresses) or not errors:
            raise TimeoutError
        raise errors[-1]

    def silent_before(self, index: int) -> tuple[str, ...]:
        """The addresses before one that neither accepted nor refused, or did so with a time limit of their own."""
        ended = {at for at, result in self._ended.items() if not isinstance(result, TimeoutError)}
        return tuple(address for at, address in enumerate(self.addresses[:index]) if at not in ended)

    def _connected(self) -> list[int]:
        return sorted(index for index, result in self._ended.items() if isinstance(result, socket.socket))

    def _chosen(self) -> int | None:
        """The first that has connected, once those before it have ended or been silent for long enough."""
        connected = self._connected()
        if not connected:
            return None
        waiting = [at for at in range(connected[0]) if at not in self._ended]
        now = time.monotonic()
        return connected[0] if all(now - self._started[at] > SILENT_S for at in waiting) else None

    def _start_next(self) -> None:
        """Start the next attempt where those that run have had their time, or have failed."""
        started = len(self._started)
        running = [at for at in range(started) if at not in self._ended]
        late = all(time.monotonic() - self._started[at] > STAGGER_S for at in running)
        if started < len(self.addresses) and late and not self._connected():
            self._started.append(time.monotonic())
            threading.Thread(target=self._attempt, args=(started,), daemon=True).start()

    def _attempt(self, index: int) -> None:
        result: socket.socket | OSError
        try:
            result = socket.create_connection((self.addresses[index], self._port), timeout=self._timeout_s)
        except OSError as error:
            result = error
        if self._over.is_set() and isinstance(result, socket.socket):
            result.close()
        else:
            self._results.put((index, result))

    def _close(self) -> None:
        """Close the connections that were not chosen."""
        self._over.set()
        while not self._results.empty():
            index, result = self._results.get()
            self._ended.setdefault(index, result)
        for result in self._ended.values():
            if isinstance(result, socket.socket):
                result.close()
