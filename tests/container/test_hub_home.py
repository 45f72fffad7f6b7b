"""The cache of the Hub is found where its client keeps it."""

from pathlib import Path

import pytest

from dgxcert.container import hub_home


def test_the_cache_is_where_the_client_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", "/somewhere")
    assert hub_home.cache() == Path("/somewhere/hub")
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "~/models")
    assert hub_home.cache() == Path.home() / "models"
    monkeypatch.setenv("PLACE", "/there")
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "$PLACE/models")
    assert hub_home.cache() == Path("/there/models")
