"""The bytes read from disk are the kernel's figure."""

from dgxcert.probes.host import page_cache


def test_bytes_read_are_those_of_proc_self_io() -> None:
    assert page_cache.parse("rchar: 5\nread_bytes: 8192\nwrite_bytes: 1\n") == 8192
    assert page_cache.parse("") is None
