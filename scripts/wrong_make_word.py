"""What make says about a variable or a target that its file does not have: one line, with the right one.

`python3 scripts/wrong_make_word.py variable profile -- PROFILE TIER`. Needs the standard library alone: it is asked
before an environment is set up.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from dgxcert import near_miss  # from this checkout, wherever it is called from

SHOWN = 60
ALL = {"variable": "`make help` shows what each target takes", "target": "`make help` shows every target"}


def sentence(kind: str, words: list[str], known: list[str]) -> str:
    """What is wrong with the first of these words, and which was likely meant.

    >>> sentence("variable", ["profile"], ["PROFILE", "TIER"])
    'there is no variable profile; did you mean PROFILE?'
    >>> sentence("target", ["xyzzy"], ["validate", "rehearse"])
    'there is no target xyzzy; `make help` shows every target'
    """
    word = words[0]
    close = near_miss.closest(word, known)
    shown = ascii(word[:SHOWN])[1:-1]  # it may be anything, and make prints it as it is
    return f"there is no {kind} {shown}; {'did you mean ' + ' or '.join(close) + '?' if close else ALL[kind]}"


def main() -> None:
    """Print the sentence; make stops with it."""
    kind, *rest = sys.argv[1:]
    middle = rest.index("--")
    print(sentence(kind, rest[:middle], rest[middle + 1 :]))


if __name__ == "__main__":
    main()
