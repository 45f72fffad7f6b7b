"""Fixtures of the tests of training: a profile with tiny models, torch on one thread, and a few training steps."""

from collections.abc import Callable

import pytest

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import LoraModel
from dgxcert.workloads.training import lora
from dgxcert.workloads.training.lora_training import LoraTraining


@pytest.fixture(autouse=True)
def _torch_on_one_thread(one_thread: None) -> None:
    pytest.importorskip("peft", reason="training needs peft: make setup")


@pytest.fixture
def cpu() -> Device:
    return Device("cpu", 0, "CPU")


@pytest.fixture(scope="session")
def profile() -> Profile:
    """The cpu profile with models and ceilings so small that a training takes a second."""
    cpu = profiles.load("cpu")
    model = LoraModel(model="llama-tiny", batch=2, length=24, learning_rate=3e-3)
    sizes = cpu.workloads.lora.model_copy(update={"small": model, "large": model})
    lab = cpu.workloads.lab.model_copy(update={"hidden": 64, "intermediate": 128, "batch": 4, "length": 16})
    matmul = cpu.workloads.matmul.model_copy(update={"size": 128, "products": 1, "sweep": (128,)})
    bandwidth = cpu.workloads.bandwidth.model_copy(update={"size_mib": 4})
    changed = {"lora": sizes, "lab": lab, "matmul": matmul, "bandwidth": bandwidth}
    return cpu.model_copy(update={"workloads": cpu.workloads.model_copy(update=changed)})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


class Steps:
    """An `add_round` that wants a number of rounds and keeps their seconds."""

    def __init__(self, wanted: int) -> None:
        self.seconds: list[float] = []
        self._wanted = wanted

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) < self._wanted


@pytest.fixture
def steps() -> Callable[[int], Steps]:
    return Steps


@pytest.fixture
def trained(cpu: Device, steps: Callable[[int], Steps]) -> Callable[[Profile, str], LoraTraining]:
    """The training of a case such as `fp32-stock-course`, after 8 steps."""

    def train(profile: Profile, case: str) -> LoraTraining:
        training = lora.prepare(cpu, profile, Case(*case.split("-")))
        training.run_rounds(steps(8))
        return training

    return train
