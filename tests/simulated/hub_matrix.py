"""The Hub matrix: every simulated fault of the Hub, and what the real diagnosis reports of it, in how many seconds.

    python hub_matrix.py [--only CASE] [--json FILE]

Each case is a Hub on loopback with a fault of its own, some behind a proxy or in a network namespace, and the diagnosis
in a process of its own, as `python -m dgxcert.probes.hub`; most are forked from one that has its modules loaded. The
planted tokens, a password and signed URLs must not appear in any file that is written or in the arguments of any
process.
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
from simulated import cache_states, loopback_hub, loopback_proxy, namespace, xet_store
from simulated.loopback_hub import LoopbackHub
from simulated.loopback_proxy import LoopbackProxy
from simulated.program_forks import Forks, forking
from simulated.secret_watch import Watch

from dgxcert import command
from dgxcert.machine import software

CASES = Path(__file__).with_name("hub_cases.yaml")
LIMIT_S = 30.0
"""No diagnosis may take longer, whatever the network does."""
KILL_AFTER_S = 60.0
DIAGNOSIS = "dgxcert.probes.hub"
_forks: list[Forks] = []
"""The process that forks, while there is one."""
WORKERS = 10
WRONG_TOKEN = "hf_" + "WrongTokenThatMustNeverBeSeenEither"
TOKENS = {"good": loopback_hub.TOKEN, "wrong": WRONG_TOKEN, "none": ""}
EXPECTED = ("step", "cause", "fails", "remedy_has", "remedy_lacks")


@dataclass(frozen=True)
class Case:
    """One entry of hub_cases.yaml, which describes the fields."""

    name: str
    step: str
    cause: str = ""
    fails: bool = False
    remedy_has: str = ""
    remedy_lacks: str = ""
    mode: str = ""
    tls: bool = True
    cas: str = "http"
    prefix: str = ""
    token: str = "good"
    token_in: str = "file"
    trust: tuple[str, ...] = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    authority: str = "lab"
    proxy: str = ""
    proxy_user: bool = False
    proxy_blocks: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    home: Mapping[str, str] = field(default_factory=dict)
    tmp: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Row:
    """The diagnosis of one case."""

    case: str
    step: str
    cause: str
    conclusive: bool
    meaning: str
    remedy: list[str]
    detail: str
    """Of the first step that failed."""
    seconds: float
    wrong: list[str]
    """What differs from what the case expects."""


def cases() -> dict[str, Case]:
    """The cases by name, with the expectations for the installed version of huggingface_hub."""
    entries = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    uses_requests = (software.version("huggingface-hub") or "").startswith("0.")
    known = {}
    for name, entry in entries.items():
        with_requests = entry.pop("requests", {})
        if uses_requests and with_requests:
            entry = {key: value for key, value in entry.items() if key not in EXPECTED} | with_requests
        known[name] = Case(name=name, **entry)
    return known


def diagnose(case: Case, folder: Path) -> Row:
    """Diagnose one case in the network of this process."""
    private = folder / "private"
    for name in ("home", "tmp", "work", "private"):
        (folder / name).mkdir(parents=True)
    for name, state in case.folders.items():
        cache_states.make(folder / "home" / "hf" / name, state)
    places = {}
    if case.network:
        places = loopback_hub.PUBLIC if case.network["names"] == "public" else loopback_hub.NAMED
        known = case.network.get("known", list(places))
        hosts = {places[name].name: places[name].address for name in known}
        namespace.configure(
            case.network["resolver"], hosts, [places[name].name for name in case.network.get("ipv6", ())]
        )
    for name, text in case.home.items():
        (folder / "home" / name).write_text(text, encoding="utf-8")
        (folder / "home" / name).chmod(0o600)
    if case.tmp:
        namespace.mount_small(folder / "tmp", case.tmp)
    with ExitStack() as stack:
        hub = stack.enter_context(
            LoopbackHub(case.mode or case.name, tls=case.tls, prefix=case.prefix, cas=case.cas, places=places)
        )
        for action in ("drop", "reject"):
            for name in case.network.get(action, ()):
                server = getattr(hub, f"{name}_server")
                namespace.firewall(action, server.address, server.port)
        for name in case.network.get("ipv6", ()):
            stack.enter_context(namespace.dropped_ipv6(getattr(hub, f"{name}_server").port))
        environment = _environment(case, folder, private, hub)
        environment |= stack.enter_context(_proxy(case, hub))
        home = {name: value.replace("{HF_HOME}", environment["HF_HOME"]) for name, value in case.environment.items()}
        return _run_diagnosis(case, environment | home, folder / "work")


def _environment(case: Case, folder: Path, private: Path, hub: LoopbackHub) -> dict[str, str]:
    """The variables of a user whose files are all in the case's folder; a token file is in `private`."""
    mine = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}  # the checkout under test
    environment = {**mine, "LANG": "C.UTF-8", "TMPDIR": str(folder / "tmp")}
    environment |= {"HOME": str(folder / "home"), "HF_HOME": str(folder / "home" / "hf")}
    if case.network.get("names") != "public":
        environment["HF_ENDPOINT"] = hub.endpoint
    authority = hub.company if case.authority == "company" else hub.authority
    if case.tls:
        environment |= dict.fromkeys(case.trust, str(authority.bundle))
    if case.token != "none" and case.token_in == "variable":
        environment["HF_TOKEN"] = TOKENS[case.token]
    elif case.token != "none":
        (private / "token").write_text(TOKENS[case.token], encoding="utf-8")
        environment["HF_TOKEN_PATH"] = str(private / "token")
    return environment


