"""Tokens with a mark of their maker that detect-secrets 1.5 does not know: a mark, then what was generated.

A mark alone is enough where no word of a log begins like it; the rest may be hexadecimal or have `-`, `_` and `.`.
"""

import re

from dgxcert.redaction import plain

BEFORE = r"(?<![\w/+=.-])(?<!sha256=)|(?<=[=/])(?<!sha256=)(?<!sha512=)"
MARKED = (
    r"github_pat_|gl(?:pat|dt|rt|ptt|cbt|ft|soat|agent|oas|imt|ffct)-|xapp-\d-|xox[a-z]\.|sk-(?:proj|svcacct|admin|ant|or)-"
    r"|do[por]_v1_|dapi(?=[0-9a-f]{32})|hv[sbr]\.|pul-(?=[0-9a-f]{40})|GOCSPX-|1//0|AGE-SECRET-KEY-1|lsv2_[a-z]{2}_"
    r"|dp\.[a-z]{2,5}\.|NRAK-|gl(?:sa|c)_|shp[a-z]{2}_(?=[0-9a-f]{32})|PMAK-|HRKU-|sbp_(?=[0-9a-f]{40})|AT(?:ATT|CTT)3|ATBB"
    r"|rpa_(?=[A-Z0-9]{40})|a[ks]-(?=[A-Za-z0-9]{22}\b)|hf_(?:oauth|jwt)_|pat\w{14}\.(?=[0-9a-f]{64})|\w{14}\.atlasv1\."
    r"|\w{3}\dQ~|wandb_v\d_"
)
KEY = re.compile(rf"(?:{BEFORE})(?:{MARKED})[\w.~+=-]{{16,4000}}")
LOOK = re.compile(r"[\w~+=-]{16}")
AWS = re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b|(?<![\w/+=-])(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|fm[12]_)[\w+/=%-]{60,8000}")
WEBHOOK = re.compile(r"(?<=/api/webhooks/)\d{15,20}/[\w-]{40,200}")
PREFIXED = re.compile(
    r"(?<![\w/.-])(?<!sha256=)(?<!sha512=)(?!sha\d)[a-z][a-z0-9]{1,9}[-_](?:[A-Za-z0-9]{1,12}[-_]){0,3}"
    r"(?P<run>[A-Za-z0-9]{18,200})(?:[-_][\w-]{0,400})?"
)
"""A key with its maker's prefix, as most makers give one: told by how random the rest is."""


def spans(text: str) -> list[tuple[int, int]]:
    """Begin and end of each such token, in order and apart.

    >>> spans("remote: glptt-283120344c4825040b837e1d67d68bf5dba65021")
    [(8, 54)]
    >>> spans("pad-283120344c4825040b837e1d67d68bf5dba65021 sha512-KALu1oY4dJ0yd7yVOHfC8QYpcKUTjy6SfWbs")
    []
    """
    if not LOOK.search(text):
        return []
    found = [match.span() for expression in (KEY, AWS, WEBHOOK) for match in expression.finditer(text)]
    found += [match.span() for match in PREFIXED.finditer(text) if _is_generated(match.group("run"))]
    apart: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if apart and begin < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((begin, end))
    return apart


def _is_generated(run: str) -> bool:
    return plain.mixes(run) and len(re.findall(r"\d+", run)) > 1
