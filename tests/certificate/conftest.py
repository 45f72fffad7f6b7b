"""A key, its allowed signers file, and a signed certificate in its run folder."""

import shutil
from pathlib import Path

import pytest
from suites.certified import folder
from suites.signing import NOW, allowed_signers, make_key

from dgxcert.certificate import signed_run


@pytest.fixture(scope="module", autouse=True)
def by_this_suite(committed: None) -> None:
    """What is signed here was made by this suite, and none of it is modified."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys") / "ada")


@pytest.fixture(scope="module")
def allowed(key: Path) -> Path:
    return allowed_signers(key.parent / "allowed", key)


@pytest.fixture(scope="module")
def signed(key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate in its run folder, for all tests of a module; `copied` is one to change."""
    return signed_run.sign(folder(tmp_path_factory.mktemp("signed")), key, 365, NOW, lambda _: None)


@pytest.fixture
def copied(signed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(signed.parent, tmp_path / "copy") / signed.name
