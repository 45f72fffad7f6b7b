"""Attack dgxcert, on loopback and in temporary folders only, and count the harm done.

    make attack                     all attacks, under ten minutes
    make attack ONLY=certificates   one subject
    make attack WRITE=docs/security.md

Each module of this folder that has an ATTACK is one subject. Exit 1 where any try did harm.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Python puts the folder of a script first, and `secrets` there would hide the module of the standard library.
sys.path[:] = [str(HERE.parent), *(each for each in sys.path if not each or Path(each).resolve() != HERE)]

from attacks.attack import Attack, Harm, Missing, Tally, Try

BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"
NOT_A_SUBJECT = {"attack", "matrix"}
SHOWN = 5


def subjects() -> list[str]:
    """The names of the modules that hold an attack."""
    names = (path.stem for path in HERE.glob("*.py") if not path.stem.startswith("test_"))
    return sorted(
        name
        for name in names
        if name not in NOT_A_SUBJECT and hasattr(importlib.import_module(f"attacks.{name}"), "ATTACK")
    )


def tally(name: str, seed: int, *, quick: bool) -> Tally:
    """Carry out one attack. An exception of the attack itself counts as one try that went wrong."""
    attack: Attack = importlib.import_module(f"attacks.{name}").ATTACK
    found = Tally(attack.subject, attack.what)
    folder = Path(tempfile.mkdtemp(prefix=f"dgxcert-attack-{name}-"))
    began = time.monotonic()
    try:
        for each in attack.tries(folder, seed, quick=quick):
            found.tried += 1
            if each.harm is not None:
                found.harmed.append(each)
    except Missing as error:
        found.missing = str(error)
    except Exception as error:
        found.harmed.append(Try("the attack itself", Harm.WRONG, f"{type(error).__name__}: {error}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found.took_s = time.monotonic() - began
    return found


def table(tallies: list[Tally]) -> str:
    """The table of docs/security.md."""
    harms = list(Harm)
    head = ["attacked", "how", "tries", *(harm.value for harm in harms)]
    rows = [head, ["---"] * len(head)]
    rows += [[each.subject, each.what, str(each.tried), *(str(each.count(harm)) for harm in harms)] for each in tallies]
    total = [str(sum(each.count(harm) for each in tallies)) for harm in harms]
    rows.append(["**all**", "", str(sum(each.tried for each in tallies)), *total])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def written(page: str, tallies: list[Tally]) -> str:
    """The page with the table between its markers."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(tallies)}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Carry out all attacks, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=subjects(), help="a subject")
    parser.add_argument("--seed", type=int, default=1, help="another seed mutates other bytes")
    parser.add_argument("--quick", action="store_true", help="the part that `make test` runs")
    parser.add_argument("--write", type=Path, help="write the table between the markers of this page")
    options = parser.parse_args()
    names = options.only or subjects()
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        waited = [pool.submit(tally, name, options.seed, quick=options.quick) for name in names]
        tallies = [each.result() for each in waited]
    for each in tallies:
        missing = f", {each.missing}" if each.missing else ""
        sys.stdout.write(f"{each.subject}: {each.tried} tries in {each.took_s:.0f} s{missing}\n")
    sys.stdout.write(f"\n{table(tallies)}\n")
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(written(page, tallies), encoding="utf-8")
    harmed = [(each.subject, one) for each in tallies for one in each.harmed]
    for subject, one in harmed[:SHOWN]:
        sys.stdout.write(f"\n{subject}: {one.name}: {one.harm.value if one.harm else ''}\n{one.shown}\n")
    if harmed:
        sys.exit(f"{len(harmed)} tries did harm; the first {min(SHOWN, len(harmed))} are above.")
    if untried := [f"{each.subject} ({each.missing})" for each in tallies if each.missing]:
        sys.exit(f"not tried: {', '.join(untried)}")


if __name__ == "__main__":
    main()
