"""The system clock: whether it is synchronised to a reference, and how wrong it may be, from adjtimex(2)."""

import ctypes
import os
from dataclasses import dataclass

from dgxcert.outcome import Inconclusive

STA_UNSYNC = 0x0040
"""Status bit of linux/timex.h: the clock is not synchronised."""
TIME_ERROR = 5
"""Return value of adjtimex(2) for a clock that is not synchronised."""
MICROSECONDS_PER_SECOND = 1_000_000


class _Timex(ctypes.Structure):
    """struct timex of linux/timex.h, with padding for the fields that are not read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("padding", ctypes.c_long * 32),
    )


@dataclass(frozen=True)
class Clock:
    """The system clock's state."""

    synchronised: bool
    max_error_s: float
    """The kernel's own bound on the clock's error. It grows by 0.5 ms per second without a correction."""


def read() -> Clock:
    """The clock's state; raises Inconclusive where the kernel refuses to report it."""
    # Not `timedatectl`: it fails where the hardware clock cannot be read, though the system's time may be right.
    timex = _Timex()  # modes = 0: adjtimex reads and sets nothing, which needs no rights
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        message = os.strerror(ctypes.get_errno())
        raise Inconclusive(f"the kernel does not report the clock's state: adjtimex: {message}", "Try: timedatectl")
    return parse(state, timex.status, timex.maxerror)


def parse(state: int, status: int, max_error_us: int) -> Clock:
    """The clock from what adjtimex returns (`state`) and writes (`status`, `maxerror` in microseconds).

    >>> parse(state=0, status=0x2001, max_error_us=236_500)
    Clock(synchronised=True, max_error_s=0.2365)
    >>> parse(state=5, status=0x0040, max_error_us=16_000_000)
    Clock(synchronised=False, max_error_s=16.0)
    """
    return Clock(state != TIME_ERROR and not status & STA_UNSYNC, max_error_us / MICROSECONDS_PER_SECOND)
