"""Options with values that nobody would type: each is refused in a sentence, and leaves no folder behind."""

from collections.abc import Iterator
from pathlib import Path

from attacks.attack import Attack, Harm, Try, dgxcert, judged

REFUSED = 3
MINUTES = ("inf", "nan", "-1", "1e400", "0x10", "\u0661", "1" * 400, "")


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Type each value of --minutes."""
    for value in MINUTES[: 2 if quick else None]:
        words = ["validate", "--profile", "cpu", "--tier", "burn-in", "--only", "NOSUCH", f"--minutes={value}"]
        ended = dgxcert(*words, "--results", "results", folder=folder)
        found = judged(f"--minutes={value[:20]}", ended, allowed=(2, REFUSED))
        if found.harm is None and (folder / "results").exists():
            found = Try(found.name, Harm.WRONG, "it left a folder behind")
        yield found


ATTACK = Attack("options", "values of --minutes that are no number of minutes", tries)
