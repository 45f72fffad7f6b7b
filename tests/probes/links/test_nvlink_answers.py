"""Links, counters and peers are read as each generation of GPU and driver tells them, and what is absent is no zero."""

import ctypes
from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from dgxcert.probes.gpu import driver_answers
from dgxcert.probes.links import nvlink_answers

UINT, ULONG, USHORT = (
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT,
)
MEMBER = {UINT: "uiVal", ULONG: "ullVal", USHORT: "usVal"}
COUNT, COMMON = pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT, pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON
STATE, SPEED = pynvml.NVML_FI_DEV_NVLINK_GET_STATE, pynvml.NVML_FI_DEV_NVLINK_GET_SPEED


class Nvml:
    """NVML with fields by number and scope: a value, a value and its type, or the code of a refusal as an exception."""

    NVMLError = pynvml.NVMLError

    def __init__(self, fields: dict[tuple[int, int], Any] | None = None, **functions: Callable[..., Any]) -> None:
        self.fields, self.functions = fields or {}, functions

    def __getattr__(self, name: str) -> Any:
        if name.startswith("NVML_"):
            return getattr(pynvml, name)
        if name not in self.functions:
            return refusing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return self.functions[name]

    def nvmlDeviceGetFieldValues(self, _gpu: object, asked: list[tuple[int, int]]) -> Any:
        values = (pynvml.c_nvmlFieldValue_t * len(asked))()
        for value, key in zip(values, asked, strict=True):
            found = self.fields.get(key, pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED))
            if isinstance(found, pynvml.NVMLError):
                value.nvmlReturn = found.value
                continue
            number, value.valueType = found if isinstance(found, tuple) else (found, UINT)
            setattr(value.value, MEMBER[value.valueType], number)
        return values


def refusing(code: int) -> Callable[..., Any]:
    """A function of NVML that refuses with a code."""

    def refuse(*_arguments: object) -> Any:
        raise pynvml.NVMLError(code)

    return refuse


def hopper(links: int = 18) -> dict[tuple[int, int], Any]:
    """Fields of an H100 in an HGX board, as driver 550 tells them: 26.562 GB/s each way."""
    fields: dict[tuple[int, int], Any] = {(COUNT, 0): (links, USHORT)}
    for link in range(links):
        fields |= {(STATE, link): 1, (SPEED, link): 26562}
        for name, field in nvlink_answers.COUNTERS[:3]:
            fields[getattr(pynvml, field), link] = (len(name), ULONG)
    return fields


def asked(nvml: Nvml, name: str) -> Any:
    """The answer of one question as the process of the driver gives it."""
    return driver_answers.ask(nvml, "card", (name,))["answered"][name]


def refused(nvml: Nvml, name: str) -> int:
    """NVML's code with which one question is refused."""
    return int(driver_answers.ask(nvml, "card", (name,))["refused"][name]["code"])


def switch(_gpu: object, _link: int) -> Any:
    """The far end of a link that leads to an NVSwitch."""
    return pynvml.nvmlPciInfo_t(busId=b"00000000:07:00.0")


def test_each_link_of_a_hopper_is_told_with_its_speed_and_far_end() -> None:
    nvml = Nvml(
        hopper(),
        nvmlDeviceGetNvLinkRemoteDeviceType=lambda *_: pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH,
        nvmlDeviceGetNvLinkRemotePciInfo=switch,
    )
    links = asked(nvml, "nvlinks")
    assert [each["link"] for each in links] == list(range(18))
    remote = {"remote": "SWITCH", "remote_pci": "00000000:07:00.0"}
    assert links[17] == {"link": 17, "state": "ACTIVE", "gbs": 26.562, **remote}


@pytest.mark.parametrize(
    ("state", "named", "gbs"),
    [
        (0, "INACTIVE", None),
        (1, "ACTIVE", 53.125),
        (2, "SLEEP", 53.125),
        (3, "ACTIVE_TRAFFIC_DISABLED", None),
        (9, "9", None),
    ],
)
def test_only_a_link_that_is_up_or_sleeps_has_a_speed(state: int, named: str, gbs: float | None) -> None:
    [link] = asked(Nvml({(COUNT, 0): 1, (STATE, 0): state, (SPEED, 0): 53125}), "nvlinks")
    assert (link["state"], link["gbs"], link["remote"], link["remote_pci"]) == (named, gbs, None, None)