@contextmanager
def _proxy(case: Case, hub: LoopbackHub) -> Iterator[dict[str, str]]:
    """Run the case's proxy and give its variables."""
    if not case.proxy:
        yield {}
        return
    blocked_ports = frozenset(getattr(hub, f"{name}_server").port for name in case.proxy_blocks)
    with LoopbackProxy(loopback_proxy.TUNNELS if case.proxy == "closed" else case.proxy, blocked_ports) as proxy:
        environment = proxy.environment(user=case.proxy_user)
        if case.proxy != "closed":
            yield environment
            return
    yield environment


def _run_diagnosis(case: Case, environment: dict[str, str], work: Path) -> Row:
    """Run the diagnosis and compare its report with what the case expects."""
    started = time.monotonic()
    done = _diagnosis(cache_states.as_a_user(case.folders), environment, work)
    if done.timed_out:
        return Row(case.name, "", "", False, "", [], "", KILL_AFTER_S, [f"it did not end within {KILL_AFTER_S:.0f} s"])
    seconds = round(time.monotonic() - started, 1)
    (work / "stdout").write_text(done.stdout, encoding="utf-8")
    (work / "stderr").write_text(done.stderr, encoding="utf-8")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return Row(case.name, "", "", False, "", [], "", seconds, [f"it printed no JSON: {done.stderr[-500:]}"])
    failed = next((step for step in report["steps"] if step["state"] in ("failed", "late")), {"detail": ""})
    row = Row(
        case=case.name,
        step=report["failed"],
        cause=report["cause"],
        conclusive=report["conclusive"],
        meaning=report["meaning"],
        remedy=list(report["remedy"]),
        detail=failed["detail"],
        seconds=seconds,
        wrong=[],
    )
    row.wrong = list(differences(case, row))
    return row


def _diagnosis(as_a_user: list[str], environment: dict[str, str], work: Path) -> command.Completed:
    """The diagnosis by a fork, and by Python itself in a network or with capabilities of its own."""
    if not _forks or as_a_user:
        program = [*as_a_user, sys.executable, "-P", "-m", DIAGNOSIS]
        return command.run(program, env=environment, cwd=work, timeout_s=KILL_AFTER_S)
    arguments = work / "arguments"
    return _forks[0].run(DIAGNOSIS, env=environment, cwd=work, arguments=arguments, timeout_s=KILL_AFTER_S)


def differences(case: Case, row: Row) -> Iterator[str]:
    """What differs from what the case expects, each in a sentence."""
    for name, expected, actual in (
        ("step", case.step, row.step),
        ("cause", case.cause, row.cause),
        ("fails", case.fails, row.conclusive),
    ):
        if expected != actual:
            yield f"{name} is {actual!r}, expected {expected!r} ({row.detail[:160]})"
    remedy = " ".join(row.remedy)
    if case.step != "none" and not row.remedy:
        yield "there is no remedy"
    if case.remedy_has not in remedy:
        yield f"the remedy lacks {case.remedy_has!r}: {remedy}"
    if case.remedy_lacks and case.remedy_lacks in remedy:
        yield f"the remedy has {case.remedy_lacks!r}: {remedy}"
    if row.seconds > LIMIT_S:
        yield f"it took {row.seconds} s"


