"""Recovery actions: what the driver asks for after a fault of a GPU, before it is used again."""

from collections.abc import Mapping
from dataclasses import dataclass

from dgxcert.machine.identity import Machine
from dgxcert.machine.nvml_errors import BY_RESET, MESSAGES
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml

NONE = "NONE"

BY_REBOOT = ("Restart the machine: sudo reboot; a reset of the GPU is not enough.", MESSAGES)
BY_DRAINING = (
    "End every program that uses several GPUs (nvidia-smi lists them), and what keeps their memory shared: "
    "sudo nvidia-smi -pm 0; afterwards -pm 1.",
    "Read the action again, which is another one then: nvidia-smi -q | grep -A 2 'Recovery Action'",
)
REMEDIES = {
    "GPU_RESET": BY_RESET,
    "NODE_REBOOT": BY_REBOOT,
    "SYSTEM_REBOOT": BY_REBOOT,
    "DRAIN_P2P": (*BY_DRAINING, *BY_RESET[1:]),
    "DRAIN_AND_RESET": (*BY_DRAINING[:1], *BY_RESET[1:]),
    "RECOVER_IMEX_DOMAIN": (
        "Look at IMEX on every machine of the NVLink domain: systemctl status nvidia-imex; journalctl -u nvidia-imex",
        "Start it again there: sudo systemctl restart nvidia-imex",
        *BY_RESET[1:],
    ),
    "BUS_RESET": (
        *BY_RESET[:1],
        "Reset its PCIe bus, which a restart of the machine does: sudo reboot",
        *BY_REBOOT[1:],
    ),
}
"""nvmlDeviceGpuRecoveryAction_t of nvml.h, and NVIDIA's GPU Memory Error Management, response flags."""


@dataclass(frozen=True)
class Recovery:
    """The recovery action by GPU, of those whose driver reports one; `unknown` are the others."""

    actions: Mapping[int, str]
    unknown: tuple[int, ...] = ()

    @property
    def wanted(self) -> dict[int, str]:
        """The GPUs that want to be recovered.

        >>> Recovery({0: "NONE", 3: "DRAIN_AND_RESET"}).wanted
        {3: 'DRAIN_AND_RESET'}
        """
        return {index: action for index, action in self.actions.items() if action != NONE}

    @property
    def source(self) -> str:
        """What the driver asks for, as text for evidence.

        >>> Recovery({0: "NONE", 3: "GPU_RESET"}).source
        'NVML: GPU 3: gpu reset'
        >>> Recovery({}, unknown=(0,)).source
        'NVML: this driver reports no recovery actions'
        """
        if not self.actions:
            return "NVML: this driver reports no recovery actions"
        asked = [f"GPU {index}: {action.replace('_', ' ').lower()}" for index, action in self.wanted.items()]
        return f"NVML: {', '.join(asked) or 'recovery action none'}"

    @property
    def remedy(self) -> tuple[str, ...]:
        """The remedy of the first GPU that wants one, which the number of its action chooses."""
        for index, action in self.wanted.items():
            steps = REMEDIES.get(action, (*BY_RESET, *BY_REBOOT[:1]))
            return tuple(step.replace("-i N", f"-i {index}") for step in steps)
        return ()


def read(machine: Machine) -> Recovery:
    """What the driver asks for. Raises Inconclusive without a GPU, and where the driver fails to tell."""
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    told = {gpu.index: nvml.ask(gpu.index, "recovery_action").if_known("recovery_action") for gpu in machine.gpus}
    actions = {index: str(action) for index, action in told.items() if action is not None}
    return Recovery(actions, tuple(index for index in told if index not in actions))
