"""The driver's answers about NVLink: the state of each link, its error counters, and which GPUs may reach one another.

Read in the process of `gpu/driver_answers.py`, which can hang or crash. What the fields mean is in nvml.h. Counters are
those of `nvmlDeviceGetNvLinkErrorCounter` and the fields ERROR_DL_* up to NVLink 4 (Hopper), and from NVLink 5
(Blackwell) the fields COUNT_* in their place ("Changes between v560 and v565", NVML API Reference).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

ABSENT = (2, 3, 13)
"""nvmlReturn_t: Invalid Argument, Not Supported and Function Not Found, as of a link or a field that is not there."""

STATES = ("INACTIVE", "ACTIVE", "SLEEP", "ACTIVE_TRAFFIC_DISABLED")
"""NVML_NVLINK_STATE_*. One whose traffic is disabled carries none."""
UP = ("ACTIVE", "SLEEP")
"""A link that sleeps wakes up by itself."""

REMOTE = {0: "GPU", 1: "IBMNPU", 2: "SWITCH"}
"""NVML_NVLINK_DEVICE_TYPE_*; 255 is unknown."""

COUNTERS = (
    ("replay", "NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY"),
    ("recovery", "NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY"),
    ("crc", "NVML_FI_DEV_NVLINK_ERROR_DL_CRC"),
    ("malformed_packet", "NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS"),
    ("buffer_overrun", "NVML_FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS"),
    ("receive", "NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS"),
    ("receive_remote", "NVML_FI_DEV_NVLINK_COUNT_RCV_REMOTE_ERRORS"),
    ("receive_general", "NVML_FI_DEV_NVLINK_COUNT_RCV_GENERAL_ERRORS"),
    ("integrity", "NVML_FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS"),
    ("discard", "NVML_FI_DEV_NVLINK_COUNT_XMIT_DISCARDS"),
    ("recovery_failed", "NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS"),
    ("recovery", "NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS"),
    ("effective", "NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS"),
    ("symbol", "NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS"),
    ("effective_ber", "NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER"),
)
"""Counters of one link since the driver was loaded, by our names. The last is a rate, coded."""
BY_FUNCTION = (
    ("replay", "NVML_NVLINK_ERROR_DL_REPLAY"),
    ("recovery", "NVML_NVLINK_ERROR_DL_RECOVERY"),
    ("crc_flit", "NVML_NVLINK_ERROR_DL_CRC_FLIT"),
    ("crc_data", "NVML_NVLINK_ERROR_DL_CRC_DATA"),
    ("ecc", "NVML_NVLINK_ERROR_DL_ECC_DATA"),
)
"""The same of drivers that do not know the fields, by nvmlDeviceGetNvLinkErrorCounter."""

CAPABILITIES = {"read": 0, "write": 1, "nvlink": 2}
"""nvmlGpuP2PCapsIndex_t. nvidia-ml-py has a tuple in place of the first number."""

P2P = {
    0: "OK",
    1: "CHIPSET_NOT_SUPPORTED",
    2: "GPU_NOT_SUPPORTED",
    3: "IOH_TOPOLOGY_NOT_SUPPORTED",
    4: "DISABLED_BY_REGKEY",
    5: "NOT_SUPPORTED",
    6: "UNKNOWN",
}
"""NVML_P2P_STATUS_*."""

MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Of nvmlValue_t, by nvmlValueType_t."""


def links(nvml: Any, gpu: Any) -> list[dict[str, Any]]:
    """State, speed in GB/s each way, version and far end of each link that the GPU has, in their order; none without.

    What a link does not report is None. Raises NVMLError where the GPU or the driver knows no NVLink, or fails to tell.
    """
    fields = [(nvml.NVML_FI_DEV_NVLINK_LINK_COUNT, 0), (nvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, 0)]
    count, common = _numbers(nvml, gpu, fields)
    found = []
    for link in range(nvml.NVML_NVLINK_MAX_LINKS if count is None else int(count)):
        try:
            found.append(_link(nvml, gpu, link, common))
        except nvml.NVMLError as error:
            # Without a count, the first link that is refused is the end: the state is refused past a GPU's own links.
            if count is not None or error.value not in ABSENT[:2] or not found:
                raise
            break
    return found


