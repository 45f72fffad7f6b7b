"""Whatever is typed wrongly is answered on one short line that names the right word."""

from pathlib import Path

import pytest
from suites.certified import folder
from suites.signing import allowed_signers, make_key

LONGEST = 320
"""Characters of an answer: four lines of a terminal of 80 columns, of which one is the path that was typed."""

WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    "a command": ("valdate", ("There is no command 'valdate'", "Did you mean 'validate'?", "dgxcert -h")),
    "a command in capitals": ("VALIDATE", ("Did you mean 'validate'?",)),
    "a command of other programs": ("help", ("Type: dgxcert -h",)),
    "a target of make": ("rehearse", ("Type: dgxcert validate --profile cpu",)),
    "a misspelt target of make": ("burnin", ("Type: dgxcert validate --tier burn-in",)),
    "no command at all": ("xyzzy", ("There is no command 'xyzzy'. All commands: dgxcert -h",)),
    "an option": ("validate --proflie cpu", ("There is no option '--proflie'", "'--profile'", "dgxcert validate -h")),
    "an option with one dash": ("validate -profile cpu", ("no option '-profile'; did you mean '--profile'?",)),
    "an option with its value": ("validate --proflie=cpu", ("no option '--proflie'; did you mean '--profile'?",)),
    "an option in capitals": ("validate --PROFILE cpu", ("did you mean '--profile'?",)),
    "an option of no kind": ("show --xyzzy", ("There is no option '--xyzzy'. All options: dgxcert show -h",)),
    "a short option": ("show -x results", ("There is no option '-x'. All options: dgxcert show -h",)),
    "an option before its command": (
        "--profile cpu validate",
        (
            "--profile is an option of validate, ",
            "written after the command",
        ),
    ),
    "an option without a value": ("validate --tier", ("'--tier' requires an argument", "dgxcert validate -h")),
    "a variable of make": ("validate PROFILE=cpu", ("found 'PROFILE=cpu'; did you mean '--profile cpu'?",)),
    "a word without dashes": ("validate profile cpu", ("found 'profile'; did you mean '--profile'?",)),
    "a tier": ("validate --tier quik", ("'quik' is not one of", "did you mean 'quick'?")),
    "a tier in capitals": ("validate --tier Quick", ("did you mean 'quick'?",)),
    "a runtime": ("validate --runtime dokcer", ("did you mean 'docker'?",)),
    "weights": ("validate --weights hubb", ("did you mean 'hub'?",)),
    "a profile": ("validate --profile dgx-sprak", ("There is no profile 'dgx-sprak'. Did you mean 'dgx-spark'?",)),
    "a profile in capitals": ("validate --profile CPU", ("Did you mean 'cpu'?",)),
    "no profile at all": ("validate --profile xyzzy", ("known names is like it.", "List them: dgxcert profiles")),
    "a requirement": ("validate --profile cpu --only DECODE-SPED", ("did you mean 'DECODE-SPEED'?",)),
    "a requirement in small letters": ("validate --profile cpu --only gpu-presnt", ("did you mean 'GPU-PRESENT'?",)),
    "a case of a requirement": (
        "validate --profile cpu --only DECODE-SPEED[bf16-tuned-sngle]",
        ("did you mean 'DECODE-SPEED[bf16-tuned-single]'?",),
    ),
    "a group": ("validate --profile cpu --only stak", ("did you mean 'stack'?",)),
    "no requirement at all": ("validate --profile cpu --only NOSUCH", ("none of the ", "`dgxcert list` shows every")),
    "no RUN": ("show", ("Missing RUN, for example: dgxcert show ", "dgxcert show -h")),
    "no FILE": ("verify", ("Missing FILE, for example: dgxcert verify ",)),
    "no key": ("sign results/run-a", ("Missing --key, for example: dgxcert sign ",)),
    "a run": ("show results/run-b", ("Did you mean results/run-a?",)),
    "a run to resume": ("validate --resume results/run-b", ("Did you mean results/run-a?",)),
    "a results folder of a run": ("report result/run-a", ("Did you mean results/run-a?",)),
    "a results folder": ("history --results result", ("--results result cannot be read", "Did you mean results?")),
    "the value of an option alone": ("validate quick", ("did you mean '--tier quick'?",)),
    "a limit": ("validate --profile limits.yaml", ("limits.sprad: unknown name; did you mean 'spread'?",)),
    "a setting of a profile": ("validate --profile keys.yaml", ("unknown key 'limit'; did you mean 'limits'?",)),
    "a profile that is extended": ("validate --profile base.yaml", ("Did you mean 'cpu'?",)),
    "a type of repository": ("hub --type modle --repo a/b", ("did you mean 'model'?",)),
    "a requirement to explain": ("explain DECODE-SPED", ("did you mean 'DECODE-SPEED'?",)),
    "a profile to show": ("profiles show h20", ("Did you mean 'h200'?",)),
    "a run by name": ("show 2026-11-24", ("There is no '2026-11-24'",)),
    "waivers": ("validate --profile cpu --waivers waiver.yaml", ("Did you mean waivers.yaml?",)),
    "waivers after =": ("validate --profile cpu --waivers=waiver.yaml", ("Did you mean waivers.yaml?",)),
    "a profile's file": ("validate --profile mein.yaml", ("Did you mean mine.yaml?",)),
    "own checks": ("validate --profile cpu --checks sites", ("sites cannot be read", "Did you mean site?")),
    "a site profile": ("validate --profile cpu --site sites", ("Did you mean site?",)),
    "a certificate": ("verify results/run-a/certificat.json", ("Did you mean results/run-a/certificate.json?",)),
}

FILES = {
    "limits.yaml": """extends: cpu
name: mine
certifies: false
limits: {sprad: {max: 0.1, unit: of median, source: mine}}
""",
    "keys.yaml": "extends: cpu\nname: mine\nlimit: {}\n",
    "base.yaml": "extends: cpuu\nname: mine\n",
}


def test_dashes_alone_make_no_option_like_another(dgxcert) -> None:
    dgxcert("list", "--only", "hub").require_refused("There is no option '--only'. All options: dgxcert list -h")


@pytest.mark.parametrize(("typed", "answer"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_word_is_answered_with_the_right_one(
    dgxcert, tmp_path: Path, typed: str, answer: tuple[str, ...]
) -> None:
    (tmp_path / "results" / "run-a").mkdir(parents=True)
    (tmp_path / "site").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for name in ("results/run-a/certificate.json", "waivers.yaml", "mine.yaml"):
        (tmp_path / name).touch()
    said = dgxcert(*typed.split())
    said.require_refused(*answer)
    assert len(said.err) <= LONGEST


def test_a_key_and_a_list_of_signers_that_are_missing_are_named_with_the_near_ones(dgxcert, tmp_path: Path) -> None:
    key, run = make_key(tmp_path / "ada"), folder(tmp_path / "results")
    allowed_signers(tmp_path / "signers", key)
    dgxcert("sign", run, "--key", "adaa").require_refused("adaa", "Did you mean ada")
    assert not dgxcert("sign", run, "--key", "ada").code
    missing = dgxcert("verify", run / "certificate.json", "--allowed-signers", "signer")
    missing.require_refused("signer cannot be read", "Did you mean signers?")
