"""What a token may do by the Hub's own account (whoami-v2), and why the Hub refuses a gated repository to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

READS = "repo.content.read"
"""The permission of a fine-grained token to read a repository, as the Hub names it."""
SCOPE = re.compile(r"fine-?grained token|token settings|scope|permission of (this|the) token", re.IGNORECASE)
PENDING = re.compile(r"await|pending|under review", re.IGNORECASE)
REJECTED = re.compile(r"reject|denied by|blocked", re.IGNORECASE)


@dataclass(frozen=True)
class TokenAccess:
    """A token as the Hub knows it; `role` is `read`, `write`, `fineGrained` or empty where it does not say."""

    user: str
    role: str
    reads_gated: bool
    """Whether it may read public gated repositories whose terms its user has accepted."""
    scopes: tuple[str, ...] = ()
    """The names of the users, organisations and repositories that a fine-grained token may read."""

    @property
    def summary(self) -> str:
        """In a few words."""
        role = self.role or "unknown"
        if self.role != "fineGrained":
            return f"role {role}"
        gated = "may" if self.reads_gated else "may not"
        return f"role {role}, {gated} read gated repositories, reads those of {', '.join(self.scopes) or 'nobody'}"

    def reads(self, repo: str) -> bool:
        """Whether it may read a private repository, as far as its scopes say."""
        return self.role != "fineGrained" or bool({repo, repo.partition("/")[0]} & set(self.scopes))


def parse(whoami: Mapping[str, Any]) -> TokenAccess:
    """From the response of whoami-v2.

    >>> fine = {"canReadGatedRepos": False, "global": [], "scoped": []}
    >>> token = {"displayName": "lab", "role": "fineGrained", "fineGrained": fine}
    >>> parse({"name": "ada", "auth": {"type": "access_token", "accessToken": token}}).summary
    'role fineGrained, may not read gated repositories, reads those of nobody'
    """
    access = _mapping(_mapping(whoami.get("auth")).get("accessToken"))
    role, fine = str(access.get("role") or ""), _mapping(access.get("fineGrained"))
    scoped = [_mapping(scope) for scope in fine.get("scoped") or ()]
    names = [str(_mapping(scope.get("entity")).get("name")) for scope in scoped if READS in _permissions(scope)]
    # A token that is not fine-grained reads what its user reads.
    reads_gated = role != "fineGrained" or bool(fine.get("canReadGatedRepos"))
    return TokenAccess(str(whoami.get("name") or ""), role, reads_gated, tuple(names))


def _permissions(scope: Mapping[str, Any]) -> set[str]:
    """The permissions of a scope; the right to write includes that to read."""
    named = {str(name) for name in scope.get("permissions") or ()}
    return named | ({READS} if "repo.write" in named else set())


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def cause_of_gate(message: str, access: TokenAccess | None) -> str:
    """Why the Hub refuses a gated repository: by its own words, else by what the token may do.

    >>> cause_of_gate("Please enable access to public gated repositories in your fine-grained token settings", None)
    'token-scope'
    >>> cause_of_gate("Your request to access model org/m is awaiting a review from the repo authors.", None)
    'gated-pending'
    """
    if SCOPE.search(message):
        return "token-scope"
    if PENDING.search(message):
        return "gated-pending"
    if REJECTED.search(message):
        return "gated-rejected"
    return "token-scope" if access is not None and not access.reads_gated else "gated"
