"""A certificate authority of the test, and the server certificates, good and bad, that it signs."""

import datetime
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme

LAB = "Loopback Laboratory"
COMPANY = "Example Corp TLS Inspection"
"""The issuer that a TLS-inspecting proxy shows in place of the Hub's."""

LOOPBACK = ("localhost", "127.0.0.1", "hub.test", "cdn.test", "cas.test", "transfer.test")
PUBLIC = ("huggingface.co", "*.hf.co", "*.xethub.hf.co", "*.aws.cdn.hf.co")


@dataclass
class Authority:
    """A private authority. `bundle` is its certificate as a PEM file, for SSL_CERT_FILE."""

    folder: Path
    organization: str = LAB
    bundle: Path = field(init=False)

    def __post_init__(self) -> None:
        self._ca = trustme.CA(organization_name=self.organization)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.bundle = self.folder / f"{self.organization.split()[0].lower()}-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.bundle))

    def server_context(self, certificate: str) -> ssl.SSLContext:
        """A server's SSL context, with a certificate that is `good`, `expired`, `future` or for `another-host`."""
        if certificate not in self._contexts:
            self._contexts[certificate] = self._issue(certificate)
        return self._contexts[certificate]

    def _issue(self, certificate: str) -> ssl.SSLContext:
        names = ("hub.example.org",) if certificate == "another-host" else (*LOOPBACK, *PUBLIC)
        now = datetime.datetime.now(datetime.UTC)
        expires = now - datetime.timedelta(days=2) if certificate == "expired" else now + datetime.timedelta(days=2)
        begins = now + datetime.timedelta(days=1 if certificate == "future" else -30)
        issued = self._ca.issue_cert(*names, not_before=begins, not_after=expires)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)
        return context
