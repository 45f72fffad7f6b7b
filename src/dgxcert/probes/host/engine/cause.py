"""The cause behind an error text of an engine: what it says chooses the remedy; an unknown text is shown as it is."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from dgxcert.container.engine_kind import EngineKind

MOST = 600
"""Characters of a sentence that are shown. Of a longer one the end is kept: wrappers stand first, the reason last."""

ADVICE_OF_TOOLS = re.compile(
    r"^(See|Run) '?docker|^See `|^For (debugging|more information)|^Compile with|^CUDA kernel errors might|"
    r"^Search for `cuda|^The above exception|^Device-side assert|^ERRO\[\d+\]|^To suppress|^$",
    re.IGNORECASE,
)
"""Lines that follow a reason: how to get more, and never the reason."""
RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b")


@dataclass(frozen=True)
class Cause:
    """A known error. `meaning` and `remedy` are templates: words of the engine's kind, and groups of the pattern."""

    pattern: str
    """A regular expression, matched without regard to case; `.` does not match the end of a line."""
    meaning: str
    remedy: tuple[str, ...]
    conclusive: bool = True
    """Whether the machine is at fault, rather than a busy engine or what was requested of it."""
    kind: EngineKind | None = None
    """The only kind of engine that means this by it; None for all."""
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern, re.IGNORECASE))


def plain(text: str) -> str:
    r"""A text without the escapes of logs and of errors within errors.

    >>> plain('msg="unresolvable CDI devices \\"nvidia.com/gpu=all\\""')
    'msg="unresolvable CDI devices "nvidia.com/gpu=all""'
    """
    text = re.sub(r"\\+n", "\n", text)
    return re.sub(r"\\+([\"'])", r"\1", text)


@dataclass(frozen=True)
class Found:
    """A cause that was found in a text, in words for the engine's kind."""

    meaning: str
    sentence: str
    """The line that says so."""
    remedy: tuple[str, ...]
    conclusive: bool


def find(text: str, causes: Iterable[Cause], kind: EngineKind) -> Found | None:
    """The first cause of a table that is in the text; None for an unknown text."""
    cleaned = plain(text)
    for cause in causes:
        if cause.kind in (None, kind) and (match := cause.compiled.search(cleaned)):
            named = _named(match)
            (meaning,) = kind.steps((cause.meaning,), named)
            return Found(meaning, sentence(cleaned, match), kind.steps(cause.remedy, named), cause.conclusive)
    return None


def _named(match: re.Match[str]) -> dict[str, str]:
    """What the groups of a match name. One that has no part in it stands for the first that has one."""
    groups = match.groupdict()
    first = next((value for value in groups.values() if value), "not named")
    return {
        name: " ".join((value or first).removesuffix(": unknown").split()).rstrip(".,;")
        for name, value in groups.items()
    }


def sentence(text: str, match: re.Match[str] | None = None) -> str:
    """The line that says why: the one that matched, else the last that a tool did not add as advice.

    >>> sentence("Traceback (most recent call last):\\n  ...\\nRuntimeError: no\\n\\nCompile with `TORCH_USE_CUDA_DSA`")
    'RuntimeError: no'
    """
    if match is not None:
        begin = match.string.rfind("\n", 0, match.start()) + 1
        end = match.string.find("\n", match.end())
        return _shortened(match.string[begin : end if end >= 0 else None])
    lines = [line.strip() for line in plain(text).splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        raised = [line for line in lines if RAISED.match(line)]
        if raised:
            return _shortened(raised[-1])
    telling = [line for line in lines if not ADVICE_OF_TOOLS.match(line)]
    return _shortened((telling or lines or [""])[-1])


def _shortened(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= MOST else f"… {line[-MOST:]}"
