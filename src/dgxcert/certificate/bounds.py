"""Bounds of what is read about a signed run: sizes, numbers, lengths and times. What exceeds one is refused by name."""

from datetime import UTC, datetime

from dgxcert.record import clock, journal
from dgxcert.record import run as runs

KIB, MIB = 1024, 1024**2

STATEMENT_BYTES = 4 * MIB
"""certificate.json: that of a run with 126 requirements has 40 kB."""
SIGNATURE_BYTES = 64 * KIB
"""certificate.json.sig: one by an RSA key of 16,384 bits within an SSH certificate has 12 kB."""
SIGNERS_BYTES = 4 * MIB
"""allowed_signers: 20,000 lines of 200 bytes."""
REVOKED_BYTES = 16 * MIB
"""Revoked keys, or a key revocation list."""
RUN_BYTES = runs.AT_MOST
"""run.json."""
RECORD_BYTES = journal.AT_MOST
"""The record: a line of a requirement with traces has up to 100 kB."""
EVIDENCE_BYTES = 4096 * MIB
"""Any other file of a run folder, which is only hashed: 2 s per GiB."""

FILES = 20_000
"""Files of a run folder, and subjects of a statement."""
DEPTH = 16
"""Folders within folders; a statement of `dgxcert sign` nests 7 deep."""
LINE_CHARS = 32 * KIB
"""A line of allowed_signers or of revoked keys; an RSA key of 16,384 bits takes 3 kB."""
PATTERNS = 256
"""Principals of one line, and of an SSH certificate, as OpenSSH's SSHKEY_CERT_MAX_PRINCIPALS."""
LINES_OF_A_KEY = 50
"""Lines of allowed_signers with one key: each is put to ssh-keygen."""

NAME_CHARS = 255
"""A name of a file, machine, run, profile or requirement: NAME_MAX of Linux, which a host name fits into too."""
TEXT_CHARS = 2000
"""Any other text of a statement: a waiver's reason has up to 500."""
DIGITS = 18
"""Digits of a whole number."""

SUITE_BEGAN = datetime(2026, 11, 23, tzinfo=UTC)
"""The day before the first commit of dgxcert: nothing was measured or signed by it before."""
LAST_YEAR = 2200
"""Years of a date, lest arithmetic with it leaves the calendar."""
MOST_DAYS = 3650
"""The longest validity that `dgxcert sign` gives, counted from the first measurement."""
CLOCK = clock.TOLERANCE
"""How far the clocks of two machines may be apart: the measuring one, the signing one and this one."""
