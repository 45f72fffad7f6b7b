"""A refusal: what makes a signed file invalid, as a sentence of its own, and what to do about it."""

from dgxcert.outcome import DgxcertError

FROM_THE_SIGNER = "Get the whole run folder from the signer again."
BY_SIGN = "Ask for a signature by `dgxcert sign`."


class Refused(DgxcertError):  # noqa: N818 (reads as `raise Refused`)
    """A signed file is not valid; `problem` says why, `remedy` what to do.

    >>> raise Refused("its result is WARNED, and it must be PASSED", BY_SIGN)
    Traceback (most recent call last):
    dgxcert.certificate.refusal.Refused: its result is WARNED, and it must be PASSED. Ask for a signature by ...
    """
