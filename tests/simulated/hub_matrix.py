"""The Hub matrix: every way in which the Hub can fail, and what the real diagnosis says of it, in how many seconds.

    python hub_matrix.py [--only CASE] [--json FILE]

Each case is a Hub on loopback with a fault of its own, a proxy or a network namespace before it, and the diagnosis in a
process of its own, as `python -m dgxcert.probes.hub`. A planted token, a password and signed addresses must not turn up
in anything that is written or in any process's arguments.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml
from simulated import loopback_hub, loopback_proxy, namespace, xet_store
from simulated.loopback_hub import LoopbackHub
from simulated.loopback_proxy import LoopbackProxy
from simulated.secret_watch import Watch

from dgxcert.machine import software

CASES = Path(__file__).with_name("hub_cases.yaml")
LIMIT_S = 30.0
"""No diagnosis may take longer, whatever the network does."""
ENDED_S = 60.0
WORKERS = 6
WRONG_TOKEN = "hf_" + "WrongTokenThatMustNeverBeSeenEither"
TOKENS = {"good": loopback_hub.TOKEN, "wrong": WRONG_TOKEN, "none": ""}
EXPECTED = ("step", "cause", "fails", "says", "never")


@dataclass(frozen=True)
class Case:
    """One line of the table; hub_cases.yaml says what each field means."""

    name: str
    step: str
    cause: str = ""
    fails: bool = False
    says: str = ""
    never: str = ""
    mode: str = ""
    tls: bool = True
    cas: str = "http"
    prefix: str = ""
    token: str = "good"
    held: str = "file"
    trust: tuple[str, ...] = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    authority: str = "lab"
    proxy: str = ""
    user: bool = False
    shut: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Row:
    """What was found in one case."""

    case: str
    step: str
    cause: str
    conclusive: bool
    meaning: str
    remedy: list[str]
    found: str
    seconds: float
    wrong: list[str]
    """What does not fit what the case expects."""


def cases() -> dict[str, Case]:
    """The table, as it holds for the client that is installed here."""
    listed = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    old = (software.version("huggingface-hub") or "").startswith("0.")
    found = {}
    for name, entry in listed.items():
        own = entry.pop("requests", {})
        kept = {key: value for key, value in entry.items() if not (old and own and key in EXPECTED)}
        found[name] = Case(name=name, **(kept | own if old else kept))
    return found


def judge(case: Case, folder: Path) -> Row:
    """Diagnose one case, in this very network."""
    private = folder / "private"
    for name in ("home", "tmp", "work", "private"):
        (folder / name).mkdir(parents=True)
    places = {}
    if case.network:
        places = loopback_hub.PUBLIC if case.network["names"] == "public" else loopback_hub.NAMED
        known = case.network.get("known", list(places))
        hosts = {places[name].name: places[name].address for name in known}
        namespace.settle(case.network["resolver"], hosts)
    with ExitStack() as stack:
        hub = stack.enter_context(
            LoopbackHub(case.mode or case.name, tls=case.tls, prefix=case.prefix, cas=case.cas, places=places)
        )
        for verdict in ("drop", "reject"):
            for name in case.network.get(verdict, ()):
                server = getattr(hub, f"{name}_server")
                namespace.firewall(verdict, server.address, server.port)
        environment = _environment(case, folder, private, hub)
        environment |= stack.enter_context(_proxy(case, hub))
        return _asked(case, environment | dict(case.environment), folder / "work")


def _environment(case: Case, folder: Path, private: Path, hub: LoopbackHub) -> dict[str, str]:
    """The variables of a user whose files all lie in the case's folder, but for the token."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(folder / "tmp")}
    environment |= {"HOME": str(folder / "home"), "HF_HOME": str(folder / "home" / "hf")}
    if case.network.get("names") != "public":
        environment["HF_ENDPOINT"] = hub.endpoint
    authority = hub.company if case.authority == "company" else hub.authority
    if case.tls:
        environment |= dict.fromkeys(case.trust, str(authority.bundle))
    if case.token != "none" and case.held == "variable":
        environment["HF_TOKEN"] = TOKENS[case.token]
    elif case.token != "none":
        (private / "token").write_text(TOKENS[case.token], encoding="utf-8")
        environment["HF_TOKEN_PATH"] = str(private / "token")
    return environment


@contextmanager
def _proxy(case: Case, hub: LoopbackHub) -> Iterator[dict[str, str]]:
    """The variables of the case's proxy, which runs meanwhile."""
    if not case.proxy:
        yield {}
        return
    shut = frozenset(getattr(hub, f"{name}_server").port for name in case.shut)
    with LoopbackProxy(loopback_proxy.TUNNELS if case.proxy == "closed" else case.proxy, shut) as proxy:
        environment = proxy.environment(user=case.user)
        if case.proxy != "closed":
            yield environment
            return
    yield environment