def test_an_ampere_tells_states_by_function_and_one_speed_for_all() -> None:
    nvml = Nvml({(COUNT, 0): 12, (COMMON, 0): 25000}, nvmlDeviceGetNvLinkState=lambda gpu, link: int(link != 5))
    links = asked(nvml, "nvlinks")
    assert [each["link"] for each in links if each["state"] != "ACTIVE"] == [5]
    assert [each["gbs"] for each in links[4:7]] == [25.0, None, 25.0]


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_INVALID_ARGUMENT])
def test_a_driver_that_counts_no_links_is_asked_until_it_refuses(code: int) -> None:
    def state(_gpu: object, link: int) -> int:
        if link >= 6:
            raise pynvml.NVMLError(code)
        return 1

    assert len(asked(Nvml(nvmlDeviceGetNvLinkState=state), "nvlinks")) == 6


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND])
@pytest.mark.parametrize("name", ["nvlinks", "nvlink_counters"])
def test_a_gpu_or_driver_without_nvlink_says_so(code: int, name: str) -> None:
    assert refused(Nvml(nvmlDeviceGetNvLinkState=refusing(code)), name) == code
    assert asked(Nvml({(COUNT, 0): 0}), name) in ([], {}), "and a GPU that has none answers"


def test_a_link_that_fails_to_tell_is_not_taken_for_the_last_one() -> None:
    def state(_gpu: object, link: int) -> int:
        if link == 3:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return 1

    assert refused(Nvml(nvmlDeviceGetNvLinkState=state), "nvlinks") == pynvml.NVML_ERROR_GPU_IS_LOST
    counted = Nvml({(COUNT, 0): 2}, nvmlDeviceGetNvLinkState=refusing(pynvml.NVML_ERROR_NOT_SUPPORTED))
    assert refused(counted, "nvlinks") == pynvml.NVML_ERROR_NOT_SUPPORTED, "a link that is counted must answer"
    lost = Nvml({(COUNT, 0): 1, (STATE, 0): pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)})
    assert refused(lost, "nvlinks") == pynvml.NVML_ERROR_UNKNOWN


def test_counters_up_to_hopper_and_from_blackwell_have_one_name_each() -> None:
    assert asked(Nvml(hopper(2)), "nvlink_counters")[1] == {"replay": 6, "recovery": 8, "crc": 3}
    fields: dict[tuple[int, int], Any] = {(COUNT, 0): 1, (STATE, 0): 1}
    for number, (_, field) in enumerate(nvlink_answers.COUNTERS[3:-1]):
        fields[getattr(pynvml, field), 0] = (number, ULONG)
    fields[pynvml.NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER, 0] = (0x50F, ULONG)
    told = asked(Nvml(fields), "nvlink_counters")[0]
    assert told["effective_ber"] == 5e-15
    assert (told["recovery"], told["symbol"], told["receive"]) == (8, 10, 2)
    assert "replay" not in told


def test_counters_of_a_link_that_is_down_are_not_asked_for() -> None:
    assert list(asked(Nvml(hopper(3) | {(STATE, 1): 0}), "nvlink_counters")) == [0, 2]


def test_counters_of_an_older_driver_are_told_by_function() -> None:
    nvml = Nvml({(COUNT, 0): 1, (STATE, 0): 1}, nvmlDeviceGetNvLinkErrorCounter=lambda gpu, link, kind: 10 + kind)
    assert asked(nvml, "nvlink_counters")[0] == {
        "replay": 10,
        "recovery": 11,
        "crc_flit": 12,
        "crc_data": 13,
        "ecc": 14,
    }
    assert asked(Nvml({(COUNT, 0): 1, (STATE, 0): 1}), "nvlink_counters") == {0: {}}, "and no counter is no zero"


def test_a_counter_that_errs_is_refused() -> None:
    errs = {(pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC, 0): pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)}
    assert refused(Nvml(hopper(1) | errs), "nvlink_counters") == pynvml.NVML_ERROR_UNKNOWN


def test_peers_are_told_by_the_index_of_the_other_and_a_lost_one_hides_none() -> None:
    def handle(index: int) -> str:
        if index == 2:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return f"card {index}"

    def status(gpu: object, other: str, capability: int) -> int:
        assert ctypes.c_uint(capability).value == capability, "as ctypes hands it to the driver"
        return 0 if other == "card 1" or capability == 0 else 5

    nvml = Nvml(
        nvmlDeviceGetIndex=lambda gpu: 0,
        nvmlDeviceGetCount=lambda: 4,
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetP2PStatus=status,
    )
    assert asked(nvml, "peers") == {
        1: {"read": "OK", "write": "OK", "nvlink": "OK"},
        2: {"code": pynvml.NVML_ERROR_GPU_IS_LOST, "says": "GPU is lost"},
        3: {"read": "OK", "write": "NOT_SUPPORTED", "nvlink": "NOT_SUPPORTED"},
    }


def test_the_reasons_are_those_of_the_library() -> None:
    prefix = "NVML_P2P_STATUS_"
    named = {code: name.removeprefix(prefix) for name, code in vars(pynvml).items() if name.startswith(prefix)}
    assert named == nvlink_answers.P2P
    states = {name: getattr(pynvml, f"NVML_NVLINK_STATE_{name}") for name in nvlink_answers.STATES}
    assert states == {name: code for code, name in enumerate(nvlink_answers.STATES)}
