"""Quiet: before rounds are timed, wait a limited time until others leave the CPU and the GPU alone."""

import time
from collections.abc import Callable

from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.machine.neighbours import OVERALL, is_busy
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import processors

MOST_S = 30.0
"""A build step, a backup's burst or a page that loads is over by then."""
LOOK_S = 0.2
"""How long the CPU is looked at: 20 ticks of its counters on each CPU."""
SILENT_S = 2.0
"""Nothing is said about a shorter wait. The driver's figure of utilisation falls within a second of the last kernel."""
IN_VAIN = 2
"""Waits in a row after which a machine counts as always busy: from then on it is looked at once and not waited for."""


class Patience:
    """Waits for others, and remembers how often that was in vain."""

    def __init__(self) -> None:
        self._in_vain = 0

    def wait(self, device: Device, say: Callable[[str], None]) -> bool:
        """Wait at most MOST_S until others are quiet; returns whether they are. `say` tells the user about a long wait.

        The device must be idle: whatever uses it is taken for others.
        """
        with LEDGER.on(Spent.WAITING):
            return self._waited(device, say)

    def _waited(self, device: Device, say: Callable[[str], None]) -> bool:
        began, said = time.perf_counter(), False
        while busy := others(device):
            waited_s = time.perf_counter() - began
            if self._in_vain >= IN_VAIN:
                return False
            if waited_s > MOST_S:
                self._in_vain += 1
                say(f"{busy} for {waited_s:.0f} s: measured anyway")
                return False
            if waited_s > SILENT_S and not said:
                say(f"waits up to {MOST_S:.0f} s, since {busy}")
                said = True
        self._in_vain = 0
        return True


PATIENCE = Patience()
"""That of this process, for all benchmarks that it runs."""


def others(device: Device) -> str:
    """What others do on this machine now, where it is enough to disturb rounds; "" otherwise. Takes LOOK_S."""
    before = processors.read()
    gpu = _on_gpu(device) if device.kind == "cuda" else ""
    time.sleep(max(0.0, before.at_s + LOOK_S - time.monotonic()))
    share = processors.read().others_since(before)
    return gpu or (f"other processes use {share:.0%} of the CPU" if is_busy(share) else "")


def _on_gpu(device: Device) -> str:
    """What others do on the GPU. Where the driver does not report it, the samples of the rounds will say so."""
    try:
        answers = nvml.ask(device.index, "utilization", "compute_processes", "foreign_processes")
        utilization, pids = answers["utilization"] / 100, answers["compute_processes"]
        foreign = answers.answered.get("foreign_processes")
    except Inconclusive:
        return ""
    if foreign or len(pids) > 1:
        return f"{len(pids)} processes compute on GPU {device.index}"
    return f"GPU {device.index} is {utilization:.0%} busy" if utilization > OVERALL else ""
