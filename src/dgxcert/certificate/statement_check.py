"""What a statement says that cannot be: valid signatures do not make it true. Pure."""

from collections import Counter
from datetime import datetime, timedelta

from dgxcert.certificate import bounds, evidence_files
from dgxcert.certificate.statement import CERTIFICATE, Statement, combined_digest, end_of
from dgxcert.judgement.verdict import Verdict
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import clock, journal
from dgxcert.record import run as runs

FAILING = (Verdict.REJECTED, Verdict.INCONCLUSIVE)


def problem(statement: Statement) -> str:
    """How a statement contradicts itself, or that it covers no run; "" where it does not."""
    return _wrong_names(statement) or _contradiction(statement) or _wrong_dates(statement) or _wrong_results(statement)


def in_future(statement: Statement, now: datetime) -> str:
    """That a statement was issued after `now`, the time on this machine; "" where it was not."""
    issued = statement.extension.issued
    if issued <= now + bounds.CLOCK:
        return ""
    tolerance = f"{bounds.CLOCK.total_seconds() / 60:.0f} minutes"
    return (
        f"it was issued on {clock.minute(issued)}, in the future: here it is {clock.minute(now)}, and clocks may be "
        f"{tolerance} apart"
    )


def _wrong_names(statement: Statement) -> str:
    """A file that a statement must not name, or names twice."""
    names = Counter(subject.name for subject in statement.subject)
    folded = Counter(evidence_files.folded(name) for name in names)
    for name, times in names.items():
        shown = evidence_files.shown([name])
        if problem := evidence_files.name_problem(name):
            return f"it covers {shown}, and {problem}"
        if times > 1:
            return f"it covers {shown} {times} times"
        if folded[evidence_files.folded(name)] > 1:
            return f"it covers {shown} and another file whose name differs only in case"
    return ""


def _contradiction(statement: Statement) -> str:
    signed = statement.extension
    digests_of = {subject.name: subject.digest.get("sha256", "") for subject in statement.subject}
    uncovered = [name for name in (runs.NAME, journal.NAME) if name not in digests_of]
    if (signed.kind == CERTIFICATE) != (signed.verdict is Verdict.CERTIFIED):
        return f"it claims to be a {signed.kind}, but the verdict of its run is {signed.verdict.value}"
    if uncovered:
        return f"it does not cover {' and '.join(uncovered)}"
    if combined_digest(digests_of) != signed.evidence_sha256:
        return "its evidence digest does not match the files that it names"
    return ""


def _wrong_dates(statement: Statement) -> str:
    signed = statement.extension
    if signed.measured > signed.issued + bounds.CLOCK:
        return f"it was issued on {clock.minute(signed.issued)} about a run of {clock.minute(signed.measured)}"
    if not signed.measured < signed.expires <= signed.measured + timedelta(days=bounds.MOST_DAYS):
        dates = f"it expires on {clock.minute(signed.expires)}, and was measured on {clock.minute(signed.measured)}"
        return f"{dates}: wanted up to {bounds.MOST_DAYS} days later"
    late = [waiver for waiver in signed.waivers if signed.expires > end_of(waiver)]
    return f"it is valid for longer than its waiver of {late[0].requirement}" if late else ""


def _wrong_results(statement: Statement) -> str:
    """How the lists of what passed and failed contradict counts and verdict."""
    signed, predicate = statement.extension, statement.predicate
    lists = {"passed": predicate.passed, "inconclusive": predicate.warned, "failed": predicate.failed}
    for name, keys in lists.items():
        if signed.counts.get(name) != len(keys):
            return f"it counts {signed.counts.get(name)} requirements as {name} and names {len(keys)}"
    other = [key for key in (*predicate.failed, *predicate.warned) if not _is_waived(key, signed.waivers)]
    if signed.kind == CERTIFICATE and (other or not predicate.passed):
        return f"it claims to be a certificate, and {', '.join(other[:3]) or 'everything'} did not pass"
    if signed.verdict is Verdict.REJECTED and not predicate.failed:
        return "the verdict of its run is REJECTED, and nothing failed"
    whole = signed.verdict is Verdict.CERTIFIED and not signed.waivers
    wanted = "FAILED" if signed.verdict in FAILING else "PASSED" if whole else "WARNED"
    return "" if predicate.result == wanted else f"its result is {predicate.result}, and it must be {wanted}"


def _is_waived(key: str, waivers: tuple[Waiver, ...]) -> bool:
    return runs.waiver_for(key, key.partition("[")[0], waivers) is not None
