"""A child may say what happens to the requirement that it measures, in order, once; everything else is refused."""

import time
from typing import Any

import pytest
from suites import example

from dgxcert.machine import software
from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.runner.channel.admission import LONGEST_SAID, MOST_SAID, Admission, Refused

PROFILE = example.profile_for_any_suite()
SOFTWARE = journal.SoftwareRead(stage="native", software=software.read())


def admission(*keys: str) -> Admission:
    """The rules of child 1 of the native stage, which measures A and B."""
    return Admission("native", 1, keys or ("A", "B"), PROFILE, software=True)


def ended(key: str = "A", outcome: Outcome = Outcome.PASSED, **about: Any) -> journal.Finished:
    """An ending at once, by child 1."""
    return example.finished(key, outcome, **({"child": 1} | about)).model_copy(update={"duration_s": 0.0})


def admitted(*events: journal.Event) -> list[journal.Event]:
    """All of these events, admitted."""
    rules = admission()
    return [rules.admit(event.model_dump_json().encode()) for event in events]


def test_what_a_child_measures_is_admitted_with_the_time_of_its_supervisor() -> None:
    said = [SOFTWARE, example.started("A"), journal.Said(key="A", text="1 of 2"), ended(), example.started("B")]
    events = admitted(*said)
    assert [type(event) for event in events] == [type(event) for event in said]
    assert all(event.at > example.AT for event in events)
    finished = events[3]
    assert isinstance(finished, journal.Finished)
    assert finished.outcome is Outcome.PASSED, finished.reason
    assert finished.watched_s is not None


STARTED = (example.started("A"),)
DONE = (example.started("A"), ended())
REFUSED = {
    "an ending before its start": (ended(),),
    "the ending of another": (*STARTED, ended("B")),
    "a second ending": (*DONE, ended()),
    "a second start": (*DONE, example.started("A")),
    "a start within another": (*STARTED, example.started("B")),
    "a start of what is not planned": (example.started("C"),),
    "a start in another stage": (example.started("A").model_copy(update={"stage": "host"}),),
    "a start by another child": (example.started("A", child=2),),
    "an ending by another child": (*STARTED, ended(child=2)),
    "an ending by nobody": (*STARTED, ended(child=None)),
    "that it was never run": (*STARTED, ended(outcome=Outcome.NOT_RUN)),
    "that it is not applicable": (*STARTED, ended(outcome=Outcome.NOT_APPLICABLE)),
    "a time of the supervisor": (*STARTED, ended(watched_s=1.0)),
    "a failure to be repeated": (*STARTED, ended(outcome=Outcome.FAILED, repeats=1)),
    "a pass that the work decides": (*STARTED, ended(after_work=True)),
    "many repeats": (*STARTED, ended(outcome=Outcome.INCONCLUSIVE, repeats=99)),
    "words about another": (*STARTED, journal.Said(key="B", text="x")),
    "words about nothing": (journal.Said(key="A", text="x"),),
    "a book": (*STARTED, journal.Said(key="A", text="x" * (LONGEST_SAID + 1))),
    "software twice": (SOFTWARE, SOFTWARE),
    "software of another stage": (SOFTWARE.model_copy(update={"stage": "host"}),),
    "a stop of another": (*STARTED, journal.Stopped(key="B", reason="x")),
    "anything after a stop": (*STARTED, journal.Stopped(key="A", reason="x"), ended()),
    "a run": (example.opened(example.planned("A")),),
    "a process": (journal.ChildStarted(stage="native", number=9, pid=1, log="x"),),
    "an image": (example.image_ready(),),
    "the end of a stage": (journal.StageEnded(stage="native"),),
    "a resumed run": (journal.Resumed(rebooted=False),),
    "an interruption": (journal.Interrupted(by="the user"),),
    "a refusal": (journal.Refused(stage="native", child=1, said="", why=""),),
}


@pytest.mark.parametrize("said", REFUSED.values(), ids=REFUSED)
def test_a_child_may_not_say(said: tuple[journal.Event, ...]) -> None:
    rules = admission()
    for event in said[:-1]:
        rules.admit(event.model_dump_json().encode())
    with pytest.raises(Refused):
        rules.admit(said[-1].model_dump_json().encode())


@pytest.mark.parametrize(
    "message",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"event":"finished"}', b"[" * 100_000, b'{"event":"said","key":"\\ud800"}'],
)
def test_what_is_no_event_is_refused(message: bytes) -> None:
    with pytest.raises(Refused, match="no event of a record"):
        admission().admit(message)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_a_number_that_no_instrument_reads_is_no_event(number: str) -> None:
    rules = admission()
    rules.admit(example.started("A").model_dump_json().encode())
    for name in ('"value":1.0', '"measured":1.0', '"duration_s":0.0'):
        message = ended().model_dump_json()
        assert name in message
        with pytest.raises(Refused, match="no event of a record"):
            rules.admit(message.replace(name, f"{name.partition(':')[0]}:{number}").encode())


def test_messages_for_the_user_are_limited() -> None:
    rules = admission()
    rules.admit(example.started("A").model_dump_json().encode())
    said = journal.Said(key="A", text="x").model_dump_json().encode()
    for _ in range(MOST_SAID):
        rules.admit(said)
    with pytest.raises(Refused, match="more than 10000 messages"):
        rules.admit(said)


DOUBTED = {
    "without evidence": (ended(evidence=()), "passed and nothing was compared"),
    "with what was not compared": (ended(evidence=(example.MEASURED,)), "passed and nothing was compared"),
    "beside a limit that it misses": (ended(evidence=(example.short_of(13.0),)), "passed with decode 9.8 >= 13.0"),
    "of a long measurement at once": (
        ended().model_copy(update={"duration_s": 600.0}),
        "it says that it took 600.0 s, and its supervisor saw 0.0 s",
    ),
}


@pytest.mark.parametrize(("ending", "why"), DOUBTED.values(), ids=DOUBTED)
def test_a_pass_that_proves_nothing_is_inconclusive(ending: journal.Finished, why: str) -> None:
    (_, found) = admitted(example.started("A"), ending)
    assert isinstance(found, journal.Finished)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert why in found.reason
    assert found.remedy


@pytest.mark.parametrize(("forgiven_s", "outcome"), [(0.0, Outcome.INCONCLUSIVE), (60.0, Outcome.PASSED)])
def test_time_in_which_the_supervisor_was_stopped_is_no_contradiction(
    forgiven_s: float, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Z stops the supervisor and not the child, whose message waits."""
    clock = iter([100.0, 160.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    rules = admission()
    rules.admit(example.started("A").model_dump_json().encode())
    rules.forgive(forgiven_s)
    event = rules.admit(ended().model_dump_json().encode())
    assert isinstance(event, journal.Finished)
    assert (event.outcome, event.watched_s) == (outcome, 60.0)
