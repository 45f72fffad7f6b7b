"""Each field is read with NVML's own arguments and in our units, and each call is named before it is made."""

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dgxcert.probes.gpu import driver_answers


class Nvml:
    """NVML's functions with planted results, which record their calls; an error is raised instead of returned."""

    NVMLError = pynvml.NVMLError

    def __init__(self, **functions: object) -> None:
        self._functions = functions
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object) -> object:
            self.calls.append((name, *arguments))
            result = self._functions[name]
            if isinstance(result, Exception):
                raise result
            return result

        if name.startswith("NVML_"):
            return getattr(pynvml, name)
        return call


def answer(library: Nvml, name: str) -> object:
    """The value of one field."""
    return driver_answers.ask(library, "card", (name,))["answered"][name]


@pytest.mark.parametrize(
    ("name", "kind", "since"),
    [
        ("ecc_uncorrected", pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC),
        ("ecc_corrected", pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_VOLATILE_ECC),
        ("ecc_uncorrected_ever", pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_AGGREGATE_ECC),
        ("ecc_corrected_ever", pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_AGGREGATE_ECC),
    ],
)
def test_each_counter_is_read_with_its_type_and_period(name: str, kind: int, since: int) -> None:
    library = Nvml(nvmlDeviceGetTotalEccErrors=3)
    assert answer(library, name) == 3
    assert library.calls == [("nvmlDeviceGetTotalEccErrors", "card", kind, since)]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (pynvml.NVML_COMPUTEMODE_DEFAULT, "Default"),
        (pynvml.NVML_COMPUTEMODE_PROHIBITED, "Prohibited"),
        (pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS, "Exclusive_Process"),
    ],
)
def test_a_compute_mode_has_the_name_that_nvidia_smi_gives_it(mode: int, name: str) -> None:
    assert answer(Nvml(nvmlDeviceGetComputeMode=mode), "compute_mode") == name


def test_power_is_in_watts_and_modes_are_current_and_pending() -> None:
    library = Nvml(
        nvmlDeviceGetEnforcedPowerLimit=500_000,
        nvmlDeviceGetPowerManagementDefaultLimit=700_000,
        nvmlDeviceGetMigMode=[0, 1],
        nvmlDeviceGetEccMode=[1, 0],
        nvmlDeviceGetPersistenceMode=0,
    )
    assert answer(library, "power_limit_w") == 500.0
    assert answer(library, "power_limit_default_w") == 700.0
    assert answer(library, "mig") == [False, True]
    assert answer(library, "ecc_mode") == [True, False]
    assert answer(library, "persistence") is False


def counter(number: float, *, kind: int = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, code: int = 0) -> SimpleNamespace:
    """One counter as nvmlDeviceGetFieldValues returns it, in nanoseconds; only the member of its type is filled."""
    name = "uiVal" if kind == pynvml.NVML_VALUE_TYPE_UNSIGNED_INT else "ullVal"
    value = SimpleNamespace(**{"uiVal": 0, "ullVal": 0, name: int(number * 1e9)})
    return SimpleNamespace(nvmlReturn=code, valueType=kind, value=value)


def test_counters_are_in_seconds_whichever_integer_the_driver_returns() -> None:
    values = [counter(7.5), counter(2.0, kind=pynvml.NVML_VALUE_TYPE_UNSIGNED_INT), counter(0), counter(86400)]
    library = Nvml(nvmlDeviceGetFieldValues=values)
    seconds = {"power_cap": 7.5, "thermal_software": 2.0, "thermal_hardware": 0.0, "power_brake": 86400.0}
    assert answer(library, "counters") == seconds
    fields = [getattr(pynvml, name) for name in driver_answers.COUNTERS.values()]
    assert library.calls == [("nvmlDeviceGetFieldValues", "card", fields)]


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_INVALID_ARGUMENT])
def test_a_counter_that_this_driver_does_not_have_is_missing(code: int) -> None:
    values = [counter(1.0), counter(0, code=code), counter(3.0), counter(4.0)]
    counters = answer(Nvml(nvmlDeviceGetFieldValues=values), "counters")
    assert counters == {"power_cap": 1.0, "thermal_hardware": 3.0, "power_brake": 4.0}


def test_a_counter_that_errs_is_refused_and_not_zero() -> None:
    values = [counter(1.0), counter(0, code=pynvml.NVML_ERROR_UNKNOWN), counter(3.0), counter(4.0)]
    answers = driver_answers.ask(Nvml(nvmlDeviceGetFieldValues=values), "card", ("counters",))
    assert answers["answered"] == {}
    assert answers["refused"] == {"counters": {"code": pynvml.NVML_ERROR_UNKNOWN, "says": "Unknown Error"}}


def test_a_refused_field_hides_no_other() -> None:
    refusal = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    library = Nvml(nvmlDeviceGetPowerUsage=refusal, nvmlDeviceGetClockInfo=2411)
    assert driver_answers.ask(library, "card", ("power_w", "clock")) == {
        "answered": {"clock": 2411},
        "refused": {"power_w": {"code": pynvml.NVML_ERROR_NOT_SUPPORTED, "says": "Not Supported"}},
    }


def test_each_call_is_named_before_it_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    """The name must be out before a call that never returns."""
    named: list[str] = []
    library = SimpleNamespace(nvmlInit=lambda: named.append(capsys.readouterr().err), NVML_CLOCK_SM=1)
    calls = driver_answers.NamedCalls(library)
    assert calls.NVML_CLOCK_SM == 1
    calls.nvmlInit()
    assert named == ["nvmlInit\n"], "and a constant is no call"


@pytest.mark.parametrize("topic", [("machine",), ("gpu", "0", "uuid")])
def test_a_driver_that_does_not_start_is_one_refusal(monkeypatch: pytest.MonkeyPatch, topic: tuple[str, ...]) -> None:
    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert driver_answers.main(*topic) == {"code": pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "says": "Driver Not Loaded"}


def utilization(answer: object) -> object:
    """The field as NVML answers it."""

    def ask(gpu: object, since: int) -> object:
        if isinstance(answer, int):
            raise pynvml.NVMLError(answer)
        return answer

    nvml = SimpleNamespace(
        nvmlDeviceGetProcessUtilization=ask,
        NVMLError_NotFound=pynvml.NVMLError_NotFound,
        NVMLError_InsufficientSize=pynvml.NVMLError_InsufficientSize,
    )
    return driver_answers.FIELDS["process_utilization"](nvml, "GPU 0")


def test_the_share_of_each_process_is_that_of_the_last_samples() -> None:
    def sample(pid: int, share: int, second: int) -> SimpleNamespace:
        return SimpleNamespace(pid=pid, smUtil=share, timeStamp=second * 1_000_000)

    assert utilization([sample(7, 93, 100), sample(4711, 60, 99), sample(12, 50, 90)]) == {7: 93, 4711: 60}


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INSUFFICIENT_SIZE])
def test_a_gpu_without_samples_of_processes_is_idle(code: int) -> None:
    assert utilization(code) == {}


def test_utilisation_that_is_not_supported_is_not_taken_for_an_idle_gpu() -> None:
    with pytest.raises(pynvml.NVMLError_NotSupported):
        utilization(pynvml.NVML_ERROR_NOT_SUPPORTED)
