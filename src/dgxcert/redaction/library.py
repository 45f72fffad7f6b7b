"""Tokens by their format: the expressions of detect-secrets, a library of Yelp's that is kept for this purpose.

Its detectors of high entropy, of words and of public addresses are left out: digests, commits, fingerprints, UUIDs and
addresses are what a report is made of. So are three whose expressions take quadratic time on text that an attacker
writes (npm, OpenAI, JSON Web Tokens) and one that mistakes ports for passwords (Basic Auth): `grammar` finds those.
"""

import functools
import importlib
import re

from dgxcert.redaction import plain

PLUGINS = {
    "artifactory": "ArtifactoryDetector",
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "cloudant": "CloudantDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "ibm_cloud_iam": "IbmCloudIamDetector",
    "ibm_cos_hmac": "IbmCosHmacDetector",
    "mailchimp": "MailchimpDetector",
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "softlayer": "SoftlayerDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
"""Modules of detect_secrets.plugins and their detectors, as of 1.5."""
LONG_WORD = re.compile(r"(?<![\w+/=.:-])(?=[A-Za-z_+/=.:-]*\d)[\w+/=.:-]{11,}|A(?:KI|SI|BI|CC)A[A-Z]|PRIVATE KEY|PuTTY")
"""What a line has where any of them can match. Others are not looked at: they are most lines of a log."""
AROUND = ' \t\r\n=:"'
"""What some expressions take in around a secret."""
NEEDED = {
    "cloudant": ("key", "pw", "pass", "token", "cloudant"),
    "ibm_cloud_iam": ("key", "pwd", "pass", "token"),
    "ibm_cos_hmac": ("secret",),
    "softlayer": ("key", "pwd", "pass", "token", "softlayer"),
    "mailchimp": ("-us",),
    "aws": ("aws", "a3t", "abia", "acca", "akia", "asia"),
    "azure_storage_key": ("accountkey",),
    "github_token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "gitlab_token": ("gl", "gr1348941"),
    "private_key": ("private key", "putty"),
    "pypi_token": ("pypi-",),
    "sendgrid": ("sg.",),
    "slack": ("xox", "hooks"),
    "square_oauth": ("sq0csp-",),
    "stripe": ("k_live_",),
}
"""In lower case, of what a line needs one where an expression of a detector matches: it is slower than looking."""
LONGEST_LINE, OVERLAP = 8192, 512
LONG_GROUP = 16
IN_WORD, WORD = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:-", 64
DIGEST = re.compile(r"(?:[A-Za-z0-9]{1,9}[:-])?[0-9a-fA-F]{24,}|[0-9]+")
"""A hash, or a number, which a format of letters and digits alone fits by chance."""


class Missing(Exception):  # noqa: N818 (what a caller does without)
    """detect-secrets is not installed, as inside a container, whose output is redacted by the supervisor outside."""


@functools.cache
def expressions() -> tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...]:
    """The kind of secret, the expression, and the NEEDED of each detector. Raises Missing without the library."""
    try:
        modules = {name: importlib.import_module(f"detect_secrets.plugins.{name}") for name in PLUGINS}
    except ImportError as error:
        raise Missing(str(error)) from error
    detectors = [(getattr(modules[name], detector), NEEDED.get(name, ("",))) for name, detector in PLUGINS.items()]
    return tuple((kind.secret_type, expression, needed) for kind, needed in detectors for expression in kind.denylist)


def spans(text: str) -> list[tuple[int, int, str]]:
    """Begin, end and kind of each secret in a text, in order and apart. Raises Missing without the library.

    >>> spans("remote: ghp_x7Qm2kLpx7Qm2kLpx7Qm2kLpx7Qm2kLpx7Qm")
    [(8, 48, 'GitHub Token')]
    >>> spans("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    []
    """
    if not LONG_WORD.search(text):
        return []
    found: list[tuple[int, int, str]] = []
    at, those = 0, _possible(text)
    for line in text.splitlines(keepends=True):
        if LONG_WORD.search(line):
            for begin in range(0, len(line), LONGEST_LINE - OVERLAP):
                found += _in_line(line[begin : begin + LONGEST_LINE], at + begin, those)
        at += len(line)
    return _apart(found)


def _possible(text: str) -> list[tuple[str, re.Pattern[str]]]:
    """The expressions that can match in a text, or in a part of it."""
    folded = plain.folded(text)
    return [(kind, each) for kind, each, needed in expressions() if any(word in folded for word in needed)]


def _in_line(line: str, at: int, those: list[tuple[str, re.Pattern[str]]]) -> list[tuple[int, int, str]]:
    found = []
    for kind, expression in those:
        for match in expression.finditer(line):
            # A long group is the secret, among words that tell what it is; a short one is a part of it, such as "ghp".
            groups = [match.span(number) for number in range(1, (match.re.groups or 0) + 1) if match.group(number)]
            begin, end = next((span for span in groups if span[1] - span[0] >= LONG_GROUP), match.span())
            secret = line[begin:end].strip(AROUND)
            begin += line[begin:end].index(secret)
            end = begin + len(secret)
            if groups or not DIGEST.fullmatch(_word(line, begin, end)):
                found.append((at + begin, at + end, kind))
    return found


def _word(line: str, begin: int, end: int) -> str:
    """The word that a match is in."""
    before = line[max(begin - WORD, 0) : begin]
    after = line[end : end + WORD]
    return f"{before[len(before.rstrip(IN_WORD)) :]}{line[begin:end]}{after[: len(after) - len(after.lstrip(IN_WORD))]}"


def _apart(found: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    apart: list[tuple[int, int, str]] = []
    for begin, end, kind in sorted(found):
        if apart and begin < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]), apart[-1][2])
        else:
            apart.append((begin, end, kind))
    return apart
