"""The Hub on loopback is one: the real clients download from it by both ways, and it fails as it is told to."""

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
from simulated import certificates, hub_modes, loopback_hub, loopback_proxy, namespace
from simulated.loopback_hub import LoopbackHub
from simulated.loopback_proxy import LoopbackProxy
from simulated.loopback_server import Fault
from simulated.secret_watch import Watch

CLIENT = """
import hashlib, json, sys, warnings
warnings.simplefilter("ignore")
import huggingface_hub as client
repo, revision, asked = sys.argv[1], sys.argv[2], sys.argv[3:]
api, said = client.HfApi(), {}
for one in asked:
    try:
        if one == "whoami":
            said[one] = api.whoami()["auth"]["accessToken"]["role"]
        elif one == "info":
            said[one] = [api.model_info(repo).sha, api.model_info(repo, revision=revision).id]
        elif one == "tree":
            said[one] = {file.path: file.size for file in api.list_repo_tree(repo, revision=revision)}
        else:
            path = client.hf_hub_download(repo, one, revision=revision)
            said[one] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    except Exception as error:
        said[one] = [each.__name__ for each in type(error).__mro__]
print(json.dumps(said))
"""
WEIGHTS = "model.safetensors"
PLAIN = {"HF_HUB_DISABLE_XET": "1"}


