"""A child that lies to its supervisor: whatever it says, no pass is recorded that was not measured."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from attacks.attack import Attack, Harm, Try
from suites import example

from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.runner.channel.admission import Admission, Refused
from dgxcert.runner.channel.listener import Listener, Unfit
from dgxcert.runner.channel.seal import LONGEST, TO_SUPERVISOR, Seal, new_secret
from dgxcert.runner.channel.speaker import READY

KEYS = ("A", "B")
PROFILE = example.profile_for_any_suite()
HANG_S = 5.0
LIMIT_S = 30.0
"""Within which a real child must have ended; its start alone takes a second, and many on a busy machine."""
PASS = example.finished("A", child=1).model_copy(update={"duration_s": 0.0})
START = example.started("A")


class Peer(NamedTuple):
    """The child's ends of the pipes of a listener, and what it was told."""

    hears: int
    says: int
    secret: str
    seal: Seal

    def write(self, content: bytes) -> None:
        """Write what the pipe takes at once."""
        try:
            os.write(self.says, content)
        except BlockingIOError:
            return

    def sealed(self, *events: journal.Event) -> bytes:
        """Events as the lines that an honest child would say."""
        return b"".join(self.seal.sealed(event.model_dump_json().encode()) for event in events)


class Heard(NamedTuple):
    """What a supervisor would have recorded, and why it stopped listening."""

    events: list[journal.Event]
    refused: str

    @property
    def passed(self) -> list[str]:
        """The keys that passed."""
        ended = (event for event in self.events if isinstance(event, journal.Finished))
        return [event.key for event in ended if event.outcome is Outcome.PASSED]


Lie = Callable[[Peer, random.Random], None]
"""What a peer does after it is ready."""


def _listen(lie: Lie, chance: random.Random, *, ready: bool = True) -> Heard:
    """Hear a peer as `Supervisor` does, until it has nothing more to say or is refused."""
    (hears, to), (from_, says) = os.pipe(), os.pipe()
    with os.fdopen(to, "wb", 0) as writing, os.fdopen(from_, "rb", 0) as reading:
        listener = Listener(writing, reading, BytesIO())
        listener.hand({})
        secret = json.loads(os.read(hears, 1 << 16))["secret"]
        os.set_blocking(says, False)
        peer = Peer(hears, says, secret, Seal(secret, TO_SUPERVISOR))
        if ready:
            peer.write(peer.seal.sealed(READY))
        try:
            return _hear(listener, peer, lie, chance)
        finally:
            os.close(hears)
            os.close(says)


def _hear(listener: Listener, peer: Peer, lie: Lie, chance: random.Random) -> Heard:
    rules = Admission("native", 1, KEYS, PROFILE, software=True)
    events: list[journal.Event] = []
    try:
        listener.hear(0)
        lie(peer, chance)
        while messages := listener.hear(0):
            for message in messages:
                events.append(rules.admit(message))
                listener.acknowledge()
    except (Unfit, Refused) as error:
        return Heard(events, str(error) or "refused")
    return Heard(events, "")


def _says(*events: journal.Event) -> Lie:
    return lambda peer, _: peer.write(peer.sealed(*events))


def _raw(content: Callable[[Peer, random.Random], bytes]) -> Lie:
    return lambda peer, chance: peer.write(content(peer, chance))


def _with(old: str, new: str) -> Lie:
    """A pass whose message was changed before it was sealed, as by a child that knows its secret."""
    message = PASS.model_dump_json()
    if old not in message:
        raise ValueError(old)
    forged = message.replace(old, new).encode()
    return lambda peer, _: peer.write(peer.sealed(START) + peer.seal.sealed(forged))


def _unsealed(*events: journal.Event) -> bytes:
    return b"".join(event.model_dump_json().encode() + b"\n" for event in events)


def _of_another(_: Peer, __: random.Random) -> bytes:
    seal = Seal(new_secret(), TO_SUPERVISOR)
    seal.sealed(READY)
    return seal.sealed(START.model_dump_json().encode()) + seal.sealed(PASS.model_dump_json().encode())


def _skipped(peer: Peer, _: random.Random) -> bytes:
    peer.sealed(START)
    return peer.sealed(PASS)


def _reordered(peer: Peer, _: random.Random) -> bytes:
    first, second = peer.sealed(START), peer.sealed(PASS)
    return second + first


def _replayed(peer: Peer, _: random.Random) -> bytes:
    return Seal(peer.secret, TO_SUPERVISOR).sealed(READY) + peer.sealed(START, PASS)


def _flipped(peer: Peer, chance: random.Random) -> bytes:
    lines = bytearray(peer.sealed(START, PASS))
    lines[chance.randrange(len(lines) - 1)] ^= 1 << chance.randrange(8)
    return bytes(lines)