def diagnose_apart(case: Case, folder: Path) -> Row:
    """Diagnose one case in this process, or, where it needs a network of its own, in a namespace."""
    if not case.network:
        return diagnose(case, folder)
    result = folder.with_suffix(".json")
    args = [sys.executable, __file__, "--inside", case.name, "--folder", str(folder), "--json", str(result)]
    command = namespace.inside(*args)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * KILL_AFTER_S)
    if not result.exists():
        return Row(
            case.name,
            "",
            "",
            False,
            "",
            [],
            "",
            0,
            [f"its network namespace could not be set up: {done.stderr[-800:]}"],
        )
    return Row(**json.loads(result.read_text(encoding="utf-8")))


def run(chosen: list[Case]) -> list[Row]:
    """Diagnose all cases, several at a time; one that differs is diagnosed again alone: a busy machine is slow."""
    with tempfile.TemporaryDirectory(prefix="hub-matrix-") as name, Watch(Path(name), SECRETS) as watch:
        folder = Path(name)
        os.environ[xet_store.SHARED] = str(folder / "private")
        LoopbackHub()  # uploads the files to the shared Xet store once, for all cases
        slowest_first = sorted(chosen, key=lambda case: case.cause not in ("timeout", "dns-timeout", "slow"))
        with ThreadPoolExecutor(WORKERS) as pool:
            diagnosed = pool.map(lambda case: diagnose_apart(case, folder / case.name), slowest_first)
            rows = {row.case: row for row in diagnosed}
        for case in chosen:
            if rows[case.name].wrong:
                first = rows[case.name].wrong
                rows[case.name] = diagnose_apart(case, folder / f"{case.name}-again")
                sys.stderr.write(f"{case.name} diagnosed again, because: {'; '.join(first)}\n")
        watch.scan()
        for case in chosen:
            rows[case.name].wrong += watch.sightings(case.name)
        in_arguments = watch.sightings("")
    if in_arguments:
        raise SystemExit(f"a secret was seen: {'; '.join(in_arguments)}")
    return [rows[case.name] for case in chosen]


SECRETS = {
    "the token": loopback_hub.TOKEN,
    "the wrong token": WRONG_TOKEN,
    "the Xet read token": loopback_hub.READ_TOKEN,
    "a signed URL": loopback_hub.SIGNATURE,
    "the proxy's password": loopback_proxy.PASSWORD,
    "the proxy's user, encoded": loopback_proxy.ENCODED,
}


def table(rows: list[Row]) -> str:
    """The matrix, one line for each case."""
    lines = [("case", "step", "cause", "outcome", "s", "first step of the remedy")]
    for row in rows:
        outcome = "passes" if row.step == "none" else "fails" if row.conclusive else "inconclusive"
        lines.append((row.case, row.step, row.cause or "-", outcome, f"{row.seconds:.1f}", (row.remedy or ["-"])[0]))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(f"{word:{width}}" for word, width in zip(line, [*widths, 0], strict=True)) for line in lines
    )


def main() -> None:
    """Diagnose all cases, print the table and the differences; exit 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="CASE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    known = cases()
    if options.inside:
        options.json.write_text(json.dumps(asdict(diagnose(known[options.inside], options.folder))), encoding="utf-8")
        return
    chosen = [known[name] for name in options.only] if options.only else list(known.values())
    missing = namespace.unusable() if any(case.network for case in chosen) else ""
    if missing:
        skipped = [case.name for case in chosen if case.network]
        sys.stderr.write(f"MISSING: network namespaces ({missing}). Skipped: {', '.join(skipped)}\n")
        chosen = [case for case in chosen if not case.network]
    started = time.monotonic()
    with forking() as forks:
        _forks.append(forks)
        rows = run(chosen)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    wrong = [f"{row.case}: {difference}" for row in rows for difference in row.wrong]
    sys.stdout.write(f"{table(rows)}\n{len(rows)} cases in {time.monotonic() - started:.0f} s, {len(wrong)} wrong\n")
    sys.stdout.write("".join(f"WRONG {difference}\n" for difference in wrong))
    raise SystemExit(bool(wrong or (missing and os.environ.get("CI"))))


if __name__ == "__main__":
    main()
