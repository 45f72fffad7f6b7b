"""`sign`, `verify` and `drift` print who signed what until when, what changed, and last whether it is valid."""

from datetime import UTC, datetime
from pathlib import Path

from suites.certified import SPARK, run
from suites.example import finished, image_ready

from dgxcert.certificate import drift, summary
from dgxcert.certificate.signed_run import Verified
from dgxcert.certificate.ssh.signature import Signer
from dgxcert.certificate.statement import Statement, make
from dgxcert.outcome import Outcome

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SIGNER = Signer("ada@lab", "SHA256:abc")


def statement(*endings: object) -> Statement:
    return make(run(*endings), {"run.json": "00"}, NOW, 365)  # type: ignore[arg-type]


def test_signing_prints_the_files_to_hand_over() -> None:
    lines = summary.of_signing(statement().extension, Path("results/x/certificate.json"))
    assert lines[0].startswith("CERTIFIED (limits: ")
    assert lines[-1] == ("signed in results/x/certificate.json and certificate.json.sig. Hand over the whole folder.")


def test_verifying_prints_signer_dates_and_what_is_not_covered() -> None:
    lines = summary.of_verification(Verified(statement(), SIGNER, "CERTIFIED: as the run gives it.", ("notes.txt",)))
    assert "signed by ada@lab with SHA256:abc on 2026-11-26 00:00 UTC" in lines
    assert "valid until 2027-11-23 18:40 UTC" in lines
    assert lines[-2:] == ["not part of the certificate: notes.txt", "VERIFIED"]


def test_verifying_names_the_suite_by_its_hash_so_that_it_can_be_compared_with_a_release() -> None:
    signed = statement()
    (line,) = [line for line in summary.of_verification(Verified(signed, SIGNER, "", ())) if line.startswith("suite: ")]
    assert line.endswith(f"SHA-256 {signed.extension.suite_sha256}")


def test_a_report_is_never_called_verified() -> None:
    report = statement(finished("DISK-SPACE", Outcome.FAILED))
    lines = summary.of_verification(Verified(report, SIGNER, "REJECTED: as the run gives it.", ()))
    assert lines[-1].endswith("a report, not a certificate")


def test_drift_prints_certified_and_current_values() -> None:
    extension = statement().extension
    changed = SPARK.model_copy(update={"driver": "590.10"})
    compared = drift.compare(extension, changed, image_ready().image)
    lines = summary.of_drift(extension, compared, NOW, valid=False, verified=False)
    assert f"{'driver':20} 590.10  (changed; certified: 580.95.05)" in lines
    assert f"{'firmware':20} 5.36  (unchanged)" in lines
    assert lines[-2:] == [
        "The signature was not verified, so that anybody may have written this: name --allowed-signers.",
        "INVALID: validate the machine again",
    ]
