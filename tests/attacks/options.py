"""Options with values that nobody would type: each is refused in a sentence, and leaves no folder behind."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

from attacks.attack import Attack, Harm, Try, dgxcert, judged

from dgxcert.console import printable

REFUSED = 3
LONGEST_ANSWER = 4000
VALIDATE = ("validate", "--profile", "cpu", "--runtime", "native")
BURN_IN = (*VALIDATE, "--tier", "burn-in", "--only", "NOSUCH")
TYPED = (
    *(
        (*BURN_IN, f"--minutes={value}")
        for value in ("inf", "nan", "-1", "1e400", "0x10", "\u0661", "1" * 400, "", "1e9")
    ),
    *((*VALIDATE, f"--only={value}") for value in ("\x1b[2J", "A" * 100_000, ",", "[!a]*", "a*" * 40 + "b", "\udcff")),
    *((*VALIDATE, "--only=NOSUCH", f"--results={value}") for value in ("file", "fifo", "a" * 300, "file/x", "a\nb")),
    *((*VALIDATE, "--only=NOSUCH", f"--base={value}") for value in ("-v", "a b", "$(touch pwned)", "\u202ex")),
    *(("validate", f"--profile={value}") for value in ("fifo.yaml", "folder.yaml", "", "/dev/zero", "nested.yaml")),
    *(("validate", f"--resume={value}") for value in ("file", "fifo", "nowhere", "folder.yaml")),
    *((*VALIDATE, "--only=DISK-SPACE", f"--waivers={value}") for value in ("fifo", "folder.yaml", "nested.yaml")),
    *((*VALIDATE, "--only=NOSUCH", f"--site={value}") for value in ("fifo", "nested.yaml", "nowhere")),
    (*VALIDATE, f"--tier={'A' * 4000}"),
    ("\x1b[2J",),
)


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Type each; none may hang, act, leave anything behind, or answer more than a sentence."""
    for name in ("fifo", "fifo.yaml"):
        os.mkfifo(folder / name)
    (folder / "file").touch()
    (folder / "folder.yaml").mkdir()
    (folder / "nested.yaml").write_text("[" * 100_000, encoding="utf-8")
    before = {".output", *(path.name for path in folder.iterdir())}
    typed = list(TYPED)
    random.Random(seed).shuffle(typed)
    for words in typed[: 2 if quick else 20]:
        results = () if "--results" in "".join(words) or "--resume" in "".join(words) else ("--results=results",)
        ended = dgxcert(*words, *(results if words[0] == "validate" else ()), folder=folder)
        found = judged(ascii(" ".join(words)[-60:]), ended, allowed=(REFUSED,))
        if found.harm is None and {path.name for path in folder.iterdir()} - before:
            found = Try(found.name, Harm.WRONG, "it left something behind")
        if found.harm is None and (ended.output != printable(ended.output) or len(ended.output) > LONGEST_ANSWER):
            found = Try(found.name, Harm.ESCAPE, ended.output[:500])
        yield found


ATTACK = Attack("options", "values of options that nobody would type: numbers, names, FIFOs, control characters", tries)
