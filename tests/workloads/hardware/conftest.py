"""A CPU profile with small work, and evidence to record in."""

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Load


@pytest.fixture
def profile() -> Profile:
    shipped = profiles.load("cpu")
    sizes = {
        "matmul": shipped.workloads.matmul.model_copy(update={"size": 128, "products": 1, "sweep": (32, 64, 128)}),
        "bandwidth": shipped.workloads.bandwidth.model_copy(update={"size_mib": 4}),
        "load": Load(size_mib=4),
    }
    return shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update=sizes)})


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()
