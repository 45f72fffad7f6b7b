"""A bundle holds all evidence and nobody: no token, no user name, no home path, no host name where that is asked."""

import gzip
import json
import tarfile
from pathlib import Path

import pytest
from suites.certified import SPARK, folder
from suites.example import finished
from typer.testing import CliRunner

from dgxcert.certificate import bundle
from dgxcert.certificate.redaction import Redaction
from dgxcert.cli import app
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import run as runs

TOKENS = {
    "Hugging Face": "hf_abcdefghijklmnopqrstuvwxyz012345",
    "NGC": "nvapi-abcdefghijklmnopqrstuvwxyz0123",
    "GitHub": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AWS": "AKIAABCDEFGHIJKLMNOP",
    "bearer": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "password": "hunter2hunter2",
}
LOG = f"""GET https://ada:{TOKENS["password"]}@hub.lab/x Authorization: Bearer {TOKENS["bearer"]}
HF_TOKEN={TOKENS["Hugging Face"]} ngc {TOKENS["NGC"]} {TOKENS["GitHub"]} {TOKENS["AWS"]}
/home/lovelace/models and /Users/grace/x, run by lovelace on spark-07 with the nvidia driver
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    ending = finished("DISK-SPACE", Outcome.FAILED, reason="no room in /home/lovelace\nlovelace: 12 GiB")
    made = folder(tmp_path / "results", ending)
    (made / "logs" / "container-1.log").write_text(LOG, encoding="utf-8")
    return made


def content(found: bundle.Bundle) -> str:
    return "\n".join([found.name, *(file.name + file.content.decode() for file in found.files)])


def test_no_token_no_user_and_no_home_is_left(made: Path) -> None:
    text = content(bundle.prepare(made, None, hide_host=False))
    for name, secret in TOKENS.items():
        assert secret not in text, name
    for name in ("lovelace", "grace"):
        assert name not in text
    assert "nvidia driver" in text, "an account that is called as a word of the trade takes no words out"
    assert "spark-07" in text


def test_the_host_name_goes_where_that_is_asked(made: Path) -> None:
    text = content(bundle.prepare(made, None, hide_host=True))
    assert "spark-07" not in text
    assert "[host]" in text


def test_what_is_left_can_still_be_read(made: Path, tmp_path: Path) -> None:
    found = bundle.prepare(made, None, hide_host=True)
    bundle.write(found, tmp_path / "case.tar.gz")
    with tarfile.open(tmp_path / "case.tar.gz") as archive:
        archive.extractall(tmp_path / "out", filter="data")
        assert {member.uid for member in archive.getmembers()} == {0}
        assert {member.uname for member in archive.getmembers()} == {""}
    run = runs.load(next((tmp_path / "out").iterdir()))
    assert run.judgement.verdict == "REJECTED"
    assert run.machine.hostname == "[host]"
    assert "no room in /home/[user]\n[user]: 12 GiB" in next(r.reason for r in run.results if r.key == "DISK-SPACE")


def test_a_name_is_taken_out_of_json_where_a_line_ends_before_it() -> None:
    redacted = Redaction(users=frozenset({"ada"})).lines_of_json(json.dumps({"log": "x\nada", "ada": [1, "adapter"]}))
    assert json.loads(redacted) == {"log": "x\n[user]", "[user]": [1, "adapter"]}


def test_the_drivers_report_is_unpacked_and_redacted(made: Path, tmp_path: Path) -> None:
    report = tmp_path / "nvidia-bug-report.log.gz"
    report.write_bytes(gzip.compress(b"uname: spark-07 /home/lovelace NVRM: Xid 79"))
    found = bundle.prepare(made, report, hide_host=False)
    (file,) = [file for file in found.files if file.name == "driver/nvidia-bug-report.log"]
    assert file.content == b"uname: spark-07 /home/[user] NVRM: Xid 79"


def test_a_broken_driver_report_says_so(made: Path, tmp_path: Path) -> None:
    report = tmp_path / "nvidia-bug-report.log.gz"
    report.write_bytes(gzip.compress(b"x" * 1000)[:-20])
    with pytest.raises(CannotStart, match="cannot be read"):
        bundle.prepare(made, report, hide_host=False)


def test_what_cannot_be_looked_into_is_left_out_by_name(made: Path) -> None:
    (made / "core").write_bytes(b"\x7fELF\xff\xfe")
    (made / "link").symlink_to("/etc/passwd")
    (made / "certificate.json").write_text("{}", encoding="utf-8")
    found = bundle.prepare(made, None, hide_host=False)
    said = "\n".join(found.excluded)
    for name in ("core: it is no text", "link: it is no plain file", "certificate.json: what is redacted"):
        assert name in said
    assert not {"core", "link", "certificate.json"} & {file.name for file in found.files}
    assert "nvidia-bug-report.sh" in said


def test_it_is_listed_before_it_is_written_and_asked_for(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = CliRunner().invoke
    refused = call(app, ["bundle", str(made)], input="n\n")
    assert "logs/container-1.log" in refused.output
    assert refused.exit_code != 0
    assert not list(tmp_path.glob("*.tar.gz"))
    nobody_there = call(app, ["bundle", str(made)], input="")
    assert "Nothing was written" in str(nobody_there.exception)
    assert not list(tmp_path.glob("*.tar.gz"))
    done = call(app, ["bundle", str(made), "--hide-host"], input="y\n")
    assert done.exit_code == 0
    assert [path.name for path in tmp_path.glob("*.tar.gz")] == ["2026-11-23T18-40-12Z-host.tar.gz"]
    again = call(app, ["bundle", str(made), "--hide-host", "--yes"])
    assert "is there already" in str(again.exception)


def test_the_machine_itself_is_still_told(made: Path) -> None:
    text = content(bundle.prepare(made, None, hide_host=True))
    for words in (SPARK.serial or "", SPARK.gpus[0].uuid, "580.95.05"):
        assert words in text


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ('password="hunter22x"', 'password="[secret]"'),
        ("HF_TOKEN='a secret of words'", "HF_TOKEN='[secret]'"),
        ("AWS_SECRET_ACCESS_KEY=abcd/efgh+ijk, x", "AWS_SECRET_ACCESS_KEY=[secret], x"),
        ('{"api_key": "zzzzzzzz"', '{"api_key": "[secret]"'),
        ("--token abcdefgh1234 --x", "--token [secret] --x"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
        ("https://me:pw@host/x", "https://[secret]@host/x"),
        (r"C:\Users\bob\x", r"C:\Users\[user]\x"),
        ("passphrase: <unlikely>", "passphrase: [secret]"),
    ],
)
def test_what_is_called_a_secret_is_taken_out_however_it_is_written(said: str, sent: str) -> None:
    assert Redaction().text(said) == sent


@pytest.mark.parametrize(
    "said",
    ["eos_token='</s>'", "bos_token: <|begin_of_text|>", "pad_token_id=50256", "tokens: 1234567", "14 token/s: ok"],
)
def test_a_tokenizers_tokens_are_no_secrets(said: str) -> None:
    assert Redaction().text(said) == said


def test_a_secret_in_json_is_known_by_its_name() -> None:
    sent = json.loads(Redaction().lines_of_json('{"hub_token": "x", "a": [{"password": "y"}], "token_count": 5}'))
    assert sent == {"hub_token": "[secret]", "a": [{"password": "[secret]"}], "token_count": 5}