def _cut(peer: Peer, chance: random.Random) -> bytes:
    lines = peer.sealed(START, PASS)
    return lines[: chance.randrange(len(lines) - 1)]


def _garbage(_: Peer, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 60_000)) + b"\n"


def _numbers(_: Peer, chance: random.Random) -> bytes:
    number = chance.choice(["0", "-1", "2", "9" * 30, "1e3", "\u0663", "", " 2", "2.0"])
    return f"{number} {'0' * 64} ".encode() + PASS.model_dump_json().encode() + b"\n"


def _pass(**about: object) -> journal.Finished:
    return PASS.model_copy(update=about)


def _held(**about: object) -> tuple[object, ...]:
    comparison = example.HELD.held_against[0].model_copy(update=about)
    return (example.HELD.model_copy(update={"held_against": [comparison]}),)


LIES: dict[str, Lie] = {
    "no secret": _raw(lambda _, __: _unsealed(START, PASS)),
    "another secret": _raw(_of_another),
    "a number left out": _raw(_skipped),
    "two messages in the wrong order": _raw(_reordered),
    "ready once more": _raw(_replayed),
    "a flipped bit": _raw(_flipped),
    "half of it": _raw(_cut),
    "garbage": _raw(_garbage),
    "odd numbers": _raw(_numbers),
    "an ending without a start": _says(PASS),
    "an ending for another": _says(START, _pass(key="B")),
    "an ending for what is not planned": _says(START, _pass(key="C")),
    "an ending by another child": _says(START, _pass(child=2)),
    "a start in another stage": _says(START.model_copy(update={"stage": "host"}), PASS),
    "a start of what is not planned": _says(example.started("C"), _pass(key="C")),
    "no evidence": _says(START, _pass(evidence=())),
    "nothing compared": _says(START, _pass(evidence=(example.MEASURED,))),
    "a limit that it misses": _says(START, _pass(evidence=(example.short_of(13.0),))),
    "another value than was measured": _says(START, _pass(evidence=_held(measured=2.0))),
    "a comparison that does not hold": _says(START, _pass(evidence=_held(value=2.0))),
    "hours in a moment": _says(START, _pass(duration_s=7200.0)),
    "a time of the supervisor": _says(START, _pass(watched_s=0.0)),
    "a pass to be repeated": _says(START, _pass(repeats=1)),
    **{
        f"{number[:12]} for {name}": _with(f'"{name}":{was}', f'"{name}":{number}')
        for number in ("NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400, "[" * 5000, '"\\ud800"')
        for name, was in {"value": "1.0", "measured": "1.0", "duration_s": "0.0"}.items()
    },
    "a book as its source": _with('"source":"here"', f'"source":"{"x" * 50_000}","extra":1'),
    "a key twice": _with('"outcome":"passed"', '"outcome":"failed","outcome":"passed","outcome":"not_run"'),
}
"""By name: what would record a pass that was not measured."""


def _pass_once(events: list[journal.Event]) -> Lie:
    """The honest child, which shows that the peer of this attack is heard at all; then more of the same."""
    return _says(START, PASS, *events)


AFTERWARDS: dict[str, Lie] = {
    "nothing more": _pass_once([]),
    "a second pass": _pass_once([PASS]),
    "a failure": _pass_once([_pass(outcome=Outcome.FAILED)]),
    "a second start": _pass_once([START, PASS]),
    "a pass of another": _pass_once([_pass(key="B")]),
    "anything after a stop": _pass_once([example.started("B"), journal.Stopped(key="B", reason="x"), _pass(key="B")]),
}
"""By name: what is said after one pass that was measured, and that alone counts."""


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Lies in this process, at random where there is something to choose; then floods, and children of their own."""
    chance = random.Random(seed)
    for number in range(2 if quick else 100):
        for name, lie in LIES.items():
            yield _try(f"{name} {number}", lie, chance, passes=0)
        for name, lie in AFTERWARDS.items():
            yield _try(f"after a pass: {name} {number}", lie, chance, passes=1)
    for name, byte in {"a flood": b"x", "a flood of digits": b"1", "a flood of spaces": b" "}.items():
        for ready in (True, False):
            yield _flood(f"{name}, {'' if ready else 'not '}ready", byte, ready=ready)
    chosen = list(CHILDREN.items())[: 2 if quick else None]
    yield from (_child(name, program, folder) for name, program in chosen for _ in range(1 if quick else 3))
    if not quick:
        yield from _left_alone(folder)


def _try(name: str, lie: Lie, chance: random.Random, *, passes: int) -> Try:
    began = time.monotonic()
    try:
        heard = _listen(lie, chance)
    except Exception as error:
        return Try(name, Harm.TRACEBACK, f"{type(error).__name__}: {error}")
    if len(heard.passed) != passes or not set(heard.passed) <= {"A"}:
        return Try(name, Harm.WRONG, f"passed: {heard.passed}; {heard.refused}")
    return Try(name, Harm.HANG if time.monotonic() - began > HANG_S else None)


def _flood(name: str, byte: bytes, *, ready: bool) -> Try:
    """Write without end and without a line: it must be refused after one line of the longest."""
    (hears, to), (from_, says) = os.pipe(), os.pipe()
    written, deadline = 0, time.monotonic() + HANG_S
    with os.fdopen(to, "wb", 0) as writing, os.fdopen(from_, "rb", 0) as reading:
        listener = Listener(writing, reading, BytesIO())
        listener.hand({})
        secret = json.loads(os.read(hears, 1 << 16))["secret"]
        os.set_blocking(says, False)
        try:
            if ready:
                os.write(says, Seal(secret, TO_SUPERVISOR).sealed(READY))
                listener.hear(0)
            while time.monotonic() < deadline:
                written += os.write(says, byte * 65536)
                listener.hear(0)
        except Unfit:
            return Try(name, Harm.WRONG, f"{written} bytes were kept") if written > 2 * LONGEST else Try(name)
        finally:
            os.close(hears)
            os.close(says)
    return Try(name, Harm.HANG, f"{written} bytes were taken")


TAKES_OVER = """
import os, subprocess, sys, time
from dgxcert.record.journal import Finished
from dgxcert.outcome import Outcome
from dgxcert.runner.channel import speaker
begin, content = speaker.take_over()
mouth = begin()
forged = Finished(key="A", outcome=Outcome.PASSED, duration_s=0.0, child=1)
"""
COUNTS_PIPES = """
import os, sys
links = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)]
sys.exit(sum(link.startswith("pipe:") for link in links))
"""
CHILDREN = {
    "a program that looks for the channel": f"""{TAKES_OVER}
