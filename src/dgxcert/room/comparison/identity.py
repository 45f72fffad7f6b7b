"""Identity: what no two machines share, and which machines of a room share it all the same. Pure.

Makers leave texts where a serial number belongs, and cards without one report zeros: such a value is no identity.
"""

import re
from collections.abc import Mapping, Sequence

from dgxcert.console import on_one_line
from dgxcert.machine.identity import Machine
from dgxcert.record.room.document import Clash
from dgxcert.room.comparison.sentence import listed

SERIAL = "serial"
BOOT = "boot id"
GPU = "GPU"
OF_DISK = ("machine-id", "SSH host key")
"""Names, or how they begin, of what lies on a disk and is cloned with it."""
PLACEHOLDERS = re.compile(
    r"""
    | none | null | n/?a | unknown | unspecified | uninitialized | invalid | empty | \[.*\] | .*redacted.*
    | (not|to\ be)\ (specified|available|applicable|provided|set|filled(\ by\ o\.?e\.?m\.?)?)
    | (default|system|chassis|base\ ?board|product|board|oem)[ _-]?(string|serial|serial[ _-]?number|number)
    | (gpu-)?(?P<digit>[0-9a-fx.*-])((?P=digit)|[-:. ])*
    | 0?123456789(0|abcdef|10)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What stands where an identity was never written or was redacted: one character repeated, a count, or words."""


def of(machine: Machine) -> dict[str, str]:
    """What identifies a machine, as its run has it: its serial number, where that could be read, its boot, each GPU."""
    found = {SERIAL: machine.serial or "", BOOT: machine.boot_id or ""}
    found |= {f"{GPU} {gpu.index}": gpu.uuid for gpu in machine.gpus}
    return proper(found)


def proper(given: Mapping[str, str]) -> dict[str, str]:
    """The entries that identify a machine, without what is no identity.

    >>> proper({"machine-id": "b0f5", "serial": "To be filled by O.E.M.", "board": "0000-0000"})
    {'machine-id': 'b0f5'}
    """
    return {name: value.strip() for name, value in given.items() if not is_placeholder(value)}


def is_placeholder(value: str) -> bool:
    """Whether a value is what makers leave where an identity belongs.

    >>> is_placeholder("Default string"), is_placeholder("0123456789"), is_placeholder("1423925010234")
    (True, True, False)
    """
    return PLACEHOLDERS.fullmatch(on_one_line(value).strip()) is not None


def clashes(hosts: Sequence[str], identities: Sequence[Mapping[str, str]]) -> tuple[Clash, ...]:
    """The hosts that share an identity, one clash for each group of hosts, with all that they share."""
    holders: dict[tuple[str, str], list[int]] = {}
    for at, identity in enumerate(identities):
        for kind, value in {(_kind(name), value.lower()) for name, value in identity.items()}:
            holders.setdefault((kind, value), []).append(at)
    shared: dict[tuple[int, ...], list[str]] = {}
    for (kind, _), places in holders.items():
        if len(places) > 1:
            kinds = shared.setdefault(tuple(places), [])
            if kind not in kinds:
                kinds.append(kind)
    return tuple(
        Clash(
            name=", ".join(sorted(kinds)),
            hosts=tuple(hosts[at] for at in places),
            says=_says([hosts[at] for at in places], sorted(kinds), [identities[at] for at in places]),
        )
        for places, kinds in shared.items()
    )


def _kind(name: str) -> str:
    """What an entry is an identity of: the GPUs of two machines may be numbered in another order.

    >>> _kind("GPU 3"), _kind("machine-id")
    ('GPU', 'machine-id')
    """
    return GPU if re.fullmatch(rf"{GPU} \d+", name) else name


def _says(hosts: Sequence[str], kinds: Sequence[str], identities: Sequence[Mapping[str, str]]) -> str:
    what = f"{listed(hosts)} have the same {listed(kinds)}"
    unlike = sorted(_unlike(identities))
    if unlike and all(kind.startswith(OF_DISK) for kind in kinds):
        return f"{what}, and another {listed(unlike)}: the disk of one was copied to the others"
    if unlike and list(kinds) == [BOOT]:
        return f"{what}, and another {listed(unlike)}: they are containers of one machine"
    if unlike and GPU in kinds:
        return f"{what}, and another {listed(unlike)}: a GPU was moved, or one machine was renamed between two runs"
    return f"{what}: they are one machine, which was validated under {'both' if len(hosts) == 2 else 'all'} names"


def _unlike(identities: Sequence[Mapping[str, str]]) -> set[str]:
    """The kinds of identity that all of these hosts have, and in which they differ."""
    kinds = [{_kind(name) for name in identity} for identity in identities]
    values = [{(_kind(name), value.lower()) for name, value in identity.items()} for identity in identities]
    common = set.intersection(*kinds)
    same = {kind for kind, _ in set.intersection(*values)}
    return common - same
