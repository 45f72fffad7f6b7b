"""Ending: which rank is to blame where work of several ranks did not end well, and how that is told.

A rank that dies or hangs takes the others with it: their errors and their waiting are consequences. So who died without
a word comes first, then who is behind the others, then whose error came first.
"""

import json
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dgxcert.machine import cuda_errors
from dgxcert.outcome import DgxcertError, Inconclusive, Wrong
from dgxcert.workloads.distributed.phase import Phase
from dgxcert.workloads.distributed.rank import Rank

WAITS = re.compile(r"torch/(?:distributed|cuda)/|/subprocess\.py|/threading\.py")
"""Files of the innermost frame of a rank that waits: for the others, or for what its GPU does with them."""
ENDED = -signal.SIGTERM
"""The exit code of a rank that torch's launcher has ended because another one had died or met an error."""
SHOWN_LINES, SHOWN = 4, 600
"""How much of the end of what a rank printed is quoted: lines, and characters."""
CONSEQUENCE = re.compile(
    r"[Cc]onnection (?:closed|reset|refused)|Broken pipe|remote process exited|NCCL|DistBackendError|DistNetworkError"
    r"|Socket|socket|[Tt]imed out|recvValue failed|gloo"
)
"""What a rank says whose error another one has caused."""
LOOK = "Read what the ranks printed: the newest log in the run folder, and `sudo dmesg | tail -50` for the driver."
AGAIN = "Run it again; where the same one is named, reset the GPUs or restart the machine: sudo reboot"


@dataclass(frozen=True)
class Left:
    """What one rank left behind."""

    rank: Rank
    phases: tuple[Phase, ...] = ()
    answer: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    """None where it ended with 0 or was ended with the others."""
    printed: str = ""
    stack: str = ""
    nccl: str = ""

    @property
    def phase(self) -> str:
        """What it was last at."""
        return self.phases[-1].name if self.phases else "not started"

    @property
    def waits(self) -> bool:
        """Whether its Python code is where a rank waits for others; also where nothing is known about it."""
        frames = [line for line in self.stack.splitlines() if line.startswith("  File")]
        return not frames or WAITS.search(frames[0]) is not None

    @property
    def place(self) -> str:
        """The innermost frame of its Python code, or ""."""
        frames = [line.strip() for line in self.stack.splitlines() if line.startswith("  File")]
        found = re.match(r'File "(?:.*/)?([^"]+)", line (\d+) in (.+)', frames[0]) if frames else None
        return f"{found[1]}:{found[2]} in {found[3]}" if found else ""

    @property
    def quoted(self) -> str:
        """The end of what it printed, or of what NCCL warned of, as the end of a sentence."""
        warnings = [line for line in self.nccl.splitlines() if " NCCL WARN " in line]
        lines = [line.strip() for line in (warnings or self.printed.splitlines()) if line.strip()]
        end = " | ".join(lines[-SHOWN_LINES:])[-SHOWN:]
        return f". It printed: {end}" if end else ""


def judge(left: Sequence[Left], *, late_s: float | None, agent: str) -> DgxcertError | None:
    """The error by which work of several ranks ends, or None where every rank has returned.

    `late_s` is the limit in seconds where it is over; `agent` says how torch's launcher died, or "".
    """
    raised = [each for each in left if "raised" in each.answer]
    wrong = [each for each in raised if each.answer["raised"] == "Wrong"]
    if wrong:
        return _raised(min(wrong, key=_at))
    silent = _silent(left)
    by_itself = [each for each in silent if each.exit_code != ENDED]
    if by_itself:
        return _died(by_itself)
    if raised:
        return _raised(min(raised, key=lambda each: (_is_consequence(each), _at(each))))
    if late_s is not None:
        return _hung(left, late_s)
    if silent:
        return _died(silent)
    missing = [each for each in left if "returned" not in each.answer]
    if missing:
        how = f"; {agent}" if agent else ""
        return Inconclusive(f"{_names(missing)} ended without an answer, last at: {missing[0].phase}{how}", LOOK, AGAIN)
    return None


def _silent(left: Sequence[Left]) -> list[Left]:
    """The ranks that died without a word: by their exit code, or missing when another one met an error."""
    gone = {index for each in left for index in each.answer.get("gone", ())}
    return [
        each
        for each in left
        if not each.answer and (each.exit_code is not None or each.rank.index in gone) and each.phases
    ] or [each for each in left if not each.answer and each.exit_code is not None]


def _died(silent: Sequence[Left]) -> Inconclusive:
    first = silent[0]
    how = "ended" if first.exit_code is None else f"was killed by signal {-first.exit_code}"
    if first.exit_code is not None and first.exit_code >= 0:
        how = f"ended with exit code {first.exit_code}"
    return Inconclusive(f"{_names(silent)} {how}, last at: {first.phase}{first.quoted}", LOOK, AGAIN)


def _raised(rank: Left) -> DgxcertError:
    kind, problem = rank.answer["raised"], rank.answer["problem"]
    if kind in ("Wrong", "Inconclusive"):
        made = Wrong if kind == "Wrong" else Inconclusive
        return made(f"{rank.rank.name}: {problem}", *rank.answer.get("remedy", ()))
    known = cuda_errors.named_in(problem)
    first = problem.strip().splitlines()[0][:300] if problem.strip() else "no message"
    if known is not None:
        return Inconclusive(f"{rank.rank.name}: {known.says}, at: {rank.phase}", *map(str, known.remedy))
    warned = rank.quoted if rank.nccl else ""
    return Inconclusive(f"{rank.rank.name} met an error at: {rank.phase}: {kind}: {first}{warned}", LOOK, AGAIN)


def _hung(left: Sequence[Left], late_s: float) -> Inconclusive:
    """Name who is behind the others; where nobody is, who does not wait for them; else all."""
    least = min(len(each.phases) for each in left)
    behind = [each for each in left if len(each.phases) == least]
    busy = [each for each in behind if not each.waits]
    blamed = busy or behind
    others = [each for each in left if each not in blamed]
    first = blamed[0]
    where = f" ({first.place})" if first.place else ""
    waiting = f", while {_names(others)} waited at: {others[0].phase}" if others else ""
    told = f"{_names(blamed)} did not end within {late_s:.0f} s, last at: {first.phase}{where}{waiting}{first.quoted}"
    return Inconclusive(told, LOOK, AGAIN)


def _names(ranks: Sequence[Left]) -> str:
    return " and ".join(each.rank.name for each in ranks)


def _at(rank: Left) -> float:
    return float(rank.answer["at_s"])


def _is_consequence(rank: Left) -> bool:
    said = f"{rank.answer['raised']}: {rank.answer['problem']}"
    return cuda_errors.named_in(said) is None and CONSEQUENCE.search(said) is not None


def exits(text: str) -> dict[int, int]:
    """The exit codes that torch's launcher has kept, by rank.

    >>> exits('{"1": -9}')
    {1: -9}
    """
    return {int(rank): int(code) for rank, code in json.loads(text).items()}


def answer(text: str) -> dict[str, Any]:
    """What a rank has said at its end; empty where it said nothing.

    >>> answer('{"returned": 1, "at_s": 12.5}')["returned"]
    1
    """
    return dict(json.loads(text)) if text else {}


def done(text: str) -> list[dict[str, Any]]:
    r"""What the jobs of a rank have returned, in turn; a line that was cut off by its death is none.

    >>> done('{"steps": 3}\n{"ste')
    [{'steps': 3}]
    """
    return [dict(json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]
