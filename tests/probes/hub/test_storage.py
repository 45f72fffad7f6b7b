"""Storage: the first part of a file is read from both versions of the CAS's protocol."""

import pytest

from dgxcert.probes.hub import storage


@pytest.mark.parametrize(
    ("reconstruction", "part"),
    [
        ({"xorbs": {"a": [{"url": "u", "ranges": [{"bytes": {"start": 0, "end": 9}}]}]}}, ("u", "bytes=0-9")),
        ({"fetch_info": {"a": [{"url": "v", "url_range": {"start": 3, "end": 4}}]}}, ("v", "bytes=3-4")),
        ({"fetch_info": {}}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_first_part_of_both_protocol_versions(reconstruction: dict[str, object], part: object) -> None:
    assert storage.first_part(reconstruction) == part
