"""The steps about the hosts that hold the files: Xet's content-addressed store and its parts, and the CDN."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

from dgxcert.probes.hub import http_request, trust_store
from dgxcert.probes.hub.answer import content, must_be_well, must_bring_bytes
from dgxcert.probes.hub.context import Skipped, Walk
from dgxcert.probes.hub.http_request import Answer, Trouble
from dgxcert.probes.hub.secrets import without_password

CLOCK_GRACE_S = 60


def cas_address(walk: Walk) -> str:
    """Where the Hub sends its readers for the parts of files, and the permit to read them."""
    if walk.here.xet_off:
        raise Skipped(walk.here.xet_off)
    if walk.file is None or "x-xet-hash" not in walk.file.headers:
        raise Skipped("this Hub does not serve the file through Xet")
    if not (where := _permit_at(walk.file)):
        raise Skipped("this Hub names nobody who permits to read through Xet, so the client does not")
    answer = walk.ask_for_permit(where)
    body = content(answer)
    if answer.status == 401 and walk.here.token:  # which the step before has found good
        raise Trouble("permit-denied", answer.host, f"HTTP 401 for {without_password(answer.url)}")
    must_be_well(answer)
    cas_url, permit = body.get("casUrl"), body.get("accessToken")
    if not isinstance(cas_url, str) or not isinstance(permit, str) or not urlsplit(cas_url).scheme:
        raise Trouble("http-other", answer.host, f"the permit names no CAS: it holds {', '.join(sorted(body))}")
    expires = body.get("exp")
    if isinstance(expires, int) and expires < time.time() - CLOCK_GRACE_S:
        raise Trouble("clock", answer.host, f"the permit ran out {time.time() - expires:.0f} s ago by this clock")
    walk.cas, walk.permit = cas_url, permit
    return f"CAS at {without_password(walk.cas)}"


def _permit_at(file: Answer) -> str:
    """Where the client asks for the permit: a header of the file says so."""
    link = re.search(r'<([^>]+)>\s*;\s*rel="?xet-auth"?', file.headers.get("link", ""))
    return link.group(1) if link else file.headers.get("x-xet-refresh-route", "")


def cas(walk: Walk) -> str:
    """Ask the content-addressed store of what parts the file is made."""
    if not walk.cas:
        raise Skipped("files do not come through Xet here")
    if urlsplit(walk.cas).scheme not in ("http", "https"):
        raise Skipped(f"the CAS is no host: {without_password(walk.cas)}")
    answer = _reconstruction(walk)
    if answer.status == 401:
        raise Trouble("permit-refused", answer.host, f"HTTP 401 for the permit that {walk.here.host} gave")
    body = content(answer)
    must_be_well(answer)
    walk.part = first_part(body)
    if not walk.part[0]:
        raise Trouble("http-other", answer.host, f"the CAS names no place for the file: it says {answer.start!r}")
    return f"{answer.host} answers; parts are at {urlsplit(walk.part[0]).hostname}"


def _reconstruction(walk: Walk) -> Answer:
    """Ask of what parts the file is made, as hf_xet does: in version 2 of the protocol, else in version 1."""
    xet_hash = walk.file.headers["x-xet-hash"] if walk.file else ""
    headers = {"Authorization": f"Bearer {walk.permit}", "Range": f"bytes=0-{walk.probed.size - 1}"}
    trust = trust_store.context(trust_store.HTTPX, system=True)
    for version in ("v2", "v1"):
        url = f"{walk.cas.rstrip('/')}/{version}/reconstructions/{xet_hash}"
        answer = http_request.ask(url, trust, headers=headers)
        if answer.status not in (404, 501):
            break
    return answer


def first_part(body: dict[str, Any]) -> tuple[str, str]:
    """Address and range of the first part in a reconstruction, of version 2 (`xorbs`) or 1 (`fetch_info`)."""
    for parts in (body.get("xorbs") or body.get("fetch_info") or {}).values():
        for part in parts:
            within = part["ranges"][0]["bytes"] if "ranges" in part else part["url_range"]
            return part["url"], f"bytes={within['start']}-{within['end']}"
    return "", ""


def transfer(walk: Walk) -> str:
    """Fetch the beginning of the file's first part from where parts are kept."""
    url, part = walk.part
    if not url:
        raise Skipped("files do not come through Xet here")
    trust = trust_store.context(trust_store.HTTPX, system=True)
    answer = http_request.ask(url, trust, headers={"Range": part})  # its signature covers the range
    must_bring_bytes(answer, walk.probed.size)
    return f"{answer.host} sends {len(answer.body)} bytes"


def cdn(walk: Walk) -> str:
    """Fetch one byte the Hub's other way, by its CDN."""
    # Where it leads is signed for the range that was asked for.
    answer = walk.get(walk.probed.path, part="bytes=0-0", anywhere=True)
    must_bring_bytes(answer, walk.probed.size)
    return f"{answer.host} sends {len(answer.body)} bytes"
