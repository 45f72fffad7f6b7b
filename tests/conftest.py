"""What every test may use: pytest's own pytester, which runs small suites of requirements, and torch on one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

OF_THE_HUB = (
    *("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_XET"),
    *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HF_HUB_DISABLE_IMPLICIT_TOKEN", "SSL_CERT_DIR", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
)
"""Variables that steer the Hub's client, and so the diagnosis."""


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two threads of torch that wait for each other on a busy machine take ten times as long as one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plain_hub_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of what this machine tells the Hub's client, and a home of its own."""
    from dgxcert.probes.hub import http_request

    for name in OF_THE_HUB:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    http_request.resolve.cache_clear()
