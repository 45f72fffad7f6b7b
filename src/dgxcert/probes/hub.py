"""The Hugging Face Hub: whether its API answers from here, with one small question under a hard time limit.

Run as `python -m dgxcert.probes.hub URL` it asks once and prints what came back as JSON. The question is asked from
a process of its own because looking up a name has no time limit of its own.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from dgxcert import command
from dgxcert.outcome import Inconclusive

DEFAULT_ENDPOINT = "https://huggingface.co"
MODEL = "openai-community/gpt2"
LIMIT_S = 15.0


@dataclass(frozen=True)
class Hub:
    """An answer of the Hub: where it was asked, HTTP status, and the model it names."""

    endpoint: str
    status: int
    model: str


def read() -> Hub:
    """Ask the Hub for one public model's card.

    Raises Inconclusive, with what to do, when it is switched off, not reached in time, or something else answers.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}:
            raise Inconclusive(f"{name} is set, so the Hub was not asked", f"To test the Hub: unset {name}")
    host = urlsplit(endpoint).hostname or endpoint
    asked = command.run([sys.executable, "-P", "-m", "dgxcert.probes.hub", endpoint], timeout_s=LIMIT_S)
    if asked.timed_out:
        raise Inconclusive(f"{host} did not answer within {LIMIT_S:.0f} s", *_steps(host))
    if asked.returncode != 0:
        raise Inconclusive(f"the question to {host} could not be asked: {asked.complaint}", *_steps(host))
    return parse(asked.stdout, host)


def parse(answer: str, host: str) -> Hub:
    """What `ask` printed, judged: only JSON that names the model asked for is the Hub's. Raises Inconclusive."""
    said = json.loads(answer)
    if said.get("error"):
        raise Inconclusive(f"{host} cannot be reached: {said['error']}", *_steps(host))
    status, body = said["status"], said["body"]
    try:
        model = json.loads(body).get("id")
    except (ValueError, AttributeError):
        raise Inconclusive(
            f"something answered for {host} with HTTP {status} that is not the Hub: {body[:80]!r}",
            "Open the Hub in a browser on this machine: a log-in page of the network may stand before it.",
            *_steps(host),
        ) from None
    if status != 200 or model != MODEL:
        raise Inconclusive(f"{host} answered HTTP {status} for {MODEL}", *_steps(host))
    return Hub(host, status, model)


def _steps(host: str) -> tuple[str, ...]:
    return (
        f"Try by hand: curl -sS -m 10 -o /dev/null -w '%{{http_code}}\\n' https://{host}/api/models/{MODEL}",
        "Behind a proxy: export HTTPS_PROXY=http://proxy:port; with a company certificate: "
        "export SSL_CERT_FILE=/path/ca.pem",
        f"Else ask whoever runs the network to let this machine reach {host} on port 443.",
    )


def ask(endpoint: str) -> dict[str, object]:
    """One HTTP request; errors of the network come back as words."""
    url = f"{endpoint}/api/models/{MODEL}"
    if urlsplit(url).scheme not in ("http", "https"):
        return {"error": f"{endpoint} is no web address"}
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S / 2) as answer:  # noqa: S310 (the scheme was checked above)
            return {"status": answer.status, "body": answer.read(1 << 20).decode("utf-8", errors="replace")}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read(2000).decode("utf-8", errors="replace")}
    except (OSError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    json.dump(ask(sys.argv[1]), sys.stdout)
