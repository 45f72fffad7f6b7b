"""What `sign`, `verify` and `drift` print of a signed run, as lines. Pure."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from dgxcert.certificate.drift import Compared, State
from dgxcert.certificate.signed_run import Verified
from dgxcert.certificate.ssh.signature import SUFFIX
from dgxcert.certificate.statement import CERTIFICATE, Extension
from dgxcert.console import on_one_line
from dgxcert.judgement.basis_count import EXPLAINED

SHOWN = 100
"""Files that are named one by one."""
VALIDITY = {
    True: "VALID",
    False: "INVALID: validate the machine again",
    None: "UNKNOWN: something that the certificate depends on could not be checked",
}


def of_signing(extension: Extension, path: Path) -> list[str]:
    """The statement, its waivers and dates, and the files to hand over."""
    return [
        extension.says,
        *_explained(extension),
        *_waivers(extension),
        f"valid until {_minute(extension.expires)}; evidence SHA-256 {extension.evidence_sha256}",
        f"signed in {path} and {path.name}{SUFFIX}. Hand over the whole folder.",
    ]


def of_verification(verified: Verified) -> list[str]:
    """The statement, its machine, dates and signer, and last whether it is a certificate."""
    signed, signer = verified.statement.extension, verified.signer
    machine = signed.machine
    gpus = ", ".join(f"{gpu.product} {gpu.uuid}" for gpu in machine.gpus) or "no GPU"
    lines = [
        verified.says,
        *_explained(signed),
        f"machine: {machine.hostname}, {machine.product or 'product unknown'}, "
        f"serial {machine.serial or 'not readable'}; {gpus}",
        f"state: driver {machine.driver or 'none'}, firmware {machine.firmware or 'not readable'}, "
        f"image {signed.software.image_id or 'none'}",
        f"measured {_minute(signed.measured)}, run {signed.run}, profile {signed.profile}",
        f"suite: version {signed.suite_version}, commit {signed.suite_commit or 'none, a wheel'}, "
        f"SHA-256 {signed.suite_sha256}",
        *([f"limits tightened by {signed.site.description}"] if signed.site else []),
        f"signed by {signer.principal} with {signer.fingerprint} on {_minute(signed.issued)}",
        *([f"by its {signer.certified}"] if signer.certified else []),
        *(
            [f"the key is listed for several: {'; '.join(signer.listed)}; which of them it was, no signature says"]
            if signer.listed
            else []
        ),
        f"valid until {_minute(signed.expires)}",
        f"evidence: {len(verified.statement.subject)} files unchanged since signing, SHA-256 {signed.evidence_sha256}",
        *_waivers(signed),
    ]
    if names := verified.uncovered:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"not part of the {signed.kind}: {', '.join(names[:SHOWN])}{more}")
    if verified.unchecked:
        lines.append(f"not checked here: {verified.unchecked}")
    lines.append("VERIFIED" if verified.certifies else "signature valid; this is a report, not a certificate")
    return [on_one_line(line) for line in lines]


def of_drift(
    certified: Extension, compared: Iterable[Compared], now: datetime, *, valid: bool | None, verified: bool
) -> list[str]:
    """One line for each thing compared, what else makes the certificate invalid, and last whether it is valid."""
    lines = [f"{item.name:20} {item.current}  ({_state(item)})" for item in compared]
    if not verified:
        lines.append("The signature was not verified, so that anybody may have written this: name --allowed-signers.")
    if certified.kind != CERTIFICATE:
        lines.append("This is a signed report, not a certificate.")
    if certified.expires <= now:
        lines.append(f"It expired on {_minute(certified.expires)}.")
    return [on_one_line(line) for line in (*lines, VALIDITY[valid])]


def _state(compared: Compared) -> str:
    unchanged = compared.state is State.UNCHANGED
    return compared.state.value if unchanged else f"{compared.state.value}; certified: {compared.certified}"


def _explained(extension: Extension) -> list[str]:
    """What the counts of limits in the first line mean; nothing for a certificate of a version without them."""
    return [] if extension.limits is None else [EXPLAINED]


def _waivers(extension: Extension) -> list[str]:
    return [f"waived: {waiver.description}" for waiver in extension.waivers]


def _minute(moment: datetime) -> str:
    """A moment as people write it.

    >>> _minute(datetime(2027, 11, 23, 18, 40, 12))
    '2027-11-23 18:40 UTC'
    """
    return f"{moment:%Y-%m-%d %H:%M} UTC"