def counters(nvml: Any, gpu: Any) -> dict[int, dict[str, float]]:
    """The error counters of each link that is up, by link and name; those that this driver does not have are missing.

    Raises NVMLError as `links` does, and where a counter is refused for another reason.
    """
    up = [each["link"] for each in links(nvml, gpu) if each["state"] in UP]
    return {link: _counters(nvml, gpu, link) for link in up}


def peers(nvml: Any, gpu: Any) -> dict[int, dict[str, Any]]:
    """Whether this GPU may read and write each other one, and whether NVLink joins them, by the other's index.

    Each is `OK` or the reason. For a pair that is refused: NVML's code and message.
    """
    own = nvml.nvmlDeviceGetIndex(gpu)
    found: dict[int, dict[str, Any]] = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        if index == own:
            continue
        try:
            other = nvml.nvmlDeviceGetHandleByIndex(index)
            told = {name: nvml.nvmlDeviceGetP2PStatus(gpu, other, code) for name, code in CAPABILITIES.items()}
            found[index] = {name: P2P.get(code, str(code)) for name, code in told.items()}
        except nvml.NVMLError as error:  # a GPU that is lost must not hide the others
            found[index] = {"code": error.value, "says": str(error)}
    return found


FIELDS: dict[str, Callable[[Any, Any], Any]] = {"nvlinks": links, "nvlink_counters": counters, "peers": peers}
"""Questions about one GPU by our names, for `driver_answers.FIELDS`."""


def bit_error_rate(coded: int) -> float:
    """NVML_NVLINK_ERROR_COUNTER_BER_GET of nvml.h: four bits of mantissa above eight of a negative exponent.

    >>> bit_error_rate(0x10C), bit_error_rate(0xFFF)
    (1e-12, 1.5e-254)
    """
    return float(f"{coded >> 8 & 0xF}e-{coded & 0xFF}")


def _link(nvml: Any, gpu: Any, link: int, common: float | None) -> dict[str, Any]:
    fields = [(nvml.NVML_FI_DEV_NVLINK_GET_STATE, link), (nvml.NVML_FI_DEV_NVLINK_GET_SPEED, link)]
    state, speed = _numbers(nvml, gpu, fields)
    if state is None:  # a driver before 515, or a GPU before Hopper
        state = nvml.nvmlDeviceGetNvLinkState(gpu, link)
    name = STATES[int(state)] if int(state) < len(STATES) else str(int(state))
    megabytes = (speed or common or 0) if name in UP else 0
    pci = _or_none(nvml, lambda: nvml.nvmlDeviceGetNvLinkRemotePciInfo(gpu, link).busId)
    return {
        "link": link,
        "state": name,
        "gbs": megabytes / 1000 or None,
        "remote": REMOTE.get(_or_none(nvml, lambda: nvml.nvmlDeviceGetNvLinkRemoteDeviceType(gpu, link))),
        "remote_pci": pci.decode() if isinstance(pci, bytes) else pci,
    }


def _counters(nvml: Any, gpu: Any, link: int) -> dict[str, float]:
    values = _numbers(nvml, gpu, [(getattr(nvml, field), link) for _, field in COUNTERS])
    found: dict[str, float] = {}
    for (name, _), value in zip(COUNTERS, values, strict=True):
        if value is not None:
            found[name] = bit_error_rate(int(value)) if name == "effective_ber" else max(value, found.get(name, 0))
    if found:
        return found
    for name, kind in BY_FUNCTION:
        value = _or_none(nvml, partial(nvml.nvmlDeviceGetNvLinkErrorCounter, gpu, link, getattr(nvml, kind)))
        if value is not None:
            found[name] = value
    return found


def _numbers(nvml: Any, gpu: Any, fields: Sequence[tuple[int, int]]) -> list[float | None]:
    """The values of fields, each with its scope; None of those that are not there. Raises NVMLError for any other."""
    numbers: list[float | None] = []
    for value in nvml.nvmlDeviceGetFieldValues(gpu, fields):
        if value.nvmlReturn and value.nvmlReturn not in ABSENT:
            raise nvml.NVMLError(value.nvmlReturn)
        numbers.append(None if value.nvmlReturn else getattr(value.value, MEMBERS[value.valueType]))
    return numbers


def _or_none(nvml: Any, ask: Callable[[], Any]) -> Any:
    """An answer that says more about a link and decides nothing, None where it is refused."""
    try:
        return ask()
    except nvml.NVMLError:
        return None
