"""`site` writes pages for a results folder, and says what it left out."""

from pathlib import Path

import pytest
from suites.certified import folder
from suites.results_folder import fill, machine
from suites.signing import allowed_signers, make_key


def test_it_writes_pages_and_says_where(dgxcert, tmp_path: Path) -> None:
    fill(tmp_path / "results", machine(1), [14.0, 14.0])
    (tmp_path / "results" / "broken").mkdir()
    (tmp_path / "results" / "broken" / "run.json").touch()
    done = dgxcert("site", "--out", "pages")
    assert not done.code
    assert done.out.splitlines()[-1] == "pages/index.html: 2 runs of 1 machine"
    assert "not readable: broken" in done.out
    assert "spark-01" in (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert dgxcert("site", "results", "--out", "pages").code in (None, 0)


def test_certificates_are_valid_only_by_a_list_of_signers(dgxcert, tmp_path: Path, committed: None) -> None:
    from datetime import UTC, datetime

    from dgxcert.certificate import signed_run

    key = make_key(tmp_path / "ada")
    signed_run.sign(folder(tmp_path / "results"), key, 3650, datetime.now(UTC), lambda _: None)
    allowed_signers(tmp_path / "signers", key)
    dgxcert("site", "--out", "pages")
    index = tmp_path / "pages" / "index.html"
    assert "signed, not verified here" in index.read_text(encoding="utf-8")
    done = dgxcert("site", "--out", "pages", "--allowed-signers", "signers")
    assert "verifying 2026-11-23T18-40-12Z-spark-07" in done.out
    assert "valid until 2036-11-20, signed by ada@lab" in index.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--out", "results/run"], "results/run is a run folder. Name a folder of its own: --out pages"),
        (["missing", "--out", "pages"], "There is no folder missing"),
        (["resluts", "--out", "pages"], "Did you mean results?"),
        (["--out", "pages", "--allowed-signers", "nobody"], "There is no file nobody"),
        (["--out", "file"], "--out file is not a folder"),
        (["--out", "other"], "other has files that `dgxcert site` did not write"),
        (["--out", "pages", "--revoked", "keys"], "--revoked is about signatures, and none is verified"),
        ([], "--out"),
    ],
)
def test_what_cannot_be_done_is_refused(dgxcert, tmp_path: Path, arguments: list[str], problem: str) -> None:
    (tmp_path / "results" / "run").mkdir(parents=True)
    (tmp_path / "results" / "run" / "run.json").touch()
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("mine", encoding="utf-8")
    done = dgxcert("site", *arguments)
    assert done.code == 3
    assert problem in done.err
    assert not (tmp_path / "pages").exists()


def test_the_config_file_names_results_and_signers(dgxcert, tmp_path: Path) -> None:
    fill(tmp_path / "kept", machine(1), [14.0])
    (tmp_path / "dgxcert.toml").write_text('results = "kept"\nallowed-signers = "signers"\n', encoding="utf-8")
    (tmp_path / "signers").touch()
    done = dgxcert("site", "--out", "pages")
    assert not done.code
    assert "dgxcert.toml: allowed-signers = 'signers'" in done.out
    assert "Certificates are called valid where" in (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
