"""The steps about the hosts that hold the files: Xet's content-addressed store (CAS) and transfer host, and the CDN."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

from dgxcert.probes.hub import addresses, http_request, trust_store
from dgxcert.probes.hub.context import Context, Skipped
from dgxcert.probes.hub.http_request import RequestFailed, Response
from dgxcert.probes.hub.response import json_body, require_file_bytes, require_success
from dgxcert.probes.hub.secrets import without_password

CLOCK_TOLERANCE_S = 60


def request_read_token(context: Context) -> str:
    """Get the CAS's URL and a Xet read token from the Hub."""
    if context.settings.xet_disabled:
        raise Skipped(context.settings.xet_disabled)
    if context.metadata is None or "x-xet-hash" not in context.metadata.headers:
        raise Skipped("this Hub does not serve the file through Xet")
    if not (token_url := _read_token_url(context.metadata)):
        raise Skipped("this Hub names no URL for a Xet read token, so the client does not use Xet")
    response = context.request_read_token(token_url)
    body = json_body(response)
    if response.status == 401 and context.settings.token:  # which the step `identity` has found valid
        raise RequestFailed("read-token-denied", response.host, f"HTTP 401 for {without_password(response.url)}")
    require_success(response)
    cas_url, read_token = body.get("casUrl"), body.get("accessToken")
    if not isinstance(cas_url, str) or not isinstance(read_token, str) or not urlsplit(cas_url).scheme:
        message = f"the read token's response names no CAS: it holds {', '.join(sorted(body))}"
        raise RequestFailed("unexpected-response", response.host, message)
    expires = body.get("exp")
    if isinstance(expires, int) and expires < time.time() - CLOCK_TOLERANCE_S:
        message = f"the Xet read token expired {time.time() - expires:.0f} s ago by this machine's clock"
        raise RequestFailed("clock", response.host, message)
    context.cas_url, context.read_token = cas_url, read_token
    return f"CAS at {without_password(context.cas_url)}"


def _read_token_url(metadata: Response) -> str:
    """Where the client requests the read token: the file's Link header, or the older header, names it."""
    link = re.search(r'<([^>]+)>\s*;\s*rel="?xet-auth"?', metadata.headers.get("link", ""))
    return link.group(1) if link else metadata.headers.get("x-xet-refresh-route", "")


def request_reconstruction(context: Context) -> str:
    """Ask the CAS which parts the file is made of."""
    if not context.cas_url:
        raise Skipped("files are not fetched through Xet")
    if urlsplit(context.cas_url).scheme not in ("http", "https"):
        raise Skipped(f"the CAS is not on a host: {without_password(context.cas_url)}")
    response = _reconstruction(context)
    if response.status == 401:
        message = f"HTTP 401 for the Xet read token from {context.settings.host}"
        raise RequestFailed("read-token-refused", response.host, message)
    body = json_body(response)
    require_success(response)
    context.first_part = first_part(body)
    if not context.first_part[0]:
        message = f"the CAS names no part of the file: {response.excerpt!r}"
        raise RequestFailed("unexpected-response", response.host, message)
    _note_addresses(context, response)
    return f"{response.host} answers; parts are at {urlsplit(context.first_part[0]).hostname}"


def _note_addresses(context: Context, response: Response) -> None:
    """Note an address that is silent: hf_xet tries both families at once, so that it does not fail."""
    host = http_request.connection_target(response.url)[0]
    if lost := addresses.lost(host):
        context.notes.append(f"{host}: {lost.detail}")


def _reconstruction(context: Context) -> Response:
    """The reconstruction in version 2 of the protocol, else in version 1, which is hf_xet's order."""
    xet_hash = context.metadata.headers["x-xet-hash"] if context.metadata else ""
    last_byte = context.probed.size_bytes - 1
    headers = {"Authorization": f"Bearer {context.read_token}", "Range": f"bytes=0-{last_byte}"}
    trust = trust_store.ssl_context(trust_store.HTTPX, system=True)
    for version in ("v2", "v1"):
        url = f"{context.cas_url.rstrip('/')}/{version}/reconstructions/{xet_hash}"
        response = http_request.send(url, trust, headers=headers)
        if response.status not in (404, 501):
            break
    return response


def first_part(reconstruction: dict[str, Any]) -> tuple[str, str]:
    """URL and Range of the first part in a reconstruction, of version 2 (`xorbs`) or 1 (`fetch_info`).

    >>> first_part({"fetch_info": {"9f2c": [{"url": "https://transfer/9f2c", "url_range": {"start": 0, "end": 99}}]}})
    ('https://transfer/9f2c', 'bytes=0-99')
    """
    for parts in (reconstruction.get("xorbs") or reconstruction.get("fetch_info") or {}).values():
        for part in parts:
            byte_range = part["ranges"][0]["bytes"] if "ranges" in part else part["url_range"]
            return part["url"], f"bytes={byte_range['start']}-{byte_range['end']}"
    return "", ""


def fetch_first_part(context: Context) -> str:
    """Fetch the file's first part from Xet's transfer host."""
    url, byte_range = context.first_part
    if not url:
        raise Skipped("files are not fetched through Xet")
    trust = trust_store.ssl_context(trust_store.HTTPX, system=True)
    # The URL is signed for exactly this range; any other is refused.
    response = http_request.send(url, trust, headers={"Range": byte_range})
    require_file_bytes(response, context.probed.size_bytes)
    _note_addresses(context, response)
    return f"{response.host} sends {len(response.body)} bytes"


def fetch_from_cdn(context: Context) -> tuple[str, Response]:
    """Fetch one byte of the file without Xet, from the CDN; what it sends, in words and as it came."""
    # The Hub signs the CDN's URL for the range of the first request, so that Range is sent from the start.
    response = context.get(context.probed.path, byte_range="bytes=0-0", other_hosts=True)
    require_file_bytes(response, context.probed.size_bytes)
    return f"{response.host} sends {len(response.body)} bytes", response
