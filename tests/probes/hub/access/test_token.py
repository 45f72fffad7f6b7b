"""What a token may do is read from whoami-v2, and a refusal of a gated repository is told by the Hub's words first."""

import pytest

from dgxcert.probes.hub.access import token

FINE = {
    "canReadGatedRepos": False,
    "scoped": [
        {"entity": {"type": "org", "name": "lab"}, "permissions": ["repo.content.read"]},
        {"entity": {"type": "user", "name": "ada"}, "permissions": ["inference.serverless.write"]},
        {"entity": {"type": "model", "name": "ada/m"}, "permissions": ["repo.write"]},
    ],
}


def whoami(role: str, **rest: object) -> dict[str, object]:
    return {"name": "ada", "auth": {"type": "access_token", "accessToken": {"role": role, **rest}}}


def test_scopes_of_a_fine_grained_token() -> None:
    access = token.parse(whoami("fineGrained", fineGrained=FINE))
    assert (access.reads_gated, access.scopes) == (False, ("lab", "ada/m"))
    assert access.reads("lab/model")
    assert access.reads("ada/m")
    assert not access.reads("ada/other")


@pytest.mark.parametrize("body", [{}, {"auth": None}, {"auth": {"accessToken": "x"}}, whoami("read"), whoami("write")])
def test_other_tokens_read_what_their_user_reads(body: dict[str, object]) -> None:
    access = token.parse(body)
    assert access.reads_gated
    assert access.reads("any/one")


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Please enable access to public gated repositories in your fine-grained token settings", "token-scope"),
        ("Your request to access model a/b is awaiting a review from the repo authors.", "gated-pending"),
        ("Your request to access model a/b has been rejected by the repo's authors.", "gated-rejected"),
        ("Access to model a/b is restricted and you are not in the authorized list.", "gated"),
    ],
)
def test_the_words_of_the_hub_count_first(message: str, cause: str) -> None:
    assert token.cause_of_gate(message, None) == cause
    assert token.cause_of_gate(message, token.parse(whoami("read"))) == cause


def test_rights_of_the_token_explain_a_refusal_without_a_reason() -> None:
    access = token.parse(whoami("fineGrained", fineGrained=FINE))
    assert token.cause_of_gate("Access to model a/b is restricted", access) == "token-scope"
