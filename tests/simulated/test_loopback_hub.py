"""The Hub on loopback: the real clients download from it with and without Xet, and it fails as configured."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import needs
import pytest
from simulated import certificates, hub_modes, loopback_hub, loopback_proxy, namespace, xet_store
from simulated.loopback_hub import LoopbackHub
from simulated.loopback_proxy import LoopbackProxy
from simulated.loopback_server import Fault
from simulated.secret_watch import Watch

CLIENT = """
import hashlib, json, sys, warnings
warnings.simplefilter("ignore")
import huggingface_hub as client
repo, revision, requests = sys.argv[1], sys.argv[2], sys.argv[3:]
api, results = client.HfApi(), {}
for one in requests:
    try:
        if one == "whoami":
            results[one] = api.whoami()["auth"]["accessToken"]["role"]
        elif one == "info":
            results[one] = [api.model_info(repo).sha, api.model_info(repo, revision=revision).id]
        elif one == "tree":
            results[one] = {file.path: file.size for file in api.list_repo_tree(repo, revision=revision)}
        else:
            path = client.hf_hub_download(repo, one, revision=revision)
            results[one] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    except Exception as error:
        results[one] = [cls.__name__ for cls in type(error).__mro__]
print(json.dumps(results))
"""
WEIGHTS = "model.safetensors"
WITHOUT_XET = {"HF_HUB_DISABLE_XET": "1"}


def client(
    hub: LoopbackHub, home: Path, *requests: str, token: str = loopback_hub.TOKEN, **variables: str
) -> dict[str, Any]:
    """The results of the installed huggingface_hub and hf_xet, in a new process with an empty cache.

    Of each request: its result, or the names of the classes of the error.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {**hub.environment(), **({"HF_TOKEN": token} if token else {}), **variables}
    args = [sys.executable, "-P", "-c", CLIENT, hub.repo, hub.revision, *requests]
    done = subprocess.run(args, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def fetch(hub: LoopbackHub, url: str, **headers: str) -> Any:
    """The response to one request by the standard library; redirects are not followed."""

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None: ...

    trust = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(hub.authority.bundle)))
    opener = urllib.request.build_opener(trust, NoRedirect(), urllib.request.ProxyHandler({}))
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=10)
    except urllib.error.HTTPError as error:
        return error


def test_the_real_clients_download_through_xet(tmp_path: Path) -> None:
    with LoopbackHub() as hub:
        results = client(hub, tmp_path, "whoami", "info", "tree", "config.json", WEIGHTS)
    assert results["whoami"] == "read"
    assert results["info"] == [hub.revision, hub.repo]
    assert results["tree"] == {name: len(data) for name, data in hub.files.items()}
    assert results["config.json"] == hub.sha256("config.json")
    assert results[WEIGHTS] == hub.sha256(WEIGHTS)
    assert [request.status for request in hub.received("cas", "/reconstructions/")] == [200]
    assert [request.status for request in hub.received("transfer")] == [206]
    assert hub.received("cdn") == []
    sent = {
        server: {request.headers.get("authorization") for request in hub.received(server)}
        for server in ("cas", "transfer")
    }
    assert sent == {"cas": {f"Bearer {loopback_hub.READ_TOKEN}"}, "transfer": {None}}


def test_the_real_clients_download_from_the_cdn_without_xet_and_without_the_token(tmp_path: Path) -> None:
    with LoopbackHub(tls=False, prefix="/mirror/hf") as hub:
        assert client(hub, tmp_path, WEIGHTS, **WITHOUT_XET) == {WEIGHTS: hub.sha256(WEIGHTS)}
    assert hub.received("cas") == hub.received("transfer") == []
    assert [(request.status, request.headers.get("authorization")) for request in hub.received("cdn")] == [(200, None)]


def test_hf_xet_reads_a_local_store(tmp_path: Path) -> None:
    with LoopbackHub(cas="local") as hub:
        assert client(hub, tmp_path, WEIGHTS) == {WEIGHTS: hub.sha256(WEIGHTS)}
    assert {request.server for request in hub.requests} == {"hub"}


