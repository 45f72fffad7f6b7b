"""Commands about certificates: sign a run, verify what was signed, see what has changed since."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert.cli import screen
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.machine.image import Image

REFUSED, NO_CERTIFICATE = 1, 2
VERDICTS = {
    True: ("STANDS", 0),
    False: ("DOES NOT STAND: validate the machine again", 1),
    None: ("UNKNOWN: something that it rests on could not be looked at", 2),
}
SIGNERS = "~/.ssh/allowed_signers"


def sign(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder under results/, or a copy of one.")],
    key: Annotated[Path, typer.Option(help="Your SSH key: the private one, or the public one of a key in your agent.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it holds, from the day of measuring.")] = 365,
) -> None:
    """Sign a run with an SSH key: as a certificate where it is CERTIFIED, else as a report that says so."""
    from dgxcert.certificate import signed_run, ssh_signature

    path = signed_run.sign(run, key, days, datetime.now(UTC), screen.say)
    ours = signed_run.read(path).ours
    screen.say(ours.says)
    for waiver in ours.waivers:
        screen.say(f"waived: {waiver.words}")
    screen.say(f"holds until {ours.expires:%Y-%m-%d %H:%M} UTC; evidence SHA-256 {ours.evidence_sha256}")
    screen.say(f"signed in {path} and {path.name}{ssh_signature.SUFFIX}. Hand over the whole folder.")


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="certificate.json in its run folder.")],
    allowed_signers: Annotated[str, typer.Option(help="Whose signatures count: see man ssh-keygen.")] = SIGNERS,
    machine: Annotated[str, typer.Option(help="Host name, serial number or GPU UUID that it must be for.")] = "",
    revoked: Annotated[Path | None, typer.Option(help="Keys that no longer count, or a key revocation list.")] = None,
) -> None:
    """Verify a signed run, offline: exit 0 a certificate that holds; 1 refused; 2 holds, and is only a report."""
    from dgxcert.certificate import signed_run
    from dgxcert.certificate.ssh_signature import Refused
    from dgxcert.report.words import printable

    signers = Path(os.path.expanduser(allowed_signers))
    try:
        found = signed_run.verify(file, signers, datetime.now(UTC), machine=machine, revoked=revoked)
    except Refused as refused:
        screen.say(printable(f"REFUSED: {refused}"))
        raise typer.Exit(REFUSED) from None
    ours = found.statement.ours
    gpus = ", ".join(f"{gpu.product} {gpu.uuid}" for gpu in ours.machine.gpus) or "no GPU"
    lines = [
        ours.says,
        f"machine: {ours.machine.hostname}, {ours.machine.product or 'product unknown'}, "
        f"serial {ours.machine.serial or 'not readable'}; {gpus}",
        f"state: driver {ours.machine.driver or 'none'}, firmware {ours.machine.firmware or 'not readable'}, "
        f"image {ours.software.image_id or 'none'}",
        f"measured {ours.measured:%Y-%m-%d %H:%M} UTC, run {ours.run}, profile {ours.profile}",
        f"signed by {found.signer.principal} with {found.signer.fingerprint} on {ours.issued:%Y-%m-%d %H:%M} UTC",
        f"holds until {ours.expires:%Y-%m-%d %H:%M} UTC",
        f"evidence: {len(found.statement.subject)} files are as they were signed, SHA-256 {ours.evidence_sha256}",
        *(f"waived: {waiver.words}" for waiver in ours.waivers),
    ]
    lines += [f"not spoken of by the signature: {', '.join(found.uncovered)}"] if found.uncovered else []
    for line in lines:
        screen.say(printable(line))
    screen.say("VERIFIED" if found.certifies else "VERIFIED, and no certificate")
    raise typer.Exit(0 if found.certifies else NO_CERTIFICATE)


def drift(
    file: Annotated[Path, typer.Argument(metavar="CERT", help="certificate.json of this machine.")],
    allowed_signers: Annotated[Path | None, typer.Option(help="Verify its signature as well.")] = None,
) -> None:
    """See on a machine what has changed since its certificate: exit 0 it still stands; 1 not; 2 could not look."""
    from dgxcert.certificate import drift as drifts
    from dgxcert.certificate import signed_run
    from dgxcert.certificate.drift import Now
    from dgxcert.certificate.ssh_signature import Refused
    from dgxcert.certificate.statement import CERTIFICATE
    from dgxcert.report.words import printable
    from dgxcert.runner import session

    now = datetime.now(UTC)
    try:
        statement = (
            signed_run.verify(file, allowed_signers, now).statement if allowed_signers else signed_run.read(file)
        )
    except Refused as refused:
        screen.say(printable(f"REFUSED: {refused}"))
        raise typer.Exit(REFUSED) from None
    ours, machine = statement.ours, session.read_machine()
    if not drifts.same_machine(ours, machine):
        screen.say(printable(f"REFUSED: it is for another machine: {', '.join(sorted(signed_run.names(statement)))}."))
        raise typer.Exit(REFUSED)
    image, unseen = _image(ours.software.image)
    found = drifts.compare(ours, machine, image, unseen)
    for each in found:
        state = each.state.value if each.state is Now.SAME else f"{each.state.value}: it was {each.then}"
        screen.say(printable(f"{each.what:20} {each.now}  ({state})"))
    if not allowed_signers:
        screen.say("The signature was not looked at: --allowed-signers does.")
    stands = drifts.stands(found)
    if ours.kind != CERTIFICATE:
        screen.say("This is a signed report and no certificate, so that there is nothing to stand.")
        stands = False
    if ours.expires <= now:
        screen.say(f"It expired on {ours.expires:%Y-%m-%d %H:%M} UTC.")
        stands = False
    words, code = VERDICTS[stands]
    screen.say(words)
    raise typer.Exit(code)


def _image(reference: str | None) -> "tuple[Image | None, str]":
    """The image of that name on this machine, and why it could not be looked at."""
    from dgxcert.container import builder

    if reference is None:
        return None, ""
    try:
        return builder.find(reference), ""
    except CannotStart as error:
        return None, error.problem
