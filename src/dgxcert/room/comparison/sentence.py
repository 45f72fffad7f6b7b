"""Sentences about how a machine differs from its like, in plain words for each kind of work. Pure."""

from collections.abc import Iterable, Sequence

from dgxcert.console import on_one_line
from dgxcert.judgement.benchmark_cases import SINGLE, TUNED
from dgxcert.judgement.units import OF_TIME
from dgxcert.room.comparison.quantities import NO_GPU, Quantity

DEGREES = "°C"
MOST_NAMED = 3
"""Machines or settings that one sentence names; more are counted."""
SHOWN = 80
"""Characters of a setting in a sentence."""

WORK = {
    "decode": ("decodes", "decode"),
    "prefill": ("prefills", "prefill"),
    "lora": ("trains", "train"),
    "matmul": ("multiplies", "multiply"),
    "bandwidth.read": ("reads memory", "read memory"),
    "bandwidth.copy": ("copies memory", "copy memory"),
    "transfer.to_device": ("copies to the GPU", "copy to the GPU"),
    "transfer.to_host": ("copies from the GPU", "copy from the GPU"),
    "load.mmap": ("loads weights by mmap", "load weights by mmap"),
    "load.read": ("loads weights by read", "load weights by read"),
    "training.scaling": ("trains on all GPUs", "train on all GPUs"),
}
"""What a machine does at a speed, of one and of several machines, by the limit's name or its first part."""
STATE = {
    "burn_in.steadiness": ("keeps", "keep", "{away} less of its speed in the burn-in"),
    "clock.boost": ("has", "have", "{away} lower boost clocks"),
    "clock.steadiness": ("keeps", "keep", "{away} less of its clock under load"),
    "clock.under_load": ("has", "have", "{away} lower clocks under load"),
    "collectives.slowest": ("has", "have", "one pair of GPUs that is {away} slower"),
    "cpu.clock": ("has", "have", "{away} lower processor clocks"),
    "links.speed": ("has", "have", "{away} slower NVLinks"),
    "memory.available": ("has", "have", "{away} less memory available"),
    "memory.free": ("has", "have", "{away} less GPU memory free"),
    "slowdown.power_brake": (
        "is slowed down by the power brake for",
        "are slowed down by the power brake for",
        "{away}",
    ),
    "slowdown.thermal": ("is slowed down for heat for", "are slowed down for heat for", "{away}"),
    "temperature.under_load": ("gets", "get", "{away} hotter"),
    "together.load.drop": ("keeps", "keep", "{away} less of its speed with all GPUs at work"),
    "together.load.siblings": ("has", "have", "a GPU that is {away} slower beside its siblings"),
    "together.memory.drop": ("keeps", "keep", "{away} less memory bandwidth with all GPUs at work"),
    "together.memory.siblings": ("has", "have", "a GPU with {away} less memory bandwidth beside its siblings"),
    "together.transfer.drop": ("keeps", "keep", "{away} less of its host link with all GPUs at work"),
    "together.transfer.siblings": ("has", "have", "a GPU with {away} less of the host link beside its siblings"),
}
"""What a machine is or has, with how far it is away, by the limit's name."""
ENERGY = ("needs", "need", "{away} more energy for a token")


def outlier(host: str, quantity: Quantity, away: float, others: int, gpu: int, apart: str) -> str:
    """How one machine differs from its like.

    `away` is a share, or a difference in the unit where shares say nothing; `apart` is what sets the machine apart.

    >>> decode = Quantity("DECODE-SPEED[bf16-tuned-single]", "decode", "token/s", "decode.bf16.tuned.single", True)
    >>> outlier("spark-17", decode, 0.09, 29, NO_GPU, "it alone has kernel 6.17.0-1026")
    'spark-17 decodes in bf16 9 % slower than the other 29; it alone has kernel 6.17.0-1026'
    """
    one, _, how = words(quantity)
    where = "" if gpu == NO_GPU else f", on its GPU {gpu}"
    differs = how.format(away=distance(quantity.unit, away))
    return f"{on_one_line(host)} {one} {differs} than the other {others}{where}; {apart}"


def split(quantity: Quantity, away: float, slow: tuple[str, int], fast: tuple[str, int]) -> str:
    """That a setting splits a room; `slow` and `fast` are its values and how many machines have them.

    >>> decode = Quantity("DECODE-SPEED[bf16-tuned-single]", "decode", "token/s", "decode.bf16.tuned.single", True)
    >>> split(decode, 0.08, ("firmware 1.2", 14), ("firmware 1.3", 16))
    'the 14 machines with firmware 1.2 decode in bf16 8 % slower than the 16 with firmware 1.3'
    """
    _, several, how = words(quantity)
    differ = how.format(away=distance(quantity.unit, away)).replace("of its ", "of their ")
    return f"the {slow[1]} machines with {slow[0]} {several} {differ} than the {fast[1]} with {fast[0]}"


