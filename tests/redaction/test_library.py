"""Tokens are told by their format as detect-secrets knows it; digests and numbers are not taken for them."""

import sys

import pytest

from dgxcert.redaction import library, scrubber

TOKENS = {
    "AWS Access Key": "AKIAQ7M2KLPX7QM2KLPX",
    "Azure Storage Account access key": f"AccountKey={'x7Qm2kLp' * 11}",
    "GitHub Token": f"ghp_{'x7Qm2k' * 6}",
    "GitLab Token": f"glpat-{'x7Qm2kLpAa' * 2}",
    "PyPI Token": f"pypi-AgEIcHlwaS5vcmc{'x7Qm2kLpAa' * 7}",
    "SendGrid API Key": f"SG.{'x7Qm2kLpAab' * 2}.{'x7Qm2kLpAab' * 3}x7Qm2kLpAa",
    "Slack Token": "xoxb-1234567890-x7qm2klp",
    "Stripe Access Key": f"sk_live_{'x7Qm2k' * 4}",
    "Telegram Bot Token": f"123456789:{'x7Qm2' * 7}",
    "Twilio API Key": f"SK{'x7qm2klp' * 4}",
    "Mailchimp Access Key": f"{'x7qm2klp' * 4}-us12",
    "Square OAuth Secret": f"sq0csp-{'x7Qm2kLpAab' * 3}x7Qm2kLpAa",
    "Artifactory Credentials": " AKCp8x7Qm2kLpAa ",
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_told_by_its_format(kind: str) -> None:
    assert [found for *_, found in library.spans(f"remote {TOKENS[kind]} end")] == [kind]
    assert TOKENS[kind].strip() not in scrubber.text(f"remote {TOKENS[kind]} end")


@pytest.mark.parametrize(
    "text",
    [
        "20261130:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "SKUs, AC 0123456789abcdef0123456789abcdef",
        "9f86d081884c7d659a2feaa0c55ad015-us",
    ],
)
def test_a_digest_is_no_token(text: str) -> None:
    assert library.spans(text) == []


def test_every_detector_is_there() -> None:
    assert len({kind for kind, *_ in library.expressions()}) == len(library.PLUGINS)


def test_a_hostile_text_takes_no_longer_than_its_length() -> None:
    for text in ("xoxb-1-1-1" * 5000, "//" * 50_000, "AKC " * 20_000, "aws key '" * 5000, "SG.a." * 10_000):
        library.spans(text)


def test_without_the_library_values_and_places_are_still_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    library.expressions.cache_clear()
    monkeypatch.setitem(sys.modules, "detect_secrets.plugins.aws", None)
    with pytest.raises(library.Missing):
        library.expressions()
    assert (
        scrubber.text("HF_TOKEN=x7Qm2kLp and a long word x7Qm2kLpx7Qm2kLp")
        == "HF_TOKEN=[secret] and a long word x7Qm2kLpx7Qm2kLp"
    )


def test_a_detector_is_asked_wherever_it_can_find_something() -> None:
    other = {
        "ibm": f"iam_KEY={'x7Qm2kLpAab' * 4}",
        "IBM COS": f"cos_hmac_secret_access_key={'0123456789abcdef' * 3}",
        "Cloudant": f"cl_pw={'0123456789abcdef' * 4}",
        "Cloudant URL": f"https://ada:{'0123456789abcdef' * 4}@ada.cloudant.com",
        "SoftLayer": f"sl_Token: {'x7qm2klp' * 8}",
        "SoftLayer URL": f"http://api.softlayer.com/soap/v3/{'x7qm2klp' * 8}",
        "AWS": f"aws_to\u212aen='{'x7Qm2kLpAa' * 4}'",
        "GitLab": f"GR1348941{'x7Qm2kLpAa' * 2}",
        "Slack": "https://hooks.slack.com/services/T1a/B2b/c3d",
        "Slack, old": "XOXR-1234567890-x7qm2klp",
    }
    for token in (*TOKENS.values(), *other.values()):
        for text in (token, token.upper(), f"a {token} b"):
            found = {kind for kind, expression, _ in library.expressions() if expression.search(text)}
            assert found == {kind for kind, expression in library._possible(text) if expression.search(text)}
    assert all(library.spans(text) for text in other.values())