@pytest.mark.parametrize(("mode", "variables"), [("transfer-corrupt", {}), ("cdn-corrupt", WITHOUT_XET)])
def test_the_clients_do_not_notice_a_changed_byte(mode: str, variables: dict[str, str], tmp_path: Path) -> None:
    """Which is why the diagnosis compares the hash itself."""
    with LoopbackHub(mode) as hub:
        [sha256] = client(hub, tmp_path, WEIGHTS, **variables).values()
    assert isinstance(sha256, str)
    assert sha256 != hub.sha256(WEIGHTS)


@pytest.mark.parametrize(
    ("mode", "token", "raised"),
    [
        ("gated", loopback_hub.TOKEN, "GatedRepoError"),
        ("missing", loopback_hub.TOKEN, "RepositoryNotFoundError"),
        ("healthy", "hf_" + "unknown", "HfHubHTTPError"),
    ],
)
def test_the_real_clients_raise_their_errors_for_each_refusal(
    mode: str, token: str, raised: str, tmp_path: Path
) -> None:
    with LoopbackHub(mode) as hub:
        results = client(hub, tmp_path, WEIGHTS, "whoami", token=token)
    assert results[WEIGHTS][0] == raised
    assert ("HTTPError" in results["whoami"]) == (mode == "healthy") or results["whoami"] == "read"


def test_the_real_clients_use_the_proxy_for_every_request(tmp_path: Path) -> None:
    with LoopbackHub() as hub, LoopbackProxy(loopback_proxy.DEMANDS) as proxy:
        assert client(hub, tmp_path, WEIGHTS, **proxy.environment(user=True)) == {WEIGHTS: hub.sha256(WEIGHTS)}
        through = {request.path.rpartition(":")[2] for request in proxy.requests if request.status == 200}
    assert through == {str(server.port) for server in (hub.hub_server, hub.cas_server, hub.transfer_server)}


def test_signed_url_is_valid_for_its_own_range_only() -> None:
    with LoopbackHub() as hub:
        resolve = f"{hub.endpoint}/{hub.repo}/resolve/{hub.revision}/{WEIGHTS}"
        signed = fetch(hub, resolve, Range="bytes=5-9").headers["Location"]
        part = fetch(hub, signed, Range="bytes=5-9")
        assert (part.status, part.read()) == (206, hub.files[WEIGHTS][5:10])
        assert fetch(hub, signed, Range="bytes=5-10").status == 403
        assert fetch(hub, signed).status == 403
        assert fetch(hub, fetch(hub, resolve).headers["Location"]).read() == hub.files[WEIGHTS]
        beyond = fetch(hub, resolve, Range="bytes=999999-").headers["Location"]
        assert fetch(hub, beyond, Range="bytes=999999-").status == 416


def test_cas_describes_any_range_in_both_protocol_versions_and_only_with_its_read_token() -> None:
    with LoopbackHub() as hub:
        stored = hub.stored[WEIGHTS]
        url = f"{hub.cas_server.url}/{{}}/reconstructions/{stored.hash}"
        authorization = {"Authorization": f"Bearer {loopback_hub.READ_TOKEN}"}
        assert fetch(hub, url.format("v2")).status == 401
        whole = json.load(fetch(hub, url.format("v1"), **authorization))
        assert sum(term["unpacked_length"] for term in whole["terms"]) == stored.size
        assert list(whole["fetch_info"]) == [stored.xorb_hash]
        part = json.load(fetch(hub, url.format("v2"), Range="bytes=200000-200001", **authorization))
        [piece] = part["xorbs"][stored.xorb_hash]
        byte_range = piece["ranges"][0]["bytes"]
        sent = fetch(hub, piece["url"], Range=f"bytes={byte_range['start']}-{byte_range['end']}").read()
        # After the header of the chunk, which holds random bytes and so is stored uncompressed.
        start = part["offset_into_first_range"] + xet_store.CHUNK_HEADER
        assert sent[start : start + 2] == hub.files[WEIGHTS][200000:200002]
        assert fetch(hub, url.format("v2"), Range="bytes=999999-", **authorization).status == 416


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        ("expired", "certificate has expired"),
        ("another-host", "Hostname mismatch"),
        (hub_modes.COMPANY_CERTIFICATE, "unable to get local issuer certificate|self.signed certificate in"),
    ],
)
def test_bad_certificate_is_refused_and_the_server_logs_it(certificate: str, message: str) -> None:
    with LoopbackHub(hub_modes.Mode("", hub=Fault(certificate=certificate))) as hub:
        with pytest.raises(urllib.error.URLError, match=message):
            fetch(hub, hub.endpoint)
        deadline = time.monotonic() + 5
        while not hub.received("hub") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [request.method for request in hub.received("hub")] == ["TLS"]


