"""What `dgxcert room check` prints: who is ready, what would be delivered, and last who is not and what to do. Pure."""

from collections.abc import Sequence

from dgxcert.console import clipped, counted, on_one_line
from dgxcert.report.layout import columns
from dgxcert.room.check import Checked, clock_is_wrong

HEAD = ["host", "logs in", "clock", "free", "engine", "Python", "processor"]
LONGEST_NAME = 28
MOST = 200
"""Hosts of one kind of trouble that are listed."""
GIB_KIB = 1024**2


def waiting(names: Sequence[str], count: int, width: int) -> str:
    """The line that is shown while hosts answer.

    >>> waiting(["spark-04", "spark-07"], 30, width=80)
    '28 of 30 have answered; waiting for spark-04, spark-07'
    """
    said = f"{count - len(names)} of {count} have answered"
    return clipped(f"{said}; waiting for {', '.join(names)}" if names else said, max(width - 4, 20))


def lines(found: Sequence[Checked], deliver: Sequence[str], width: int) -> list[str]:
    """Everything: those that are ready, what they should know, what would be delivered, and last what is wrong."""
    ready = [each for each in found if each.wrong is None]
    wrong = [each for each in found if each.wrong is not None]
    told = _table(ready, width)
    told += [f"{each.host.name}: {on_one_line(line)}" for each in ready for line in advice(each)]
    told += ["", *deliver]
    for alike in _alike(wrong):
        word, _, remedy = alike[0].wrong or ("", "", ())
        told += ["", f"{counted(len(alike), 'host')} not ready: {word}"]
        told += [f"  {each.host.name}: {on_one_line((each.wrong or ('', '', ()))[1])}" for each in alike[:MOST]]
        told += [f"  and {len(alike) - MOST} more"] if len(alike) > MOST else []
        told += [f"  {number}. {on_one_line(step)}" for number, step in enumerate(remedy, start=1)]
    rest = f", {len(wrong)} not" if wrong else ""
    return [*told, "", f"{len(ready)} of {counted(len(found), 'host')} ready to be validated{rest}."]


def advice(each: Checked) -> list[str]:
    """What does not keep a host from being validated, and matters later."""
    if not clock_is_wrong(each):
        return []
    return [
        f"its clock is {each.apart_s or 0:+.0f} s from here, and its run could not be signed; there: "
        "sudo timedatectl set-ntp true"
    ]


def _table(ready: Sequence[Checked], width: int) -> list[str]:
    """A table of the hosts that are ready; where it is wider than the screen, two lines for each."""
    if not ready:
        return []
    rows = [_row(each) for each in ready]
    table = columns([HEAD, *rows])
    if max(map(len, table)) <= width:
        return table
    return [line for row in rows for line in (row[0], "  " + " · ".join(_named(row)))]


def _named(row: Sequence[str]) -> list[str]:
    _, user, clock, free, engine, python, processor = row
    return [user, f"clock {clock}", f"{free} free", f"engine {engine}", f"Python {python}", processor]


def _row(each: Checked) -> list[str]:
    said = each.answers
    apart = "unknown" if each.apart_s is None else "right" if abs(each.apart_s) < 1 else f"{each.apart_s:+.0f} s"
    free = "unknown" if said.free_kib is None else _gib(said.free_kib / GIB_KIB)
    python = ".".join(map(str, said.python or ())) or "none"
    user = said.login or said.user
    who = f"{user}, sudo {said.user}" if each.host.sudo_user else user
    engine = clipped(said.engine, 16) if said.has_engine else "none"
    return [
        clipped(each.host.name, LONGEST_NAME),
        clipped(who, LONGEST_NAME),
        apart,
        free,
        engine,
        python,
        said.architecture,
    ]


def _gib(size: float) -> str:
    """A size for a table.

    >>> _gib(0.39), _gib(3812.4)
    ('0.4 GiB', '3,812 GiB')
    """
    return f"{size:.1f} GiB" if size < 10 else f"{size:,.0f} GiB"


def _alike(wrong: Sequence[Checked]) -> list[list[Checked]]:
    """The hosts that are not ready, those of one word and remedy together."""
    groups: dict[object, list[Checked]] = {}
    for each in wrong:
        word, _, remedy = each.wrong or ("", "", ())
        groups.setdefault((word, remedy), []).append(each)
    return list(groups.values())
