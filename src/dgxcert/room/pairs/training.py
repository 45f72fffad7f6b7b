"""PAIR-TRAINING: what both ends trained together is what one device trains, with the same weights on both. Pure."""

from collections.abc import Iterator

from dgxcert.judgement.evidence import Evidence, Recorder
from dgxcert.outcome import Inconclusive, Outcome, Wrong
from dgxcert.record import proof
from dgxcert.room.pairs import collectives
from dgxcert.room.pairs.ends import End, Pair

SHOWN = 3


def judge(evidence: Recorder, pair: Pair) -> None:
    """Record and compare all of it. Raises Wrong and Inconclusive."""
    collectives.answers(pair)
    trained = [(end, end.work.training) for end in pair.ends if end.work and end.work.training]
    if len(trained) < len(pair.ends):
        collectives.require_ended(pair)
        raise Inconclusive("they did not train together")
    for end, training in trained:
        _taken(evidence, end, training.compared)
        if training.wrong and not evidence.violated:
            raise Wrong(f"{end.name} says that what was trained is wrong, and not what of it")
    _weights(evidence, pair)
    collectives.require_ended(pair)


def _taken(evidence: Recorder, end: End, compared: tuple[Evidence, ...]) -> None:
    """Take over what an end has compared, once it has been compared again: both ends know the same.

    Raises Inconclusive where it contradicts itself, or compared nothing.
    """
    doubts = proof.doubts(Outcome.INCONCLUSIVE, compared, None)
    if not any(item.held_against for item in compared):
        doubts.append("nothing was compared")
    if doubts:
        raise Inconclusive(f"what {end.name} says of the training proves nothing: {'; '.join(doubts[:SHOWN])}")
    known = {item.name for item in evidence.kept}
    for item in compared:
        if item.name not in known or item.violated:
            evidence.kept.append(item.model_copy(update={"name": f"{item.name}, by {end.name}"} if known else {}))


def _weights(evidence: Recorder, pair: Pair) -> None:
    """Every tensor after the last step, by its digest."""
    differing = tuple(_differing(pair))
    first = pair.ends[0].work
    count = len(first.training.weights) if first and first.training else 0
    if not count:
        raise Inconclusive("no tensor was trained")
    source = ", ".join(differing[:SHOWN]) or f"digests of {count} tensors after the last step"
    differ = evidence.record("tensors that differ between both ends", len(differing), unit="tensor", source=source)
    _ = differ == 0


def _differing(pair: Pair) -> Iterator[str]:
    ours, theirs = (end.work.training.weights if end.work and end.work.training else {} for end in pair.ends)
    return (name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name))