def _asked(case: Case, environment: dict[str, str], work: Path) -> Row:
    """Run the diagnosis and hold what it says against what the case expects."""
    started = time.monotonic()
    program = [sys.executable, "-P", "-m", "dgxcert.probes.hub"]
    try:
        done = subprocess.run(
            program, env=environment, cwd=work, capture_output=True, text=True, check=False, timeout=ENDED_S
        )
    except subprocess.TimeoutExpired:
        return Row(case.name, "", "", False, "", [], "", ENDED_S, [f"it did not end within {ENDED_S:.0f} s"])
    seconds = round(time.monotonic() - started, 1)
    (work / "stdout").write_text(done.stdout, encoding="utf-8")
    (work / "stderr").write_text(done.stderr, encoding="utf-8")
    try:
        said = json.loads(done.stdout)
    except ValueError:
        return Row(case.name, "", "", False, "", [], "", seconds, [f"it printed no JSON: {done.stderr[-500:]}"])
    first = next((step for step in said["steps"] if step["state"] in ("failed", "late")), {"found": ""})
    row = Row(
        case.name, said["failed"], said["cause"], said["conclusive"], said["meaning"], list(said["remedy"]), "", 0, []
    )
    row.found, row.seconds = first["found"], seconds
    row.wrong = list(differs(case, row))
    return row


def differs(case: Case, row: Row) -> Iterator[str]:
    """What does not fit what a case expects, each in a sentence."""
    for name, wanted, found in (
        ("step", case.step, row.step),
        ("cause", case.cause, row.cause),
        ("fails", case.fails, row.conclusive),
    ):
        if wanted != found:
            yield f"{name} is {found!r}, expected {wanted!r} ({row.found[:160]})"
    remedy = " ".join(row.remedy)
    if case.step != "none" and not row.remedy:
        yield "it says nothing of what to do"
    if case.says not in remedy:
        yield f"the remedy does not say {case.says!r}: {remedy}"
    if case.never and case.never in remedy:
        yield f"the remedy says {case.never!r}: {remedy}"
    if row.seconds > LIMIT_S:
        yield f"it took {row.seconds} s"


def apart(case: Case, folder: Path) -> Row:
    """Judge one case: here, or in a network of its own by this same program."""
    if not case.network:
        return judge(case, folder)
    into = folder.with_suffix(".json")
    args = [sys.executable, __file__, "--inside", case.name, "--folder", str(folder), "--json", str(into)]
    done = subprocess.run(namespace.inside(*args), capture_output=True, text=True, check=False, timeout=2 * ENDED_S)
    if not into.exists():
        return Row(case.name, "", "", False, "", [], "", 0, [f"its network could not be made: {done.stderr[-800:]}"])
    return Row(**json.loads(into.read_text(encoding="utf-8")))


def run(chosen: list[Case]) -> list[Row]:
    """Judge all of them, several at a time; what does not fit is judged again alone, since a busy machine is slow."""
    with tempfile.TemporaryDirectory(prefix="hub-matrix-") as name, Watch(Path(name), SECRETS) as watch:
        folder = Path(name)
        os.environ[xet_store.SHARED] = str(folder / "private")
        LoopbackHub()  # stores its files, for all that come after it
        waits_first = sorted(chosen, key=lambda case: case.cause not in ("late", "dns-silent", "slow"))
        with ThreadPoolExecutor(WORKERS) as pool:
            rows = {row.case: row for row in pool.map(lambda case: apart(case, folder / case.name), waits_first)}
        for case in chosen:
            if rows[case.name].wrong:
                first = rows[case.name].wrong
                rows[case.name] = apart(case, folder / f"{case.name}-again")
                sys.stderr.write(f"{case.name} judged again, since: {'; '.join(first)}\n")
        watch.look()
        for case in chosen:
            rows[case.name].wrong += watch.found_in(case.name)
        elsewhere = watch.found_in("")
    if elsewhere:
        raise SystemExit(f"a secret was seen: {'; '.join(elsewhere)}")
    return [rows[case.name] for case in chosen]


SECRETS = {
    "the token": loopback_hub.TOKEN,
    "the wrong token": WRONG_TOKEN,
    "the CAS's permit": loopback_hub.CAS_TOKEN,
    "a signed address": loopback_hub.SIGNATURE,
    "the proxy's password": loopback_proxy.PASSWORD,
    "the proxy's user, encoded": loopback_proxy.ENCODED,
}


def table(rows: list[Row]) -> str:
    """The matrix, a line for each case."""
    lines = [("case", "step", "cause", "outcome", "s", "first of what to do")]
    for row in rows:
        outcome = "passes" if row.step == "none" else "fails" if row.conclusive else "inconclusive"
        lines.append((row.case, row.step, row.cause or "-", outcome, f"{row.seconds:.1f}", (row.remedy or ["-"])[0]))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(f"{word:{width}}" for word, width in zip(line, [*widths, 0], strict=True)) for line in lines
    )


def main() -> None:
    """Judge, print the table and what does not fit, and fail if anything does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="CASE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    known = cases()
    if asked.inside:
        asked.json.write_text(json.dumps(asdict(judge(known[asked.inside], asked.folder))), encoding="utf-8")
        return
    chosen = [known[name] for name in asked.only] if asked.only else list(known.values())
    why = namespace.unusable() if any(case.network for case in chosen) else ""
    if why:
        left = [case.name for case in chosen if case.network]
        sys.stderr.write(f"MISSING: network namespaces ({why}). Left out: {', '.join(left)}\n")
        chosen = [case for case in chosen if not case.network]
    started = time.monotonic()
    rows = run(chosen)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    wrong = [f"{row.case}: {each}" for row in rows for each in row.wrong]
    sys.stdout.write(f"{table(rows)}\n{len(rows)} cases in {time.monotonic() - started:.0f} s, {len(wrong)} wrong\n")
    sys.stdout.write("".join(f"WRONG {each}\n" for each in wrong))
    raise SystemExit(bool(wrong or (why and os.environ.get("CI"))))


if __name__ == "__main__":
    main()
