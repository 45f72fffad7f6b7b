"""What is known of every host of a room: folded from `events.jsonl`, one event at a time. Nothing here does I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dgxcert.record.room.word import Word

LONGEST = {"said": 2000, "answers": 16_384}
"""Characters that are kept of what a host said: last, and when it was asked who it is."""


class Stage(StrEnum):
    """Where a host is on its way, by the verb that the table shows."""

    WAITS = "waits"
    ANSWERS = "answers"
    DELIVERS = "delivers"
    BEGINS = "begins"
    WORKS = "works"
    PACKS = "packs"
    FETCHES = "fetches"
    STOPS = "stops"
    CLEANS = "cleans"
    ENDED = "ended"


class Ending(StrEnum):
    """How a validation ended on its host, as the host says it."""

    ENDED = "ended"
    """By itself, with an exit code."""
    DIED = "died"
    """It is gone, and left no exit code."""
    STOPPED = "stopped"
    """Somebody stopped it."""


Kind = Literal["stage", "begun", "seen", "lost", "exit", "fetched", "word", "said"]


class RoomEvent(BaseModel):
    """A line of events.jsonl: one thing that the controller learned of a host, or decided about it.

    | kind | means |
    | --- | --- |
    | `stage` | it begins a stage of its way |
    | `begun` | its validation works now, begun by this call or by an earlier one |
    | `seen` | a look at its validation |
    | `lost` | it could not be reached; `said` is why |
    | `exit` | its validation has ended, in which way and with which exit code |
    | `fetched` | its run folder is here |
    | `word` | how it ended |
    | `said` | anything else worth to be known later |
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # a newer controller may have written more

    at: str
    """ISO 8601, by the controller's clock."""
    host: str
    kind: Kind
    stage: Stage | None = None
    done: int = 0
    total: int = 0
    current: str | None = None
    left_s: float | None = None
    ending: Ending | None = None
    exit: int | None = None
    run: str | None = None
    """The run folder, by its name; "" where the host had none."""
    word: Word | None = None
    said: str = ""
    remedy: tuple[str, ...] = ()
    identity: dict[str, str] = {}
    """What no two machines share, as the host said it when it answered."""
    answers: str = ""
    """All that it said then: the plays of a later call need to know its Python."""


@dataclass(frozen=True)
class HostState:
    """One host as it is known now.

    >>> host = HostState("spark-01")
    >>> advanced(host, RoomEvent(at="2026-12-01T02:00:00+00:00", host="spark-01", kind="seen", done=5, total=41)).done
    5
    """

    name: str
    stage: Stage = Stage.WAITS
    at: str = ""
    """When it was heard of last."""
    begun: bool = False
    """Whether a validation of this room may work there, or has left something there."""
    done: int = 0
    total: int = 0
    current: str | None = None
    left_s: float | None = None
    lost: int = 0
    """How often in a row it could not be reached."""
    ending: Ending | None = None
    """How its validation ended; None while it works."""
    exit: int | None = None
    """The exit code of its validation, where that has ended by itself."""
    run: str | None = None
    """Its run folder; None where nothing was fetched, and "" where there was none to fetch."""
    word: Word | None = None
    said: str = ""
    remedy: tuple[str, ...] = ()
    identity: Mapping[str, str] = field(default_factory=dict)
    answers: str = field(default="", repr=False)
    """What it said when it was asked who it is."""

    @property
    def validated(self) -> bool:
        """Whether nothing is left to do with it: it ended with a verdict, and its run is here."""
        return self.word is Word.VALIDATED

    @property
    def under_way(self) -> bool:
        """Whether its validation may be working now, or has left something there that was not fetched."""
        return self.word is Word.UNDER_WAY or (self.begun and self.word is None)


def advanced(host: HostState, event: RoomEvent) -> HostState:
    """A host after one more event."""
    said = event.said[: LONGEST["said"]]
    working = Stage.STOPS if host.stage is Stage.STOPS else Stage.WORKS
    host = replace(host, at=event.at, lost=host.lost if event.kind in ("lost", "stage", "word") else 0)
    match event.kind:
        case "stage":
            return replace(host, stage=event.stage or host.stage, word=None, remedy=())
        case "begun":
            return replace(host, stage=working, begun=True, ending=None, exit=None)
        case "seen":
            seen = {"done": event.done, "total": event.total, "current": event.current, "left_s": event.left_s}
            return replace(host, stage=working, begun=True, said=said, **seen)  # type: ignore[arg-type]
        case "lost":
            return replace(host, lost=host.lost + 1, said=said)
        case "exit":
            return replace(host, ending=event.ending, exit=event.exit, current=None, left_s=None, said=said)
        case "fetched":
            return replace(host, run=event.run)
        case "word":
            stage = Stage.WORKS if event.word is Word.UNDER_WAY else Stage.ENDED
            return replace(host, stage=stage, word=event.word, said=said, remedy=event.remedy, current=None)
        case "said":
            known = {"identity": event.identity or host.identity, "answers": event.answers or host.answers}
            return replace(host, said=said, **known)  # type: ignore[arg-type]


def fold(events: Iterable[RoomEvent], names: Iterable[str]) -> dict[str, HostState]:
    """The hosts of the inventory as all events leave them, in its order; one without an event waits.

    Events of hosts that are no more in the inventory are skipped.
    """
    hosts = {name: HostState(name) for name in names}
    for event in events:
        if event.host in hosts:
            hosts[event.host] = advanced(hosts[event.host], event)
    return hosts