def client(hub: LoopbackHub, home: Path, *asked: str, token: str = loopback_hub.TOKEN, **own: str) -> dict[str, Any]:
    """What huggingface_hub and hf_xet, as installed, make of this Hub, in a fresh process with an empty cache."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {**hub.environment(), **({"HF_TOKEN": token} if token else {}), **own}
    args = [sys.executable, "-P", "-c", CLIENT, hub.repo, hub.revision, *asked]
    done = subprocess.run(args, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def fetch(hub: LoopbackHub, url: str, **headers: str) -> Any:
    """One question by the standard library; a redirect is an answer."""

    class Stays(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None: ...

    trust = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(hub.authority.bundle)))
    opener = urllib.request.build_opener(trust, Stays(), urllib.request.ProxyHandler({}))
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=10)
    except urllib.error.HTTPError as error:
        return error


def test_the_real_clients_download_through_xet(tmp_path: Path) -> None:
    with LoopbackHub() as hub:
        said = client(hub, tmp_path, "whoami", "info", "tree", "config.json", WEIGHTS)
    assert said["whoami"] == "read"
    assert said["info"] == [hub.revision, hub.repo]
    assert said["tree"] == {name: len(data) for name, data in hub.files.items()}
    assert said["config.json"] == hub.sha256("config.json")
    assert said[WEIGHTS] == hub.sha256(WEIGHTS)
    assert [asked.status for asked in hub.asked("cas", "/reconstructions/")] == [200]
    assert [asked.status for asked in hub.asked("transfer")] == [206]
    assert hub.asked("cdn") == []
    sent = {
        server: {asked.headers.get("authorization") for asked in hub.asked(server)} for server in ("cas", "transfer")
    }
    assert sent == {"cas": {f"Bearer {loopback_hub.CAS_TOKEN}"}, "transfer": {None}}


def test_the_real_clients_download_by_the_cdn_without_xet_and_tell_it_no_token(tmp_path: Path) -> None:
    with LoopbackHub(tls=False, prefix="/mirror/hf") as hub:
        assert client(hub, tmp_path, WEIGHTS, **PLAIN) == {WEIGHTS: hub.sha256(WEIGHTS)}
    assert hub.asked("cas") == hub.asked("transfer") == []
    assert [(asked.status, asked.headers.get("authorization")) for asked in hub.asked("cdn")] == [(200, None)]


def test_hf_xet_reads_the_store_from_its_own_folder(tmp_path: Path) -> None:
    with LoopbackHub(cas="local") as hub:
        assert client(hub, tmp_path, WEIGHTS) == {WEIGHTS: hub.sha256(WEIGHTS)}
    assert {asked.server for asked in hub.requests} == {"hub"}


@pytest.mark.parametrize(("mode", "way"), [("transfer-spoilt", {}), ("cdn-spoilt", PLAIN)])
def test_a_wrong_byte_passes_the_clients_unnoticed(mode: str, way: dict[str, str], tmp_path: Path) -> None:
    """So whoever wants to know must compare the hash."""
    with LoopbackHub(mode) as hub:
        [found] = client(hub, tmp_path, WEIGHTS, **way).values()
    assert isinstance(found, str)
    assert found != hub.sha256(WEIGHTS)


@pytest.mark.parametrize(
    ("mode", "token", "raised"),
    [
        ("gated", loopback_hub.TOKEN, "GatedRepoError"),
        ("missing", loopback_hub.TOKEN, "RepositoryNotFoundError"),
        ("healthy", "hf_" + "unknown", "HfHubHTTPError"),
    ],
)
def test_the_real_clients_know_what_the_hub_refuses(mode: str, token: str, raised: str, tmp_path: Path) -> None:
    with LoopbackHub(mode) as hub:
        said = client(hub, tmp_path, WEIGHTS, "whoami", token=token)
    assert said[WEIGHTS][0] == raised
    assert ("HTTPError" in said["whoami"]) == (mode == "healthy") or said["whoami"] == "read"


def test_the_real_clients_go_through_the_proxy_with_all_that_they_ask(tmp_path: Path) -> None:
    with LoopbackHub() as hub, LoopbackProxy(loopback_proxy.DEMANDS) as proxy:
        assert client(hub, tmp_path, WEIGHTS, **proxy.environment(user=True)) == {WEIGHTS: hub.sha256(WEIGHTS)}
        through = {asked.path.rpartition(":")[2] for asked in proxy.requests if asked.status == 200}
    assert through == {str(server.port) for server in (hub.hub_server, hub.cas_server, hub.transfer_server)}


def test_a_signed_address_is_good_for_its_own_part_only() -> None:
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


def test_the_cas_describes_any_part_of_a_file_in_both_versions_and_only_with_its_permit() -> None:
    with LoopbackHub() as hub:
        stored = hub.stored[WEIGHTS]
        where = f"{hub.cas_server.url}/{{}}/reconstructions/{stored.hash}"
        permit = {"Authorization": f"Bearer {loopback_hub.CAS_TOKEN}"}
        assert fetch(hub, where.format("v2")).status == 401
        whole = json.load(fetch(hub, where.format("v1"), **permit))
        assert sum(term["unpacked_length"] for term in whole["terms"]) == stored.size
        assert list(whole["fetch_info"]) == [stored.xorb_hash]
        part = json.load(fetch(hub, where.format("v2"), Range="bytes=200000-200001", **permit))
        [piece] = part["xorbs"][stored.xorb_hash]
        within = piece["ranges"][0]["bytes"]
        sent = fetch(hub, piece["url"], Range=f"bytes={within['start']}-{within['end']}").read()
        start = (
            part["offset_into_first_range"] + 8
        )  # a chunk's own header comes before it; random bytes stay as they are
        assert sent[start : start + 2] == hub.files[WEIGHTS][200000:200002]
        assert fetch(hub, where.format("v2"), Range="bytes=999999-", **permit).status == 416


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ("expired", "certificate has expired"),
        ("another-host", "Hostname mismatch"),
        (hub_modes.COMPANY_CERTIFICATE, "unable to get local issuer certificate|self.signed certificate in"),
    ],
)
def test_a_bad_certificate_is_refused_and_the_server_notes_it(certificate: str, says: str) -> None:
    with LoopbackHub(hub_modes.Mode("", hub=Fault(certificate=certificate))) as hub:
        with pytest.raises(urllib.error.URLError, match=says):
            fetch(hub, hub.endpoint)
        deadline = time.monotonic() + 5
        while not hub.asked("hub") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [asked.method for asked in hub.asked("hub")] == ["TLS"]


@pytest.mark.parametrize(
    ("listen", "raised"),
    [("refused", ConnectionRefusedError), ("dropped", TimeoutError), ("silent", TimeoutError), ("mute", TimeoutError)],
)
def test_a_server_that_does_not_answer_fails_in_its_own_way(listen: str, raised: type[Exception]) -> None:
    with LoopbackHub(hub_modes.Mode("", hub=Fault(listen=listen))) as hub, pytest.raises(raised):
        knock(hub, agrees=listen == "mute")


def knock(hub: LoopbackHub, *, agrees: bool) -> None:
    """Connect, agree on TLS, and ask; each waits 0.6 s at most."""
    connection = socket.create_connection(("127.0.0.1", hub.hub_server.port), timeout=0.6)
    trust = ssl.create_default_context(cafile=str(hub.authority.bundle))
    with connection, trust.wrap_socket(connection, server_hostname="localhost") as secured:
        assert agrees
        secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        secured.recv(1)


def test_a_server_drips_and_cuts_as_it_is_told_to() -> None:
    mode = hub_modes.Mode("", hub=Fault(header_bytes_per_s=400), cdn=Fault(cut_after=1000, cuts=1))
    with LoopbackHub(mode) as hub:
        started = time.monotonic()
        signed = fetch(hub, f"{hub.endpoint}/{hub.repo}/resolve/main/{WEIGHTS}").headers["Location"]
        assert time.monotonic() - started > 1
        with pytest.raises(Exception, match=r"IncompleteRead|EOF occurred"):
            fetch(hub, signed).read()
        assert fetch(hub, signed).read() == hub.files[WEIGHTS]


def test_an_intercepting_authority_has_a_companys_name(tmp_path: Path) -> None:
    company = certificates.Authority(tmp_path, certificates.COMPANY)
    assert certificates.COMPANY in str(ssl._ssl._test_decode_cert(str(company.bundle))["issuer"])  # type: ignore[attr-defined]


def test_a_namespace_has_its_own_names_and_firewall() -> None:
    if why := namespace.unusable():
        needs.missing(f"network namespaces ({why})", "As root: apt-get install iproute2 iptables util-linux")
    program = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from simulated import namespace
namespace.settle("unknown", {"known.test": "127.0.0.9"})
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


def test_a_secret_is_seen_in_a_file_that_comes_and_goes_and_in_a_process_list(tmp_path: Path) -> None:
    secret = "secret" + str(os.getpid())
    with Watch(tmp_path, {"it": secret}) as watch:
        (tmp_path / "private").mkdir()
        (tmp_path / "private" / "kept").write_text(secret, encoding="utf-8")
        watch.look()
        assert watch.found_in("case") == watch.found_in("") == []
        (tmp_path / "case").mkdir()
        (tmp_path / "case" / "log").write_text(f"... {secret} ...", encoding="utf-8")
        watch.look()
        (tmp_path / "case" / "log").unlink()
        with subprocess.Popen([sys.executable, "-c", "input()", secret], stdin=subprocess.PIPE) as process:
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # it is just becoming that program
                time.sleep(0.01)
            watch.look()
            process.kill()
    assert watch.found_in("case") == [f"it stood in {tmp_path}/case/log"]
    assert watch.found_in("") == [f"it stood in /proc/{process.pid}/cmdline"]
