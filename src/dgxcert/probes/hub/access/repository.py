"""A repository of the user's own on the Hub: whether it is there, this token may read it, and its files have room.

Run as `python -m dgxcert.probes.hub.access.repository TYPE NAME`, in a process of its own with a time limit, it prints
the steps as JSON.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dgxcert.container import hub_home
from dgxcert.probes.hub import secrets
from dgxcert.probes.hub import settings as hub_settings
from dgxcert.probes.hub.access import token
from dgxcert.probes.hub.context import Context, ProbedFile
from dgxcert.probes.hub.http_request import RequestFailed
from dgxcert.probes.hub.response import json_body, require_success

TYPES = ("model", "dataset", "space")
PREFIX = {"model": "", "dataset": "datasets/", "space": "spaces/"}
"""Of the paths of files, as huggingface_hub's REPO_TYPES_URL_PREFIXES has them."""
MARGIN_BYTES = 1 << 30
"""Room that a download leaves for the rest."""


@dataclass
class Asked:
    """A repository, and what the Hub says of it."""

    kind: str
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    """gated, private, revision, files, size_bytes, checked (a file), free_bytes and cache, as far as they are known."""


def look_up(asked: Asked, context: Context) -> str:
    """Ask the API for the repository and its files. Raises RequestFailed."""
    response = context.get(f"/api/{asked.kind}s/{quote(asked.name)}?blobs=true", api=True)
    if response.status in (401, 404) and response.headers.get("x-error-code") != "RevisionNotFound":
        anonymous = "with this token" if context.settings.token else "without a token"
        who = f"as {context.access.user}" if context.access else anonymous
        said = response.headers.get("x-error-message") or f"HTTP {response.status}"
        scoped = context.access is None or context.access.reads(asked.name)
        scope = "" if scoped else "; the fine-grained token has no right to read it, if it is private"
        raise RequestFailed("private", response.host, f"{asked.kind} {asked.name} is not found {who}: {said}{scope}")
    body = json_body(response)
    require_success(response)
    siblings = [entry for entry in body.get("siblings") or () if isinstance(entry, dict)]
    sizes = [entry["size"] for entry in siblings if isinstance(entry.get("size"), int)]
    names = [str(entry.get("rfilename")) for entry in siblings]
    asked.facts |= {"gated": body.get("gated") or False, "private": bool(body.get("private"))}
    asked.facts |= {"revision": str(body.get("sha") or "main"), "files": len(names), "size_bytes": sum(sizes)}
    asked.facts["checked"] = max(siblings, key=lambda entry: entry.get("size") or 0, default={}).get("rfilename", "")
    gated = f"gated ({asked.facts['gated']})" if asked.facts["gated"] else "not gated"
    privacy = "private" if asked.facts["private"] else "public"
    size = f"{sum(sizes) / 1e9:.2f} GB" if sizes else "of unknown size"
    return f"{asked.kind} {asked.name}: {privacy}, {gated}, {len(names)} files, {size}"


def read_a_file(asked: Asked, context: Context) -> str:
    """Ask for the metadata of the largest file, as a download does first. Raises RequestFailed."""
    name = asked.facts["checked"]
    if not name:
        return "it has no files"
    path = f"/{PREFIX[asked.kind]}{quote(asked.name)}/resolve/{asked.facts['revision']}/{quote(name)}"
    response = context.get(path, method="HEAD")
    if response.status not in (200, 302, 307):
        require_success(response)
    size = response.headers.get("x-linked-size") or response.headers.get("content-length", "unknown")
    etag = response.headers.get("x-linked-etag", response.headers.get("etag", "")).strip('"')
    if not response.headers.get("x-repo-commit"):
        raise RequestFailed("no-metadata", response.host, f"{name}: the answer names no commit")
    return f"{name}: {size} bytes, hash {etag[:12] or 'unknown'}; this user may read it"


def have_room(asked: Asked, _: Context) -> str:
    """Compare the size of the files with the room in the cache. Raises RequestFailed where they do not fit."""
    cache = hub_home.cache()
    there = next((folder for folder in (cache, *cache.parents) if folder.exists()), Path("/"))
    free, size = shutil.disk_usage(there).free, asked.facts["size_bytes"]
    asked.facts |= {"free_bytes": free, "cache": str(cache)}
    found = f"{free / 1e9:.1f} GB free in {cache}, {size / 1e9:.2f} GB wanted"
    if size + MARGIN_BYTES > free:
        raise RequestFailed("no-room", "", found)
    return found


STEPS: tuple[tuple[str, Callable[[Asked, Context], str]], ...] = (
    ("repository", look_up),
    ("file", read_a_file),
    ("room", have_room),
)


def ask(asked: Asked) -> list[dict[str, object]]:
    """The steps up to the first that fails, by the fields of diagnosis.Step."""
    context, done = Context(ProbedFile(asked.name, "main", "", 0), hub_settings.read()), []
    if context.settings.token:
        whoami = context.get("/api/whoami-v2", api=True)
        context.access = token.parse(json_body(whoami)) if whoami.status == 200 else None
    for name, step in STEPS:
        started = time.monotonic()
        result: dict[str, object] = {"name": name, "state": "ok", "cause": "", "host": ""}
        try:
            result["detail"] = step(asked, context)
        except RequestFailed as failure:
            cause = failure.cause
            if cause == "gated":
                cause = token.cause_of_gate(str(failure), context.access)
            result |= {"state": "failed", "cause": cause, "host": failure.host, "detail": str(failure)}
        result["detail"] = secrets.scrub(str(result["detail"]), context.settings.token)
        done.append(result | {"seconds": round(time.monotonic() - started, 3)})
        if result["state"] != "ok":
            break
    return done


def main() -> None:
    """Print the steps and the facts as JSON."""
    asked = Asked(sys.argv[1], sys.argv[2])
    json.dump({"steps": ask(asked), "facts": asked.facts}, sys.stdout)


if __name__ == "__main__":
    main()
