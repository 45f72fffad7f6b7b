"""Measure everything that only a GPU can tell, in calls of at most nine minutes: `make measure-gpu`.

In this order: the kernels, the standard tier, five separate runs of the main benchmarks, a planted slowdown of 5 %,
other tools, collectives of one rank, and neighbours that work in the middle of the rounds. A call does as much as fits,
keeps each part in `figures.json` as soon as it is measured, and writes the page of what there is; the next call goes
on. No setting of the GPU is changed.
"""

import argparse
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

import gpu_steps
import measurement_folder
import performance_page
from gpu_steps import Part, Plan, Unfinished
from measurement_folder import Folder, warn

from dgxcert.profiles import profile as profiles

LIMIT_S = 530.0


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def measure(folder: Folder, wanted: list[Part], ends_s: float) -> list[str]:
    """Measure part after part until `ends_s` of the monotonic clock; the names of those that are left."""
    left = [part for part in wanted if part.name not in folder.figures]
    begun = 0
    while left and (begun == 0 or time.monotonic() + left[0].takes_s <= ends_s):
        part, begun = left[0], begun + 1
        warn(f"{part.name}: measured now; {len(left) - 1} more")
        signal.setitimer(signal.ITIMER_REAL, max(1.0, ends_s - time.monotonic()))
        try:
            folder.keep(part.name, part.measure(ends_s - time.monotonic()))
        except TimeoutError:
            warn(f"{part.name}: ended at the limit, nothing of it is kept")
            break
        except Unfinished:
            break
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        left.pop(0)
    return [part.name for part in left]


def main() -> None:
    """Measure, write the page, and say how to go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="", help="default: the one that is chosen for this machine")
    parser.add_argument("--out", type=Path, help="folder of the figures; default: docs/measurements/DATE-PROFILE")
    parser.add_argument("--only", default="", help="parts that begin with this: kernels, tier, repeats, slowed, …")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S)
    parser.add_argument("--brief", action="store_true", help="each part once, quick tier: does all of it work?")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md as well")
    options = parser.parse_args()
    ends_s = time.monotonic() + options.limit_s
    profile = profiles.load(options.profile) if options.profile else _chosen()
    plan = Plan(profile)
    if options.brief:
        plan = replace(plan, tier="quick", repeats=2, tries=1, turns=1, which="matmul and not fp8", peers=False)
    folder = Folder(options.out or measurement_folder.default(profile.name), profile.name)
    signal.signal(signal.SIGALRM, _too_long)
    wanted = [part for part in gpu_steps.parts(plan, folder) if part.name.startswith(options.only)]
    left = measure(folder, wanted, ends_s)
    tables, texts = gpu_steps.tables(plan, folder.figures), gpu_steps.texts(folder.figures)
    (folder.path / "README.md").write_text(measurement_folder.page(folder, tables, texts), encoding="utf-8")
    if options.write:
        rows = [(f"{step}: {what}", *rest) for step, table in tables.items() for what, *rest in table]
        performance_page.show("measure-gpu", rows, folder.about, keep=True)  # type: ignore[arg-type]
    print(f"{folder.path / 'README.md'} holds what was measured.")
    if left:
        print(f"{len(left)} parts are left, the next is {left[0]}. Run the same command again to measure them.")


def _chosen() -> "profiles.Profile":
    from dgxcert.runner import session

    return session.choose_profile("auto", session.read_machine())


if __name__ == "__main__":
    main()
