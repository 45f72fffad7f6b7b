"""The boot: which start of the machine this is, and whether all of a run's work was done since it."""

from pathlib import Path

from dgxcert.outcome import Inconclusive

ID = Path("/proc/sys/kernel/random/boot_id")
"""A new one at each start of the kernel: random(4)."""


def read() -> str | None:
    """The id of this boot; None where it cannot be read."""
    try:
        return ID.read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def require_since(began: str | None) -> None:
    """Raise Inconclusive where the run was begun under another boot: logs and counters of that one are gone."""
    now = read()
    if began is None or now != began:
        raise Inconclusive(
            f"the run was begun under boot {began or 'unknown'} and this is {now or 'unknown'}: "
            "what the work left behind before the machine was started again cannot be seen any more",
            "`journalctl -k -b -1 | grep -E 'NVRM|Xid'` shows what the kernel said before; it must show no fault.",
            "Start a new run, and let it end without a restart of the machine.",
        )
