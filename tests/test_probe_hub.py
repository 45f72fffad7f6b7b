"""The Hub has answered only where it names the model that was asked for; all else is inconclusive."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes import hub

HUB = "huggingface.co"
CARD = json.dumps({"id": hub.MODEL, "private": False, "pipeline_tag": "text-generation"})
PORTAL = "<!DOCTYPE html><html><title>Guest Wi-Fi: please log in</title></html>"


def test_only_the_model_that_was_asked_for_is_the_hubs_answer() -> None:
    assert hub.parse(json.dumps({"status": 200, "body": CARD}), HUB) == hub.Hub(HUB, 200, hub.MODEL)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status": 200, "body": PORTAL}, "something answered for huggingface.co with HTTP 200 that is not the Hub"),
        ({"status": 407, "body": "Proxy authentication required"}, "with HTTP 407 that is not the Hub"),
        ({"status": 200, "body": ""}, "that is not the Hub: ''"),
        ({"status": 200, "body": "[]"}, "that is not the Hub"),
        ({"status": 200, "body": "null"}, "that is not the Hub"),
        ({"status": 200, "body": '{"id": "someone/else"}'}, "answered HTTP 200 for openai-community/gpt2"),
        ({"status": 200, "body": "{}"}, "answered HTTP 200 for"),
        ({"status": 401, "body": '{"error": "Invalid credentials"}'}, "answered HTTP 401 for"),
        ({"status": 429, "body": '{"error": "rate limit"}'}, "answered HTTP 429 for"),
        ({"status": 500, "body": CARD}, "answered HTTP 500 for"),
        ({"error": "URLError: Name or service not known"}, "cannot be reached: URLError: Name or service"),
    ],
)
def test_whatever_else_answers_for_the_hub_is_inconclusive(answer: dict[str, Any], says: str) -> None:
    with pytest.raises(Inconclusive, match=says) as raised:
        hub.parse(json.dumps(answer), HUB)
    assert any("curl" in step for step in raised.value.remedy)


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A Hub on loopback that knows one model and limits the rate of every other question."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == f"/api/models/{hub.MODEL}"
            self.send_response(200 if known else 429)
            self.end_headers()
            self.wfile.write(CARD.encode() if known else b"slow down")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_hub_is_asked_over_http(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert hub.read() == hub.Hub("127.0.0.1", 200, hub.MODEL)
    assert hub.ask(f"{endpoint}/elsewhere") == {"status": 429, "body": "slow down"}


@pytest.mark.parametrize(
    "where", ["ftp://huggingface.co", "file:///etc/passwd", "huggingface.co", "http://127.0.0.1:1"]
)
def test_a_hub_that_cannot_be_asked_comes_back_as_words(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert set(hub.ask(where)) == {"error"}


@pytest.mark.parametrize("value", ["1", "true", "ON", "yes"])
def test_a_hub_that_is_switched_off_was_not_looked_at(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(Inconclusive, match="HF_HUB_OFFLINE is set, so the Hub was not asked"):
        hub.read()


def test_a_hub_that_does_not_answer_in_time_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(command, "run", lambda args, **_: command.Completed(tuple(args), None, "", ""))
    with pytest.raises(Inconclusive, match="did not answer within 15 s"):
        hub.read()
