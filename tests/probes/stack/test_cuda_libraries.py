"""CUDA libraries: the library in memory counts, and the remedy fits what differs."""

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import cuda_libraries

MAPS = "/site/bitsandbytes/libbitsandbytes_cuda130.so"


@pytest.mark.parametrize(
    ("cuda", "maps", "override", "majors", "remedy"),
    [
        ("13.0", MAPS, "", (13, 13), "driver"),
        ("13.0", "", "", (13, 0), "python -m bitsandbytes"),
        ("12.6", MAPS, "130", (12, 13), "unset BNB_CUDA_VERSION"),
    ],
    ids=["same", "no library", "overridden"],
)
def test_versions_and_remedy(cuda: str, maps: str, override: str, majors: tuple[int, int], remedy: str) -> None:
    libraries = cuda_libraries.parse({"cuda": cuda, "available": True, "maps": maps}, override)
    assert (libraries.torch_major, libraries.bitsandbytes_major) == majors
    assert libraries.library == ("libbitsandbytes_cuda130.so" if maps else "none was loaded")
    assert any(remedy in step for step in libraries.remedy)


@pytest.mark.parametrize("cuda", [None, "13.0"])
def test_torch_without_a_gpu_is_inconclusive(cuda: str | None) -> None:
    with pytest.raises(Inconclusive, match="finds no GPU"):
        cuda_libraries.parse({"cuda": cuda, "available": False, "maps": ""}, "")
