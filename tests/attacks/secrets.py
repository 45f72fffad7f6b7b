"""Planted secrets in many spellings at every exit: each is redacted; what a report is made of is not."""

import base64
import html
import json
import os
import random
import shlex
import string
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from attacks.attack import Attack, Harm, Try, dgxcert, judged

from dgxcert.record import journal
from dgxcert.redaction import scrubber
from dgxcert.runner.child_log import ChildLog

VARIABLES = ("LAB_TOKEN", "HTTPS_PROXY", "UV_INDEX_LAB_PASSWORD", "DOCKER_AUTH_CONFIG")
LETTERS = string.ascii_letters + string.digits + "-_~!$*+/%&'\"<= é"
SPELLINGS = {
    "raw": str,
    "URL": lambda text: quote(text, safe=""),
    "URL, twice": lambda text: quote(quote(text, safe="")),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[2:-2],
    "repr": lambda text: repr(text.encode())[2:-1],
    "HTML": html.escape,
    "shell": shlex.quote,
    "hexadecimal": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Basic": lambda text: base64.b64encode(f"ada:{text}".encode()).decode(),
    "urlsafe": lambda text: base64.urlsafe_b64encode(f"a{text}z".encode()).decode(),
    "wrapped": lambda text: f"{text[:7]}\n   {text[7:]}",
    "upper case": lambda text: text.upper(),
}
HEALTHY = (
    "sha256:{}",
    "commit {:.40}",
    "GPU-{0:.8}-{0:.4}-41d3-9a0c-{0:.12}",
    "layer@sha256:{}",
    "/cache/blobs/{}",
    "token {:.6} s",
)


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Plant random secrets in the environment and let them out in each spelling; let digests out as well."""
    dice = random.Random(seed)
    before = dict(os.environ)
    try:
        for _ in range(2 if quick else 30):
            secret = (
                "".join(dice.choices(string.ascii_letters + string.digits, k=6) + dice.choices(LETTERS, k=9)) + "q7"
            )
            variable = dice.choice(VARIABLES)
            os.environ[variable] = _held(variable, secret)
            for name, spelled in SPELLINGS.items():
                yield from _exits(f"{name} in {variable}", f"before {spelled(secret)} after", spelled(secret), folder)
            del os.environ[variable]
        for _ in range(50 if quick else 2000):
            text = dice.choice(HEALTHY).format(dice.randbytes(32).hex())
            yield Try("a healthy text", None if scrubber.text(text) == text else Harm.WRONG, text)
    finally:
        os.environ.clear()
        os.environ.update(before)
    shown = dgxcert("show", "no/Xq7PlantedSecret99zz", folder=folder, LAB_TOKEN="Xq7PlantedSecret99zz")
    yield judged("a secret in an error", shown, secrets=["Xq7PlantedSecret99zz"])


def _held(variable: str, secret: str) -> str:
    if variable == "HTTPS_PROXY":
        return f"http://ada:{quote(secret, safe='')}@proxy.example:3128"
    if variable == "DOCKER_AUTH_CONFIG":
        return json.dumps({"auths": {"nvcr.io": {"auth": base64.b64encode(f"ada:{secret}".encode()).decode()}}})
    return secret


def _exits(name: str, text: str, spelled: str, folder: Path) -> Iterator[Try]:
    """Text as it is printed, a line of a record, a line of a log."""
    line = journal.Said(key="A", text=text).model_dump_json()
    (folder / "log").unlink(missing_ok=True)
    with ChildLog((folder / "log").open("xb"), folder / "log") as log:
        log.pipe.write(text.encode())
    said = json.loads(scrubber.json_text(line))["text"]
    exits = {"screen": scrubber.text(text), "record": said, "log": (folder / "log").read_text(encoding="utf-8")}
    for where, left in exits.items():
        yield Try(f"{where}: {name}", Harm.LEAK if spelled in left or "[secret]" not in left else None, left)


ATTACK = Attack("secrets", "planted secrets in many spellings at every exit; digests that must stay", tries)
