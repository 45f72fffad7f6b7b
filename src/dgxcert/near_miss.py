"""Near misses: what somebody who typed a wrong word is likely to have meant, in a few words."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

ALIKE = 0.6
"""Share of characters in common from which two words are alike; difflib's own for `get_close_matches`."""
WHOLE = 0.95
"""Share that a word has in common with one of which it is a whole part, and not only some letters."""
TIE = 0.02
"""A word that is less alike than the best one by more than this is left out."""
MOST = 3
LONGEST_LIST = 100
"""Characters of a list of all known words, which is shown where none is alike."""
COMPARED = 100
"""Characters of a wrong word that are compared: no known word is as long."""


def closest(word: str, known: Iterable[str]) -> list[str]:
    """The known words that are most like a wrong one, at most three, the likeliest first.

    >>> closest("gpu_present", ["GPU-PRESENT", "GPU-MODEL"])
    ['GPU-PRESENT']
    >>> closest("lora", ["LORA-SPEED", "LORA-SPEED[bf16-stock-large]", "PEFT-LORA", "DISK-SPACE"])
    ['PEFT-LORA', 'LORA-SPEED', 'LORA-SPEED[bf16-stock-large]']
    >>> closest("dgx a100", ["dgx-h100", "dgx-a100-40", "dgx-a100-80"])
    ['dgx-a100-40', 'dgx-a100-80']
    """
    typed = _folded(word[:COMPARED])
    likeness = {each: _likeness(typed, _folded(each)) for each in dict.fromkeys(known)}
    best = max(likeness.values(), default=0.0)
    alike = [each for each, share in likeness.items() if share >= max(ALIKE, best - TIE)]
    return sorted(alike, key=lambda each: (-likeness[each], len(each), each))[:MOST]


def _likeness(typed: str, known: str) -> float:
    """Share of characters that two words have in common; a part of a name that was typed whole counts as alike."""
    share = SequenceMatcher(None, known, typed, autojunk=False).ratio()
    if len(typed) > 2 and _is_whole_part(typed, known):
        return max(share, WHOLE)
    return max(share, ALIKE) if len(typed) > 2 and typed in known else share


def _is_whole_part(typed: str, known: str) -> bool:
    """Whether some neighbouring parts of a name are what was typed, whatever separates them.

    >>> _is_whole_part("dgxa100", "dgx-a100-40"), _is_whole_part("b200", "gb200")
    (True, False)
    """
    parts, wanted = re.findall(r"[a-z0-9]+", known), "".join(re.findall(r"[a-z0-9]+", typed))
    return any(
        "".join(parts[first:last]) == wanted for first in range(len(parts)) for last in range(first + 1, len(parts) + 1)
    )


def _folded(word: str) -> str:
    """A word without case, and with one kind of separator.

    >>> _folded("GPU_Present")
    'gpu-present'
    """
    return word.casefold().replace("_", "-")


def hint(word: str, known: Iterable[str]) -> str:
    """The end of an error message about a wrong word: what is like it, else all known words where these are few.

    >>> hint("decode.fp61", ["decode.fp16", "prefill.fp16"])
    "did you mean 'decode.fp16'?"
    >>> hint("fast", ["quick", "standard", "burn-in"])
    'known: burn-in, quick, standard'
    >>> hint("NOSUCH", [f"REQUIREMENT-{number}" for number in range(180)])
    'none of the 180 known names is like it'
    """
    words = sorted(set(known))
    if close := closest(word, words):
        *others, last = map(repr, close)
        return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
    if not words:
        return "nothing is known"
    every = ", ".join(words)
    return f"known: {every}" if len(every) <= LONGEST_LIST else f"none of the {len(words)} known names is like it"


def sentence(word: str, known: Iterable[str]) -> str:
    """`hint` as a sentence of its own.

    >>> sentence("cpuu", ["cpu", "h200"])
    "Did you mean 'cpu'?"
    """
    said = hint(word, known)
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith('?') else '.'}"
