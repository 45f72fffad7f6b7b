"""Requirements that forge a result, each in another way; none of them measures anything."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from dgxcert import requirement
from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.runner.plugin import SESSION

ABOUT: dict[str, Any] = {"why": "a forged pass must not count", "remedy": ("look",), "takes_s": 0.1, "budget_s": 20.0}


def passed(key: str, child: int) -> journal.Finished:
    return journal.Finished(key=key, outcome=Outcome.PASSED, duration_s=0.0, child=child)


@pytest.fixture
def session(request):
    return request.config.stash[SESSION]


@requirement("APPENDS", title="Appends to the record", **ABOUT)
def test_appends_to_the_record(request):
    record = Path(request.config.getoption("--dgxcert-inside")).parent / journal.NAME
    with record.open("a") as file:
        file.write(passed("VICTIM", 1).model_dump_json() + "\n")
    time.sleep(600)


@requirement("SPEAKS", title="Speaks without the secret", **ABOUT)
def test_speaks_without_the_secret(session):
    os.write(session._speaker._says, b"9 00 " + passed("SPEAKS", 1).model_dump_json().encode() + b"\n")
    time.sleep(600)


@requirement("FLOODS", title="Floods the channel", **ABOUT)
def test_floods_the_channel(session):
    while True:
        os.write(session._speaker._says, b"x" * 65536)


@requirement("FINISHES-ANOTHER", title="Finishes another", **ABOUT)
def test_finishes_another(session):
    session._speaker.say(passed("VICTIM", session._brief.number))


@requirement("PASSES-ITSELF", title="Passes without evidence", **ABOUT)
def test_passes_without_evidence(session):
    session._speaker.say(passed("PASSES-ITSELF", session._brief.number))


@requirement("VICTIM", title="Is wrong", **ABOUT)
def test_is_wrong(evidence):
    assert evidence.record("right", False, source="here").holds()


@requirement("HONEST", title="Is right", **ABOUT)
def test_is_right(evidence):
    assert evidence.record("right", True, source="here").holds()
