"""Steps: the result of a step names its state and cause; a transient fault is retried once."""

from collections.abc import Callable

import pytest

from dgxcert.probes.hub import settings, steps
from dgxcert.probes.hub.context import Context, ProbedFile, Skipped
from dgxcert.probes.hub.http_request import RequestFailed, Response
from dgxcert.probes.hub.settings import InvalidSetting

pytestmark = pytest.mark.usefixtures("plain_hub_environment")

PROBED = ProbedFile("tiny", "0" * 40, "model.safetensors", 9)


def raising(*errors: Exception) -> Callable[[Context], str]:
    """A step that raises these errors, one at each call, and then succeeds."""
    remaining = list(errors)

    def step(_: Context) -> str:
        if remaining:
            raise remaining.pop(0)
        return "done"

    return step


@pytest.mark.parametrize(
    ("error", "field", "value"),
    [
        (Skipped("not needed"), "state", "skipped"),
        (InvalidSetting("endpoint", "no URL"), "cause", "endpoint"),
        (RequestFailed("refused", "h", "refused"), "host", "h"),
        (RequestFailed("bad-token", "h", "401"), "cause", "login-required"),  # there is no token
        (KeyError("bytes"), "cause", "unexpected-response"),
    ],
)
def test_outcome_follows_from_the_exception(error: Exception, field: str, value: str) -> None:
    assert steps.run_step("cas", raising(error), Context(PROBED))[field] == value


def test_step_that_returns_is_ok() -> None:
    result = steps.run_step("dns", raising(), Context(PROBED))
    assert (result["state"], result["detail"]) == ("ok", "done")


@pytest.mark.parametrize("cause", ["connection-closed", "timeout"])
def test_transient_fault_of_a_storage_host_is_retried_once(cause: str) -> None:
    fault = RequestFailed(cause, "h", "reset")
    assert steps.run_step("cdn", raising(fault), Context(PROBED))["state"] == "ok"
    assert steps.run_step("cdn", raising(fault, fault), Context(PROBED))["cause"] == cause


@pytest.mark.parametrize(
    ("mirror", "etag", "state", "cause"),
    [
        (False, "a" * 64, "ok", ""),
        (False, "a" * 32, "failed", "no-metadata"),
        (True, "a" * 32, "ok", ""),
    ],
)
def test_public_hub_must_send_a_sha256(
    monkeypatch: pytest.MonkeyPatch, mirror: bool, etag: str, state: str, cause: str
) -> None:
    headers = {"x-repo-commit": PROBED.revision, "x-linked-etag": f'"{etag}"', "x-linked-size": "9"}
    monkeypatch.setattr(Context, "get", lambda *_, **__: Response("https://h/x", 302, headers, b""))
    endpoint = "https://mirror" if mirror else settings.DEFAULT_ENDPOINT
    context = Context(PROBED, settings.Settings(endpoint, "", "", True, ""))
    result = steps.run_step("metadata", steps.fetch_metadata, context)
    assert (result["state"], result["cause"]) == (state, cause)
