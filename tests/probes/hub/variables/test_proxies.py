"""Proxies: one that cannot be used is fatal only where the client would use it."""

import pytest

from dgxcert.probes.hub.variables import proxies


def problems(environ: dict[str, str], *, uses_requests: bool) -> list[tuple[str, bool, str]]:
    """Variable, whether it is fatal, and cause."""
    found = proxies.problems(environ, uses_requests, lambda module: False)
    return [(variable, fatal, cause) for variable, _, _, fatal, cause in found]


@pytest.mark.parametrize("uses_requests", [True, False])
@pytest.mark.parametrize("value", [" ", "http://", "http://:3128", "http://proxy:0"])
def test_proxy_without_a_host_is_fatal(value: str, uses_requests: bool) -> None:
    assert problems({"HTTPS_PROXY": value}, uses_requests=uses_requests) == [("HTTPS_PROXY", True, "proxy-url")]


@pytest.mark.parametrize("value", ["proxy", "proxy:3128", "http://proxy:", "HTTP://proxy:3128/"])
def test_proxy_that_a_client_understands_is_no_problem(value: str) -> None:
    assert problems({"HTTPS_PROXY": value}, uses_requests=True) == []


def test_requests_prepares_no_proxy_for_a_host_that_needs_none() -> None:
    environ = {"ALL_PROXY": "socks5h://h:1", "HF_ENDPOINT": "https://hub.lab.example", "NO_PROXY": ".lab.example"}
    assert problems(environ, uses_requests=True) == [("ALL_PROXY", False, "variable")]
    assert problems(environ, uses_requests=False) == [("ALL_PROXY", True, "variable")]
    assert problems({"ALL_PROXY": "socks5h://h:1"}, uses_requests=True) == [("ALL_PROXY", True, "variable")]