def divided(quantity: Quantity, away: float, count: int, of: int) -> str:
    """That many machines differ from the rest and no setting tells them apart.

    >>> decode = Quantity("DECODE-SPEED[bf16-tuned-single]", "decode", "token/s", "decode.bf16.tuned.single", True)
    >>> divided(decode, 0.08, 4, 10)
    '4 of 10 machines decode in bf16 8 % slower than the rest, and no setting that runs record tells them apart'
    """
    _, several, how = words(quantity)
    differ = how.format(away=distance(quantity.unit, away)).replace("of its ", "of their ")
    return (
        f"{count} of {of} machines {several} {differ} than the rest, and no setting that runs record tells them apart"
    )


def words(quantity: Quantity) -> tuple[str, str, str]:
    """Verb of one machine and of several, and how they differ, with `{away}` in it.

    >>> words(Quantity("X[y]", "share of z", "of start", "x.y", higher_is_better=False))
    ('reads for share of z', 'read for share of z', '{away} more')
    """
    limit = quantity.limit
    if limit in STATE:
        return STATE[limit]
    if not limit:
        return ENERGY
    first, *case = limit.split(".")
    if first == "collectives":
        return f"runs {case[0]} by {case[1]}", f"run {case[0]} by {case[1]}", "{away} slower"
    verbs = WORK.get(limit) or WORK.get(first)
    if verbs is None:
        how = "less" if quantity.higher_is_better else "more"
        return f"reads for {quantity.name}", f"read for {quantity.name}", f"{{away}} {how}"
    of_case = "" if limit in WORK else _case(case)
    return f"{verbs[0]}{of_case}", f"{verbs[1]}{of_case}", "{away} slower"


def _case(case: Sequence[str]) -> str:
    """The case of a benchmark; `tuned` and `single` are what a headline is anyway.

    >>> _case(["bf16", "tuned", "single"]), _case(["nf4", "stock", "large"])
    (' in bf16', ' in nf4 (stock, large)')
    """
    precision, *rest = case
    other = ", ".join(word for word in rest if word not in (TUNED, SINGLE))
    return f" in {precision}" + (f" ({other})" if other else "")


def distance(unit: str, away: float) -> str:
    """How far away in words.

    >>> distance("token/s", 0.09), distance("°C", 11.8), distance(OF_TIME, 0.12)
    ('9 %', '12 °C', '12 % more of the time')
    """
    if unit == DEGREES:
        return f"{away:.0f} {DEGREES}"
    return f"{away * 100:.0f} % more of the time" if unit == OF_TIME else f"{away * 100:.0f} %"


def apart(alone: Iterable[tuple[str, str]], shared: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """What sets an outlier apart: settings that it alone has, or shares with other outliers alone.

    >>> apart([("kernel", "6.17.0-1026")], [])
    'it alone has kernel 6.17.0-1026'
    >>> apart([], [("firmware", "1.2", ["spark-18"])])
    'it and spark-18 alone have firmware 1.2'
    >>> apart([], [])
    'no setting that runs record sets it apart'
    """
    own = [setting(name, value) for name, value in alone]
    if own:
        return f"it alone has {listed(own)}"
    by_hosts: dict[tuple[str, ...], list[str]] = {}
    for name, value, hosts in shared:
        by_hosts.setdefault(tuple(hosts), []).append(setting(name, value))
    if not by_hosts:
        return "no setting that runs record sets it apart"
    hosts, settings = min(by_hosts.items(), key=lambda item: len(item[0]))
    return f"{listed(['it', *hosts], 'other')} alone have {listed(settings)}"


def setting(name: str, value: str) -> str:
    """A setting in a sentence: `kernel 6.17.0-1026`, `no firmware`."""
    text = on_one_line(value)
    return f"{name} {text if len(text) <= SHOWN else text[:SHOWN] + '…'}" if text else f"no {name}"


def listed(names: Sequence[str], other: str = "more") -> str:
    """Some names in a sentence, and how many more there are.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a, b and c', 'a, b, c and 2 more')
    """
    shown = [on_one_line(name) for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        shown.append(f"{len(names) - MOST_NAMED} {other}")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
