"""Findings: each kind of value that a client takes otherwise than meant is named, with a remedy, and no secret is."""

import pytest

from dgxcert.probes.hub.variables import findings
from dgxcert.probes.hub.variables.findings import Installed

COURSE = Installed("0.36.2", "4.57.6", lambda module: False)
CURRENT = Installed("2.4.0", "5.23.0", lambda module: False)
BOTH = (COURSE, CURRENT)


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    ("environ", "cause", "remedy"),
    [
        ({"HF_HUB_ETAG_TIMEOUT": "10s"}, "variable", "unset HF_HUB_ETAG_TIMEOUT"),
        ({"HF_HUB_DOWNLOAD_TIMEOUT": ""}, "variable", "export HF_HUB_DOWNLOAD_TIMEOUT=10"),
        ({"HF_HUB_DOWNLOAD_TIMEOUT": "-1"}, "variable", "unset HF_HUB_DOWNLOAD_TIMEOUT"),
        ({"HF_ENDPOINT": '"https://hf.example"'}, "endpoint", "export HF_ENDPOINT=https://hf.example"),
        ({"HF_ENDPOINT": "https://hf.example "}, "endpoint", "unset HF_ENDPOINT"),
        ({"HF_TOKEN": "'hf_secret'"}, "bad-token", "Set it again without quotes: export HF_TOKEN=TOKEN"),
        ({"HUGGINGFACE_CO_STAGING": "ON"}, "variable", "unset HUGGINGFACE_CO_STAGING"),
        ({"https_proxy": "socks5://h:1"}, "variable", "export https_proxy=http://h:1"),
        ({"ALL_PROXY": "socks://me:secret@h:1"}, "proxy-url", "export ALL_PROXY=socks5://h:1"),
        ({"HTTPS_PROXY": "http://h:port"}, "proxy-url", "unset HTTPS_PROXY"),
    ],
)
def test_value_with_which_no_download_works_is_fatal(
    client: Installed, environ: dict[str, str], cause: str, remedy: str
) -> None:
    first = findings.read(environ, client)[0]
    assert (first.fatal, first.cause) == (True, cause)
    assert remedy in first.remedy
    assert "secret" not in first.summary


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"HF_HUB_OFFLINE": "y"}, "reads it as false"),
        ({"HF_HUB_DISABLE_XET": "enabled"}, "reads it as false"),
        ({"HF_HUB_DOWNLOAD_TIMEOUT": "1"}, "waits 1 s"),
        ({"HF_HOME": "$NOWHERE_SET/hf"}, "a variable that is not set"),
        ({"HF_HUB_CACHE": "models"}, "no absolute path"),
        ({"HF_HOME": ""}, "it is empty"),
        ({"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/b"}, "HF_HUB_CACHE overrides it"),
        ({"HF_TOKEN": "hf_secret", "HUGGING_FACE_HUB_TOKEN": "hf_other"}, "HF_TOKEN overrides it"),
        ({"HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, "not sent by itself"),
        ({"HF_TOKEN": "secret"}, "does not begin with hf_"),
        ({"HUGGINGFACE_TOKEN": "hf_secret"}, "its own variable is HF_TOKEN"),
        ({"HF_HUB_CAHCE": "/a"}, "HF_HUB_CACHE is one that is read"),
        ({"HF_DATASETS_OFFLINE": "1"}, "for data sets the Hub is switched off"),
        ({"HF_DATASETS_OFFLINE": "0", "HF_HUB_OFFLINE": "1"}, "for data sets the Hub is switched on"),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, "HF_HUB_OFFLINE overrides it"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://h:1"}, "hf_xet takes HTTPS_PROXY"),
    ],
)
def test_value_that_is_meant_otherwise_is_noted(client: Installed, environ: dict[str, str], says: str) -> None:
    found = findings.read(environ, client)
    assert [says in finding.meaning for finding in found] == [True]
    assert not found[0].fatal
    assert found[0].remedy
    assert "secret" not in found[0].summary


def test_what_an_old_and_a_new_version_read_differs() -> None:
    assert findings.read({"HF_HUB_ENABLE_HF_TRANSFER": "1"}, COURSE)[0].fatal
    assert not findings.read({"HF_HUB_ENABLE_HF_TRANSFER": "1"}, CURRENT)[0].fatal
    assert findings.read({"HF_HUB_ENABLE_HF_TRANSFER": "1"}, Installed("0.36.2", "", lambda _: True)) == ()
    assert findings.read({"TRANSFORMERS_CACHE": "/a"}, COURSE) == ()
    assert "no installed version reads it" in findings.read({"TRANSFORMERS_CACHE": "/a"}, CURRENT)[0].meaning


def test_httpx_prepares_every_proxy_and_requests_only_its_own() -> None:
    environ = {"http_proxy": "socks5://h:1"}
    assert findings.read(environ, COURSE) == ()
    assert findings.read(environ, CURRENT)[0].fatal
    assert findings.read({**environ, "no_proxy": "hub.example, *"}, CURRENT) == ()
    assert findings.read(environ, Installed("2.4.0", "", lambda module: module == "socksio")) == ()


@pytest.mark.parametrize("client", BOTH)
def test_ordinary_environment_is_quiet(client: Installed) -> None:
    environ = {"HF_HOME": "/data/hf", "XDG_CACHE_HOME": "/data", "HF_TOKEN": "hf_a", "HF_ENDPOINT": "https://hub.lab/"}
    environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "true", "HF_HUB_OFFLINE": "0", "HF_XET_HIGH_PERFORMANCE": "1"}
    environ |= {"HTTPS_PROXY": "http://proxy:3128", "https_proxy": "http://proxy:3128/", "NO_PROXY": "localhost"}
    environ |= {"HF_TOKEN_FILE": "/run/secrets/hf", "HF_SPACE_ID": "a/b", "HF_HUB_DOWNLOAD_TIMEOUT": "30"}
    assert findings.read(environ, client) == ()
