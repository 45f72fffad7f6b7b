"""`sign` and `verify` report by their exit codes whether a certificate, a report or nothing valid was found."""

from pathlib import Path

from suites.certified import folder
from suites.signing import FULL, allowed_signers, make_key
from typer.testing import CliRunner

from dgxcert.cli import app


def test_exit_codes_tell_a_certificate_a_report_and_a_changed_run(tmp_path: Path) -> None:
    key = make_key(tmp_path / "ada")
    allowed = allowed_signers(tmp_path / "allowed", key)
    made, other = folder(tmp_path / "a"), folder(tmp_path / "b", FULL)
    call = CliRunner().invoke
    signed = call(app, ["sign", str(made), "--key", str(key), "--days", "3650"])
    assert signed.exit_code == 0, signed.output
    assert "CERTIFIED (limits: 0 measured, 0 published, 0 derived): every requirement" in signed.output
    verified = call(app, ["verify", str(made / "certificate.json"), "--allowed-signers", str(allowed)])
    assert (verified.exit_code, verified.output.splitlines()[-1]) == (0, "VERIFIED")
    for words in ("ada@lab", "spark-07", "GPU-5b1f0c1d", "valid until"):
        assert words in verified.output
    call(app, ["sign", str(other), "--key", str(key), "--days", "3650"])
    reported = call(app, ["verify", str(other / "signed-report.json"), "--allowed-signers", str(allowed)])
    assert (reported.exit_code, reported.output.splitlines()[-1]) == (
        2,
        "signature valid; this is a report, not a certificate",
    )
    (made / "run.json").write_text("{}", encoding="utf-8")
    changed = call(app, ["verify", str(made / "certificate.json"), "--allowed-signers", str(allowed)])
    assert changed.exit_code == 1
    assert "REFUSED: run.json was changed after signing" in changed.output
