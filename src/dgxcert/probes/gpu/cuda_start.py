"""CUDA's start by the driver API, without torch: cuInit, the devices, and a context on each of them.

    python -P -m dgxcert.probes.gpu.cuda_start

prints the result as JSON. It is a process of its own, since a sick driver hangs or crashes its caller, and imports
nothing of dgxcert. The name of each call goes to standard error before it is made.
"""

import ctypes
import json
import sys
from typing import Any

LIBRARY = "libcuda.so.1"
NAME_SIZE = 100


class Refused(Exception):  # noqa: N818 (says what the driver did)
    """A call that did not return CUDA_SUCCESS; its argument is the CUresult."""


def _call(library: Any, name: str, *arguments: Any) -> None:
    sys.stderr.write(f"{name}\n")
    sys.stderr.flush()  # the call may never return, and the process may be killed in it
    code = getattr(library, name)(*arguments)
    if code:
        raise Refused(code)


def start() -> dict[str, Any]:
    """What CUDA offers: `devices`, each with product, UUID and the error of its context (0 where it came up).

    Without devices `error` has the code of the call that failed, or `missing` why the library could not be loaded.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        return {"missing": str(error)}
    count = ctypes.c_int()
    try:
        _call(library, "cuInit", 0)
        _call(library, "cuDeviceGetCount", ctypes.byref(count))
        return {"devices": [_device(library, index) for index in range(count.value)]}
    except Refused as refused:
        return {"error": refused.args[0]}


def _device(library: Any, index: int) -> dict[str, Any]:
    device, context = ctypes.c_int(), ctypes.c_void_p()
    name, uuid = ctypes.create_string_buffer(NAME_SIZE), (ctypes.c_ubyte * 16)()
    found: dict[str, Any] = {"product": "", "uuid": "", "error": 0}
    try:
        _call(library, "cuDeviceGet", ctypes.byref(device), index)
        _call(library, "cuDeviceGetName", name, NAME_SIZE, device)
        found["product"] = name.value.decode(errors="replace")
        _call(library, "cuDeviceGetUuid", ctypes.byref(uuid), device)
        found["uuid"] = bytes(uuid).hex()
        _call(library, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        _call(library, "cuDevicePrimaryCtxRelease_v2", device)
    except Refused as refused:
        found["error"] = refused.args[0]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(start()))
