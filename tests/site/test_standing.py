"""The standing of a signed run: valid only where signature, signer and evidence were verified here."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from suites.certified import folder
from suites.signing import FULL, LATER, NOW, allowed_signers, make_key

from dgxcert.certificate import signed_run
from dgxcert.site import standing
from dgxcert.site.standing import Signers, State


@pytest.fixture(scope="module", autouse=True)
def by_this_suite(committed: None) -> None:
    """What is signed here was made by this suite, and none of it is modified."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys") / "ada")


@pytest.fixture(scope="module")
def signers(key: Path) -> Signers:
    return Signers(allowed_signers(key.parent / "allowed", key))


@pytest.fixture(scope="module")
def certified(key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return signed_run.sign(folder(tmp_path_factory.mktemp("signed")), key, 365, NOW, lambda _: None).parent


@pytest.fixture
def copied(certified: Path, tmp_path: Path) -> Path:
    return shutil.copytree(certified, tmp_path / "copy")


def verified(run: Path, signers: Signers, now=LATER):
    found = standing.read(run, now)
    assert found is not None
    return standing.verified(run, found, now, signers)


def test_an_unsigned_run_has_none(tmp_path: Path) -> None:
    assert standing.read(tmp_path, NOW) is None


def test_without_signers_nobody_vouches_for_a_certificate(certified: Path) -> None:
    found = standing.read(certified, LATER)
    assert found is not None
    assert (found.state, found.kind, found.certifies) == (State.UNVERIFIED, "certificate", False)
    assert found.words == "signed, not verified here; until 2027-11-23 by its own statement"


def test_a_verified_certificate_is_valid_with_its_signer(certified: Path, signers: Signers) -> None:
    found = verified(certified, signers)
    assert found.certifies
    assert found.words == "valid until 2027-11-23, signed by ada@lab"


def test_a_certificate_expires_by_its_own_dates(certified: Path, signers: Signers) -> None:
    late = NOW + timedelta(days=400)
    found = standing.read(certified, late)
    assert found is not None
    assert (found.state, found.words, found.certifies) == (State.EXPIRED, "expired on 2027-11-23", False)
    assert verified(certified, signers, late) == found


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda run: (run / "run.json").write_bytes((run / "run.json").read_bytes() + b" "), "run.json was changed"),
        (lambda run: (run / "certificate.json.sig").unlink(), "there is no signature"),
        (lambda run: (run / "logs" / "container-1.log").unlink(), "is missing"),
    ],
)
def test_a_certificate_that_is_refused_is_invalid(copied: Path, signers: Signers, damage, why: str) -> None:
    damage(copied)
    found = verified(copied, signers)
    assert (found.state, found.certifies) == (State.INVALID, False)
    assert why in found.words


def test_a_certificate_by_somebody_else_is_invalid(certified: Path, tmp_path: Path) -> None:
    other = make_key(tmp_path / "eve")
    found = verified(certified, Signers(allowed_signers(tmp_path / "allowed", other)))
    assert found.words.startswith("invalid: it was signed by a key that")


def test_a_revoked_key_makes_it_invalid(certified: Path, signers: Signers, key: Path) -> None:
    found = verified(certified, Signers(signers.allowed, key.with_suffix(".pub")))
    assert found.state is State.INVALID
    assert "revokes the key" in found.words


def test_what_cannot_be_checked_is_not_valid(certified: Path, tmp_path: Path) -> None:
    found = verified(certified, Signers(tmp_path / "missing"))
    assert found.state is State.UNCHECKED
    assert "cannot be read" in found.words


@pytest.mark.parametrize("text", ["", "{}", "[" * 10_000, "\0"])
def test_a_damaged_statement_is_invalid(copied: Path, text: str) -> None:
    (copied / "certificate.json").write_text(text, encoding="utf-8")
    found = standing.read(copied, LATER)
    assert found is not None
    assert (found.state, found.expires) == (State.INVALID, None)


def test_a_link_in_place_of_a_statement_is_invalid(copied: Path, certified: Path) -> None:
    (copied / "certificate.json").unlink()
    (copied / "certificate.json").symlink_to(certified / "certificate.json")
    found = standing.read(copied, LATER)
    assert found is not None
    assert found.state is State.INVALID


def test_a_signed_report_is_no_certificate(tmp_path: Path, key: Path, signers: Signers) -> None:
    run = signed_run.sign(folder(tmp_path, FULL), key, 365, NOW, lambda _: None).parent
    found = verified(run, signers)
    assert (found.state, found.kind, found.certifies) == (State.VALID, "report", False)
