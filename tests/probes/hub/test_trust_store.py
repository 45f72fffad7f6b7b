"""Trust store: the variables of each HTTP library decide what its client trusts."""

from pathlib import Path

import pytest

from dgxcert.probes.hub import trust_store

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


def test_folder_of_certificates_is_valid_where_they_are_found_by_their_hashes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trust_store.description(trust_store.HTTPX) == f"{tmp_path} (SSL_CERT_DIR)"
    assert "no certificate under its hash" in trust_store.problem(trust_store.HTTPX)
    (tmp_path / "5ed36f99.0").touch()
    assert trust_store.problem(trust_store.HTTPX) == ""


def test_variables_of_the_other_library_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert trust_store.description(trust_store.HTTPX) == "the default authorities"
    assert trust_store.problem(trust_store.HTTPX) == ""
    assert "/nowhere.pem" in trust_store.problem(trust_store.REQUESTS)
