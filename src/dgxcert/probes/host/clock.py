"""The system clock: whether the kernel has been told that it follows a reference, asked by adjtimex(2).

`timedatectl` is not asked: it fails on machines whose hardware clock cannot be read, though their time is right.
"""

import ctypes
import os
from dataclasses import dataclass

from dgxcert.outcome import Inconclusive

STA_UNSYNC = 0x0040
"""From linux/timex.h: the clock is not synchronised."""
TIME_ERROR = 5
"""What adjtimex returns then."""
MICROSECONDS_PER_SECOND = 1_000_000


class _Timex(ctypes.Structure):
    """struct timex of linux/timex.h, as far as it is read; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


@dataclass(frozen=True)
class Clock:
    """`max_error_s` is the kernel's own bound on how wrong the clock is."""

    synchronised: bool
    max_error_s: float


def read() -> Clock:
    """Ask the kernel, without setting anything; raises Inconclusive where it does not say."""
    answer = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.byref(answer))
    if state < 0:
        raise Inconclusive(f"the kernel does not tell: adjtimex: {os.strerror(ctypes.get_errno())}", "Try: timedatectl")
    return parse(state, answer.status, answer.maxerror)


def parse(state: int, status: int, max_error_us: int) -> Clock:
    """The clock from what adjtimex returns and writes."""
    return Clock(state != TIME_ERROR and not status & STA_UNSYNC, max_error_us / MICROSECONDS_PER_SECOND)
