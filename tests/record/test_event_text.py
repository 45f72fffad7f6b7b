"""What is written of an event is that event, whatever the passwords of this machine are."""

import json
from collections.abc import Iterator

import pytest
from suites import example

from dgxcert.record import event_text, journal
from dgxcert.redaction import values

EVENTS = (
    example.opened(example.planned("A")),
    example.started("A"),
    example.finished("A"),
    journal.StageEnded(stage="native"),
    journal.Interrupted(by="the user"),
)


@pytest.fixture(autouse=True)
def read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "REREAD_S", 0.0)


def names(value: object) -> Iterator[str]:
    """The names of all members, which a redaction must not take away."""
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from names(each)
    if isinstance(value, dict):
        yield from value


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_a_password_that_is_a_word_of_the_record_loses_no_event(
    event: journal.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = event.model_dump(mode="json")
    some = [name for name in sorted({*names(plain)}) if len(name) >= values.SHORTEST_PLAIN][:: max(1, len(plain))]
    for word in (*some, event.event, "interrupted", "finished", "Evidence", "measured"):  # type: ignore[attr-defined]
        monkeypatch.setenv("DB_PASSWORD", word)
        assert journal.parse(event_text.redacted(event)) is not None, word


def test_any_other_password_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "x7Qm2kLp")
    text = event_text.redacted(example.finished("A", reason="no access with x7Qm2kLp"))
    assert json.loads(text)["reason"] == "no access with [secret]"
