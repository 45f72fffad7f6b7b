"""What the steps of the diagnosis share: the file to fetch, the settings, and the results of earlier steps."""

from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from dgxcert.probes.hub import http_request, trust_store
from dgxcert.probes.hub import settings as hub_settings
from dgxcert.probes.hub.access.token import TokenAccess
from dgxcert.probes.hub.http_request import Response


class ProbedFile(NamedTuple):
    """The file that the diagnosis fetches, at a pinned revision.

    Processes get it as arguments: to read the list of checkpoints there, with pydantic, would take 0.3 s of each.
    """

    repo: str
    revision: str
    name: str
    size_bytes: int
    sha256: tuple[str, ...] = ()
    """The SHA-256 that it may have, its own first; empty where none is pinned."""

    @property
    def arguments(self) -> list[str]:
        """As arguments of a process."""
        return [self.repo, self.revision, self.name, str(self.size_bytes), *self.sha256]

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> "ProbedFile":
        """From the arguments of a process.

        >>> ProbedFile.from_arguments(["gpt2", "607a30d", "config.json", "665"]).path
        '/gpt2/resolve/607a30d/config.json'
        """
        repo, revision, name, size, *sha256 = arguments
        return cls(repo, revision, name, int(size), tuple(sha256))

    @property
    def path(self) -> str:
        """Its path on the Hub."""
        return f"/{self.repo}/resolve/{self.revision}/{quote(self.name)}"


class Skipped(Exception):  # noqa: N818 (read as `raise Skipped`, beside the other outcomes of a step)
    """A step that does not apply in this environment, and why."""


@dataclass
class Context:
    """The state of a diagnosis; a later step uses what an earlier one has set."""

    probed: ProbedFile
    loaded_settings: hub_settings.Settings | None = None
    access: TokenAccess | None = None
    """What the token may do, which the Hub says of it."""
    notes: list[str] = field(default_factory=list)
    """What was noticed in a step that passed."""
    metadata: Response | None = None
    """The Hub's response to HEAD for the probed file."""
    cas_url: str = ""
    read_token: str = ""
    """The Xet read token, which the Hub issues for this repository and the CAS accepts."""
    first_part: tuple[str, str] = ("", "")
    """URL and Range of the file's first part in Xet storage."""

    @property
    def settings(self) -> hub_settings.Settings:
        """The settings, which the first step reads."""
        if self.loaded_settings is None:
            raise TypeError("the settings are read by the first step")
        return self.loaded_settings

    def get(
        self, path: str, *, method: str = "GET", byte_range: str = "", other_hosts: bool = False, api: bool = False
    ) -> Response:
        """Send a request to the Hub, with the token if there is one, and follow redirects.

        `other_hosts` follows those to another host, as to the CDN; `api` those of a mirror that sends its readers on.
        """
        headers = {"Range": byte_range} if byte_range else {}
        if self.settings.authorization:
            headers["Authorization"] = self.settings.authorization
        trust = trust_store.ssl_context(self.settings.ca_variables)
        response = http_request.send(f"{self.settings.endpoint}{path}", trust, method=method, headers=headers)
        return http_request.follow_redirects(
            response, trust, headers, method=method, other_hosts=other_hosts, asked=path if api else ""
        )

    def request_read_token(self, url: str) -> Response:
        """Request the Xet read token from the URL that the Hub names, with the user's token, as the client does."""
        headers = {"Authorization": self.settings.authorization} if self.settings.authorization else {}
        absolute = url if "://" in url else urljoin(f"{self.settings.endpoint}/", url)
        trust, asked = trust_store.ssl_context(self.settings.ca_variables), urlsplit(absolute).path
        response = http_request.send(absolute, trust, headers=headers)
        return http_request.follow_redirects(response, trust, headers, method="GET", other_hosts=False, asked=asked)
