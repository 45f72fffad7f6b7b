"""What the steps of the diagnosis share: what they have found so far, and how the Hub itself is asked."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urljoin

from dgxcert.probes.hub import http_request, trust_store
from dgxcert.probes.hub import settings as hub_settings
from dgxcert.probes.hub.http_request import Answer


class Probed(NamedTuple):
    """The file that the diagnosis fetches. Processes are told it as words: to read the list again would cost 0.3 s."""

    repo: str
    revision: str
    file: str
    size: int

    @property
    def words(self) -> list[str]:
        """As arguments of a process."""
        return [self.repo, self.revision, self.file, str(self.size)]

    @classmethod
    def of(cls, words: list[str]) -> "Probed":
        """From the arguments of a process."""
        repo, revision, file, size = words
        return cls(repo, revision, file, int(size))

    @property
    def path(self) -> str:
        """Where the Hub serves it."""
        return f"/{self.repo}/resolve/{self.revision}/{quote(self.file)}"


class Skipped(Exception):  # noqa: N818 (read as `raise Skipped`, beside the other outcomes of a step)
    """A step that this environment does not need, and why."""


@dataclass
class Walk:
    """What the steps have found so far, which later ones need."""

    probed: Probed
    settings: hub_settings.Settings | None = None
    file: Answer | None = None
    cas: str = ""
    permit: str = ""
    part: tuple[str, str] = ("", "")
    """Address and range of the file's first stored part."""

    @property
    def here(self) -> hub_settings.Settings:
        """The settings, once they are read."""
        if self.settings is None:
            raise TypeError("the settings are read by the first step")
        return self.settings

    def get(self, path: str, *, method: str = "GET", part: str = "", anywhere: bool = False) -> Answer:
        """Ask the Hub itself, by the token if there is one; follow where it leads, within the Hub or `anywhere`."""
        headers = {"Range": part} if part else {}
        if self.here.token:
            headers["Authorization"] = f"Bearer {self.here.token}"
        trust = trust_store.context(self.here.trust)
        answer = http_request.ask(f"{self.here.endpoint}{path}", trust, method=method, headers=headers)
        return http_request.follow(answer, trust, headers, method=method, anywhere=anywhere)

    def ask_for_permit(self, where: str) -> Answer:
        """Ask whoever the Hub names for the permit to read the files, as the client does: by the token."""
        headers = {"Authorization": f"Bearer {self.here.token}"} if self.here.token else {}
        url = where if "://" in where else urljoin(f"{self.here.endpoint}/", where)
        return http_request.ask(url, trust_store.context(self.here.trust), headers=headers)
