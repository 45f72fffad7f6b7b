"""The Hub's home and cache are the folders that huggingface_hub uses."""

from pathlib import Path

import pytest

from dgxcert.container import hub_home


@pytest.fixture(autouse=True)
def _default_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*hub_home.CACHES, "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.setenv("SCRATCH", "/scratch")


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({}, "/home/user/.cache/huggingface"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/huggingface"),
        ({"HF_HOME": "/models", "XDG_CACHE_HOME": "/caches"}, "/models"),
        ({"HF_HOME": "", "XDG_CACHE_HOME": ""}, "/home/user/.cache/huggingface"),
        ({"HF_HOME": "~/hub"}, "/home/user/hub"),
        ({"HF_HOME": "$SCRATCH/hub"}, "/scratch/hub"),
    ],
    ids=["default", "XDG", "HF_HOME first", "empty", "tilde", "variable"],
)
def test_the_home_is_that_of_the_client(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], home: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub_home.home() == Path(home)
    assert hub_home.cache() == Path(home) / "hub"


@pytest.mark.parametrize(
    ("variables", "cache"),
    [
        ({"HUGGINGFACE_HUB_CACHE": "~/models"}, "/home/user/models"),
        ({"HUGGINGFACE_HUB_CACHE": "$SCRATCH/models"}, "/scratch/models"),
        ({"HUGGINGFACE_HUB_CACHE": "/older", "HF_HUB_CACHE": "/newer"}, "/newer"),
        ({"HUGGINGFACE_HUB_CACHE": "/older", "HF_HUB_CACHE": ""}, "/older"),
        ({"HF_HUB_CACHE": "/newer", "HF_HOME": "/models"}, "/newer"),
    ],
    ids=["tilde", "variable", "newer name first", "empty", "before HF_HOME"],
)
def test_a_named_cache_overrides_the_home(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cache: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub_home.cache() == Path(cache)