@pytest.mark.parametrize(
    ("listen", "raised"),
    [("refused", ConnectionRefusedError), ("dropped", TimeoutError), ("silent", TimeoutError), ("mute", TimeoutError)],
)
def test_each_listen_fault_raises_its_own_error(listen: str, raised: type[Exception]) -> None:
    with LoopbackHub(hub_modes.Mode("", hub=Fault(listen=listen))) as hub, pytest.raises(raised):
        request(hub, completes_handshake=listen == "mute")


def request(hub: LoopbackHub, *, completes_handshake: bool) -> None:
    """Connect, establish TLS and send a request, with 0.6 s for each."""
    connection = socket.create_connection(("127.0.0.1", hub.hub_server.port), timeout=0.6)
    trust = ssl.create_default_context(cafile=str(hub.authority.bundle))
    with connection, trust.wrap_socket(connection, server_hostname="localhost") as secured:
        assert completes_handshake
        secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        secured.recv(1)


def test_slow_headers_and_a_cut_body() -> None:
    mode = hub_modes.Mode("", hub=Fault(header_bytes_per_s=400), cdn=Fault(cut_after=1000, cuts=1))
    with LoopbackHub(mode) as hub:
        started = time.monotonic()
        signed = fetch(hub, f"{hub.endpoint}/{hub.repo}/resolve/main/{WEIGHTS}").headers["Location"]
        assert time.monotonic() - started > 1
        with pytest.raises(Exception, match=r"IncompleteRead|EOF occurred"):
            fetch(hub, signed).read()
        assert fetch(hub, signed).read() == hub.files[WEIGHTS]


def test_inspecting_authority_has_a_name_of_its_own(tmp_path: Path) -> None:
    company = certificates.Authority(tmp_path, certificates.COMPANY)
    assert certificates.COMPANY in str(ssl._ssl._test_decode_cert(str(company.bundle))["issuer"])  # type: ignore[attr-defined]


def test_namespace_has_its_own_names_and_firewall() -> None:
    if why := namespace.unusable():
        needs.missing(f"network namespaces ({why})", "As root: apt-get install iproute2 iptables util-linux")
    program = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from simulated import namespace
namespace.configure("unknown", {"known.test": "127.0.0.9"})
with socket.create_server(("127.0.0.9", 9999)):
    socket.create_connection(("known.test", 9999), timeout=5).close()
    namespace.firewall("drop", "127.0.0.9", 9999)
    for host in ("known.test", "huggingface.co"):
        try:
            socket.create_connection((host, 9999), timeout=0.5)
        except OSError as error:
            print(type(error).__name__, getattr(error, "errno", None) == socket.EAI_NONAME)
"""
    args = namespace.inside(sys.executable, "-c", program, str(Path(__file__).parents[1]))
    done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.split("\n")[:2] == ["TimeoutError False", "gaierror True"], done.stderr
    assert "known.test" not in Path("/etc/hosts").read_text(encoding="utf-8")


def test_secret_is_seen_in_a_deleted_file_and_in_the_arguments_of_a_process(tmp_path: Path) -> None:
    secret = "secret" + str(os.getpid())
    with Watch(tmp_path, {"it": secret}) as watch:
        (tmp_path / "private").mkdir()
        (tmp_path / "private" / "token").write_text(secret, encoding="utf-8")
        watch.scan()
        assert watch.sightings("case") == watch.sightings("") == []
        (tmp_path / "case").mkdir()
        (tmp_path / "case" / "log").write_text(f"... {secret} ...", encoding="utf-8")
        watch.scan()
        (tmp_path / "case" / "log").unlink()
        with subprocess.Popen([sys.executable, "-c", "input()", secret], stdin=subprocess.PIPE) as process:
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # between fork and exec
                time.sleep(0.01)
            watch.scan()
            process.kill()
    assert watch.sightings("case") == [f"it was in {tmp_path}/case/log"]
    assert watch.sightings("") == [f"it was in /proc/{process.pid}/cmdline"]