sys.exit(subprocess.run([sys.executable, "-S", "-c", {COUNTS_PIPES!r}], close_fds=False).returncode)
""",
    "a fork that speaks": f"""{TAKES_OVER}
if os.fork() == 0:
    try:
        mouth.say(forged)
    except ProcessLookupError:
        os._exit(0)
    os._exit(9)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
""",
    "what is read and printed": f"""{TAKES_OVER}
print("9 00 " + forged.model_dump_json(), flush=True)
sys.exit(9 if sys.stdin.buffer.raw.read() else 0)
""",
    "half a message, and then the end": f"""{TAKES_OVER}
os.write(mouth._says, b"2 " + b"0" * 64 + forged.model_dump_json().encode()[:40])
os._exit(0)
""",
    "a secret that is left about": f"""{TAKES_OVER}
sys.exit("secret" in content)
""",
}
"""Programs of a child that has taken its channel over; each ends with 0 where it found no way past it."""
WAITS = f"{TAKES_OVER}time.sleep(600)"


def _child(name: str, program: str, folder: Path) -> Try:
    """Start a real child, and hear all that it says; it must say nothing but that it is ready, and end by itself."""
    with (folder / "log").open("w+b") as log, _started(program, subprocess.PIPE, log) as process:
        listener = Listener(process.stdin, process.stdout, log)
        listener.hand({})
        leaked = listener._secret.encode() in b"".join(
            Path(f"/proc/{process.pid}/{place}").read_bytes() for place in ("environ", "cmdline")
        )
        deadline, said = time.monotonic() + LIMIT_S, ""
        try:
            while process.poll() is None and time.monotonic() < deadline:
                said += str(listener.hear(0.05) or "")
        except Unfit as error:
            said = str(error)
        hung = process.poll() is None
        process.kill()
        listener.close()
    if hung or leaked:
        return Try(name, Harm.LEAK if leaked else Harm.HANG)
    if said or process.returncode:
        shown = (folder / "log").read_text(errors="replace")[-500:]
        return Try(name, Harm.WRONG, f"exit code {process.returncode}; {said}{shown}")
    return Try(name)


def _started(program: str, stdin: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-c", program]
    return subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, stderr=log, start_new_session=True)


def _left_alone(folder: Path) -> Iterator[Try]:
    """A child that nobody hands anything, and one whose supervisor goes away: both must end at once."""
    for name, stdin in {"nobody speaks to it": subprocess.DEVNULL, "its supervisor is gone": subprocess.PIPE}.items():
        with (folder / "log").open("w+b") as log, _started(WAITS, stdin, log) as process:
            if process.stdin is not None:
                listener = Listener(process.stdin, process.stdout, log)
                listener.hand({})
                listener.close()
            try:
                ended = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                yield Try(name, Harm.HANG)
            else:
                yield Try(name, None if ended else Harm.WRONG, f"exit code {ended}")
            finally:
                process.kill()


ATTACK = Attack("channel", "children that lie, repeat, flood, fork or speak for others to their supervisor", tries)
