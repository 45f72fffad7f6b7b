"""Proxies are found where users set them: variables in either case, then the settings of the Docker client."""

from pathlib import Path

import pytest

from dgxcert.container import proxies

CONFIG = '{"proxies": {"default": {"httpsProxy": "http://of-client:3128", "noProxy": "localhost"}}}'


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Variables of a user whose Docker client has proxies."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(CONFIG)
    return {"HOME": str(tmp_path)}


def test_a_variable_comes_before_the_clients_settings(home: dict[str, str]) -> None:
    assert proxies.find(home) == {"HTTPS_PROXY": "http://of-client:3128", "NO_PROXY": "localhost"}
    assert proxies.find({**home, "https_proxy": "http://mine:1"})["HTTPS_PROXY"] == "http://mine:1"
    assert proxies.find({**home, "https_proxy": "a", "HTTPS_PROXY": "b"})["HTTPS_PROXY"] == "b"


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert proxies.find({"HOME": str(tmp_path)}) == {}


def test_the_client_may_have_its_settings_elsewhere(home: dict[str, str]) -> None:
    elsewhere = {"DOCKER_CONFIG": str(Path(home["HOME"], ".docker"))}
    assert proxies.find(elsewhere)["NO_PROXY"] == "localhost"


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"proxies": 1}', '{"proxies": {"default": []}}', "[" * 100_000])
def test_settings_that_are_none_have_no_proxies(config: str) -> None:
    assert proxies.parse(config) == {}
