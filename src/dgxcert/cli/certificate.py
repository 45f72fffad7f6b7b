"""Commands about certificates: sign a run, verify a signed run, show what has changed since."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from dgxcert.cli import screen
from dgxcert.cli.exit_code import Drift, Verify
from dgxcert.cli.options import RESULTS, JsonOption, ResultsOption, RunArgument, SignedArgument
from dgxcert.cli.usage.declaration import command
from dgxcert.console import on_one_line
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.certificate.refusal import Refused
    from dgxcert.cli.json_output.document import Document
    from dgxcert.machine.image import Image

SIGNERS = "~/.ssh/allowed_signers"
DRIFT = {True: Drift.VALID, False: Drift.INVALID, None: Drift.UNKNOWN}

commands = typer.Typer()


@command(commands, group="sign", example="dgxcert sign results/A --key ~/.ssh/id_ed25519")
def sign(
    run: RunArgument,
    key: Annotated[Path, typer.Option(help="SSH key: a private key, or the public key of one held by an agent.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days of validity, from the first measurement.")] = 365,
    results: ResultsOption = RESULTS,
) -> None:
    """Sign a run, or a room of machines, with an SSH key.

    A CERTIFIED run becomes a certificate, any other a signed report. Of a room each machine is signed, and then a list
    of them all.
    """
    from dgxcert.certificate import signed_run, summary
    from dgxcert.certificate.room import signed_room
    from dgxcert.history import run_names

    folder = run_names.resolve(run, results)
    if signed_room.is_of_room(folder):
        _sign_room(folder, key, days)
        return
    path = signed_run.sign(folder, key, days, datetime.now(UTC), screen.say)
    for line in summary.of_signing(signed_run.read(path, datetime.now(UTC)).extension, path):
        screen.say(line)


def _sign_room(folder: Path, key: Path, days: int) -> None:
    from dgxcert.certificate.room import signed_room, summary

    path = signed_room.sign(folder, key, days, datetime.now(UTC), screen.say)
    for line in summary.of_signing(signed_room.read(path).extension, path):
        screen.say(line)


@command(commands, group="sign", example="dgxcert verify results/A/certificate.json")
def verify(
    file: SignedArgument,
    allowed_signers: Annotated[str, typer.Option(help="Allowed signers file; see man ssh-keygen.")] = SIGNERS,
    machine: Annotated[str, typer.Option(help="Host name, serial number or GPU UUID it must be for.")] = "",
    revoked: Annotated[Path | None, typer.Option(help="Revoked keys, or a key revocation list.")] = None,
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Verify a signed run or room, offline.

    Exit code 0: a valid certificate; 1: refused; 2: valid, but only a report.
    """
    from dgxcert.certificate import signed_run, summary
    from dgxcert.certificate.refusal import Refused
    from dgxcert.certificate.room import signed_room
    from dgxcert.cli.json_output import certificate as signed_runs
    from dgxcert.cli.json_output import document
    from dgxcert.history import run_names

    signers = Path(os.path.expanduser(allowed_signers))
    path = run_names.resolve_file(file, results)
    if signed_room.is_of_room(path):
        _verify_room(path, signers, machine, revoked, json_=json_)
    try:
        verified = signed_run.verify(path, signers, datetime.now(UTC), machine=machine, revoked=revoked)
    except Refused as refused:
        _exit_refused(refused, signed_runs.of_refused(refused, str(path)) if json_ else None)
    if json_:
        document.say(signed_runs.of_verified(verified, str(path)))
    else:
        for line in summary.of_verification(verified):
            screen.say(line)
    raise typer.Exit(Verify.CERTIFICATE if verified.certifies else Verify.REPORT)


def _verify_room(path: Path, signers: Path, machine: str, revoked: Path | None, *, json_: bool) -> NoReturn:
    """Verify a signed room with every machine of it, say so, and exit."""
    from dgxcert.certificate.refusal import Refused
    from dgxcert.certificate.room import signed_room, summary
    from dgxcert.cli.json_output import certificate as signed_runs
    from dgxcert.cli.json_output import document

    if machine:
        raise CannotStart("--machine is for the certificate of one machine, and this is a room's.", "Leave it out.")
    file = signed_room.file_of(path)
    try:
        verified = signed_room.verify(file, signers, datetime.now(UTC), revoked=revoked)
    except Refused as refused:
        _exit_refused(refused, signed_runs.of_refused(refused, str(file)) if json_ else None)
    if json_:
        document.say(signed_runs.of_verified_room(verified, str(file)))
    else:
        for line in summary.of_verification(verified):
            screen.say(line)
    raise typer.Exit(Verify.CERTIFICATE if verified.certifies else Verify.REPORT)


@command(commands, group="sign", example="dgxcert drift results/A/certificate.json")
def drift(
    file: SignedArgument,
    allowed_signers: Annotated[
        Path | None, typer.Option(help=f"Allowed signers file; {SIGNERS} where it exists.", show_default=False)
    ] = None,
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Show what changed on this machine since its certificate.

    Exit code 0: the certificate is still valid; 1: it is not; 2: something could not be checked, its signature too.
    """
    from dgxcert.certificate import drift as drifts
    from dgxcert.certificate import signed_run, summary
    from dgxcert.certificate.refusal import Refused
    from dgxcert.cli.json_output import certificate as signed_runs
    from dgxcert.cli.json_output import document
    from dgxcert.history import run_names
    from dgxcert.runner import session

    path = run_names.resolve_file(file, results)
    now = datetime.now(UTC)
    try:
        signers = allowed_signers or _usual_signers()
        signed = signed_run.verify(path, signers, now).statement if signers else signed_run.read(path, now)
        machine = session.read_machine()
        if not drifts.same_machine(signed.extension, machine):
            names = ", ".join(sorted(signed_run.names(signed)))
            raise Refused(f"it is for another machine: {names}", "Name the certificate of this machine.")
    except Refused as refused:
        _exit_refused(refused, signed_runs.drift_refused(refused, str(path)) if json_ else None)
    image, unreadable = _find_image(signed.extension.software.image)
    compared = drifts.compare(signed.extension, machine, image, unreadable)
    verified = signers is not None
    valid = drifts.is_valid(signed.extension, compared, now, verified=verified)
    if json_:
        said = signed_runs.of_drift(
            signed.extension, compared, str(path), valid=valid, verified=verified, exit_code=DRIFT[valid]
        )
        document.say(said)
    else:
        for line in summary.of_drift(signed.extension, compared, now, valid=valid, verified=verified):
            screen.say(line)
    raise typer.Exit(DRIFT[valid])


def _usual_signers() -> Path | None:
    """The list of signers that `verify` uses too, or None where there is none."""
    path = Path(os.path.expanduser(SIGNERS))
    return path if path.exists() else None


def _exit_refused(refused: "Refused", as_document: "Document | None") -> NoReturn:
    """Say why a signed file is not valid, and exit."""
    from dgxcert.cli.json_output import document

    if as_document is not None:
        document.say(as_document)
    else:
        screen.say(on_one_line(f"REFUSED: {refused}"))
    raise typer.Exit(Verify.REFUSED)


def _find_image(reference: str | None) -> "tuple[Image | None, str]":
    """The image of that name on this machine, and why it could not be checked."""
    from dgxcert.container import builder

    if reference is None:
        return None, ""
    try:
        return builder.find(reference), ""
    except CannotStart as error:
        return None, error.problem
