"""The clock is synchronised only where return value and status agree; its error is the kernel's own bound."""

import ctypes
import struct

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import clock
from dgxcert.probes.host.clock import Clock

TIME_OK, TIME_INS, TIME_WAIT, TIME_ERROR = 0, 1, 4, 5
STA_PLL, STA_UNSYNC, STA_NANO = 0x0001, 0x0040, 0x2000
"""From linux/timex.h."""


@pytest.mark.parametrize(
    ("state", "status", "synchronised"),
    [
        (TIME_OK, STA_PLL, True),
        (TIME_OK, STA_PLL | STA_NANO, True),
        (TIME_OK, 0, True),
        (TIME_INS, STA_PLL, True),
        (TIME_WAIT, STA_PLL, True),
        (TIME_ERROR, STA_UNSYNC, False),
        (TIME_ERROR, STA_PLL, False),
        (TIME_OK, STA_PLL | STA_UNSYNC, False),
    ],
)
def test_a_clock_is_synchronised_only_where_state_and_status_agree(state: int, status: int, synchronised: bool) -> None:
    assert clock.parse(state, status, 250).synchronised is synchronised


@pytest.mark.parametrize(("microseconds", "seconds"), [(0, 0.0), (250, 0.00025), (16_000_000, 16.0)])
def test_the_largest_error_is_in_seconds(microseconds: int, seconds: float) -> None:
    assert clock.parse(TIME_OK, STA_PLL, microseconds) == Clock(synchronised=True, max_error_s=seconds)


class Kernel:
    """adjtimex(2) of a 64-bit kernel: it writes a whole struct timex over the one it is passed."""

    SIZE = 208
    LAYOUT = "<I4xqqqqi4x"
    """modes, offset, freq, maxerror, esterror, status of linux/timex.h; all of the struct has SIZE bytes."""

    def __init__(self, state: int, status: int, maxerror: int) -> None:
        self._state = state
        head = struct.pack(self.LAYOUT, 0, -123, 456_789, maxerror, 999, status)
        self._answer = head + b"\xff" * (self.SIZE - len(head))
        self.modes: int | None = None

    def adjtimex(self, pointer: object) -> int:
        timex = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_char * self.SIZE)).contents  # type: ignore[arg-type]
        self.modes = struct.unpack_from("<I", timex.raw)[0]
        ctypes.memmove(timex, self._answer, self.SIZE)
        return self._state


def kernel(monkeypatch: pytest.MonkeyPatch, state: int, status: int, maxerror: int) -> Kernel:
    fake = Kernel(state, status, maxerror)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: fake)
    return fake


def test_each_field_is_read_where_the_kernel_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, TIME_OK, STA_PLL | STA_NANO, 4321)
    assert clock.read() == Clock(synchronised=True, max_error_s=0.004321)
    kernel(monkeypatch, TIME_ERROR, STA_UNSYNC, 16_000_000)
    assert clock.read() == Clock(synchronised=False, max_error_s=16.0)


def test_the_clock_is_read_and_never_set(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = kernel(monkeypatch, TIME_OK, STA_PLL, 0)
    clock.read()
    assert fake.modes == 0


def test_the_struct_is_as_large_as_the_kernels() -> None:
    assert ctypes.sizeof(clock._Timex) >= Kernel.SIZE


def test_a_kernel_that_refuses_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose seccomp filter forbids the call."""
    kernel(monkeypatch, -1, STA_PLL, 0)
    monkeypatch.setattr(ctypes, "get_errno", lambda: 1)
    with pytest.raises(Inconclusive, match="clock's state: adjtimex: Operation not permitted") as raised:
        clock.read()
    assert raised.value.remedy == ("Try: timedatectl",)
