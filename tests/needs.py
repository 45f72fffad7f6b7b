"""What a test needs and this machine lacks: said loudly, and a failure where everything must be there."""

import os
from typing import NoReturn

import pytest


def missing(what: str, how: str) -> NoReturn:
    """Skip the test, or fail it where CI is set: a suite that leaves out its proofs must not look green there."""
    said = f"MISSING: {what}. {how}"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)
