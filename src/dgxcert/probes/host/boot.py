"""The boot: the id of this start of the kernel, and whether all of a run's work was done since then."""

from pathlib import Path

from dgxcert.outcome import Inconclusive

ID = Path("/proc/sys/kernel/random/boot_id")
"""The kernel generates a new one at each start: random(4)."""


def read() -> str | None:
    """The id of this boot; None where it cannot be read."""
    try:
        return ID.read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def require_since(began: str | None) -> None:
    """Raise Inconclusive where the run began under another boot.

    The kernel log and the driver's error counters start again with each boot, so faults from before it are lost.
    """
    current = read()
    if began is None or current != began:
        raise Inconclusive(
            f"the run began under boot {began or 'unknown'} and this is boot {current or 'unknown'}: "
            "faults from before the restart can no longer be seen",
            "Read the kernel log of the boot before: journalctl -k -b -1 | grep -E 'NVRM|Xid' (it must show no fault)",
            "Start a new run, and do not restart the machine before it ends.",
        )
