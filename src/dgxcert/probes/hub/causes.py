"""What a failed step of the diagnosis means and what to do about it, by step and cause.

A cause `fails` a requirement where something was measured that is wrong at this place: an address that answered and
was refused, a token that is not good, a host of the Hub that is shut off while the others answer. Where nothing
answered at all, or the Hub itself is in trouble, nothing is known: inconclusive.
"""

from dataclasses import dataclass

STORAGE = ("cas", "transfer", "cdn")
"""Steps about the hosts that hold the files; the Hub itself has answered before they are asked."""


@dataclass(frozen=True)
class Cause:
    """The meaning of a failure, in a sentence, and the steps against it; {host} is who was asked."""

    meaning: str
    remedy: tuple[str, ...]
    fails: bool


NETWORK = "Ask whoever runs the network to let this machine reach {host} by HTTPS."
PROXY = "Behind a proxy: export HTTPS_PROXY=http://PROXY:PORT, as whoever runs the network says."
CURL = "Look: curl -sS -m 10 -o /dev/null -w '%{{http_code}}\\n' https://{host}/"
LATER = "Try again in some minutes; https://status.huggingface.co says how the Hub is."
LOG_IN_ANEW = "Make a token at https://huggingface.co/settings/tokens, then: hf auth login"
GUEST_PAGE = "Open http://example.com in a browser on this network: a log-in page may stand before it; log in there."
CLOCK = "Look at the clock: timedatectl; set it right: sudo timedatectl set-ntp true"
TRUST = (
    "Ask whoever runs the network for its certificate, as a PEM file.",
    "Trust it: export SSL_CERT_FILE=/path/ca.pem REQUESTS_CA_BUNDLE=/path/ca.pem; the file must hold the usual "
    "authorities too where only some hosts are looked into.",
)

CAUSES = {
    "endpoint": Cause(
        "HF_ENDPOINT is no address.",
        (
            "Ask the public Hub: unset HF_ENDPOINT",
            "Or write the address of your mirror whole: export HF_ENDPOINT=https://HOST",
        ),
        True,
    ),
    "no-address": Cause("The Hub names an address that is none.", ("Ask whoever runs this mirror of the Hub.",), True),
    "proxy-address": Cause(
        "The proxy's variable is no address.",
        (
            "Write it whole: export HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT",
            "In a password write @ as %40, / as %2F, # as %23, ? as %3F and : as %3A",
        ),
        True,
    ),
    "certificate-file": Cause(
        "The client is told to trust a file that holds no certificates, so it trusts nobody.",
        ("Look: ls -l $SSL_CERT_FILE $REQUESTS_CA_BUNDLE", "Name a PEM file that is there, or unset the variable."),
        True,
    ),
    "token-file": Cause(
        "There is a token, and whoever runs this may not read it.",
        ("Look: ls -l ${{HF_TOKEN_PATH:-~/.cache/huggingface/token}}", "Make it yours, or log in anew: hf auth login"),
        True,
    ),
    "no-name": Cause(
        "The name {host} is not known here: there is no way out, or the name service does not know the Internet.",
        ("Look: getent hosts {host}; resolvectl status", PROXY, NETWORK),
        False,
    ),
    "dns-silent": Cause(
        "The name service does not answer.",
        ("Look: cat /etc/resolv.conf; resolvectl query {host}", "Mend the network's name service, or name another."),
        False,
    ),
    "dropped": Cause(
        "{host} does not answer: packets to it are dropped, by a firewall as a rule.", (CURL, PROXY, NETWORK), False
    ),
    "late": Cause(
        "{host} takes the connection and then says nothing in time: something between lets only the beginning pass, or "
        "the Hub is in trouble.",
        (CURL, NETWORK, LATER),
        False,
    ),
    "out-of-time": Cause(
        "The steps before it took so long that no time was left; the network is slow, but nothing was found wrong.",
        ("Run it again: python -m dgxcert.probes.hub", NETWORK),
        False,
    ),
    "refused": Cause("{host} refuses connections.", (CURL, PROXY, NETWORK), False),
    "unreachable": Cause("There is no way to {host} from here.", ("Look: ip route get 1.1.1.1", PROXY, NETWORK), False),
    "cut": Cause(
        "The connection to {host} is closed from outside while it is used: something on the way looks into it.",
        (CURL, NETWORK),
        False,
    ),
    "slow": Cause(
        "{host} answers, but far too slowly for a model.",
        ("Measure it: curl -o /dev/null -w '%{{speed_download}}\\n' https://{host}/", NETWORK, LATER),
        False,
    ),
    "proxy-socks": Cause(
        "The diagnosis does not speak to SOCKS proxies, so it cannot tell how the Hub does.",
        ("Name the same proxy's HTTP port, if it has one: export HTTPS_PROXY=http://PROXY:PORT",),
        False,
    ),
    "cache-locked": Cause(
        "What is downloaded could not be kept: the cache belongs to somebody else, or the disk is read-only.",
        (
            "Look: ls -ld ~/.cache/huggingface",
            'Make it yours: sudo chown -R "$(id -u):$(id -g)" ~/.cache/huggingface',
            "Or keep models elsewhere: export HF_HOME=/a/folder/of/yours",
        ),
        True,
    ),
    "proxy-away": Cause(
        "The proxy {host}, which is to be used here, does not answer.",
        (
            "Look: env | grep -i _proxy",
            "Ask whoever runs the network for the proxy's address: export HTTPS_PROXY=http://PROXY:PORT",
            "Where there is none: unset HTTPS_PROXY https_proxy ALL_PROXY all_proxy HTTP_PROXY http_proxy",
        ),
        False,
    ),
    "proxy-refuses": Cause(
        "The proxy {host} answers, and does not let this connection through.",
        ("Ask whoever runs the proxy {host} to let the Hub's hosts through: *.huggingface.co and *.hf.co.",),
        True,
    ),
    "proxy-login": Cause(
        "The proxy {host} wants to know who asks.",
        ("Name user and password: export HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT, and HTTP_PROXY likewise",),
        True,
    ),
    "proxy-page": Cause(
        "Something before the Hub refuses: the answer is a page of its own, not the Hub's.",
        ("Look: curl -sS -m 10 https://{host}/api/models/gpt2 | head -20", NETWORK, PROXY),
        True,
    ),
    "captive": Cause(
        "Something before the Hub answers in its place, as a network's log-in page does.",
        (GUEST_PAGE, "Look: curl -sS -m 10 https://{host}/api/models/gpt2 | head -20", NETWORK),
        True,
    ),
    "tls-expired": Cause(
        "The certificate of {host} has run out, or this machine's clock is ahead.",
        (CLOCK, "The clock is right: ask whoever runs {host}, or the network, for a new certificate."),
        True,
    ),
    "tls-early": Cause("This machine's clock is behind: the certificate is not yet valid.", (CLOCK,), True),
    "tls-name": Cause(
        "Another host answers for {host}.", (CURL, "Ask whoever runs the network who answers there."), True
    ),
    "tls-issuer": Cause(
        "Something on the way looks into what passes: the certificate is not from an authority that is trusted here.",
        TRUST,
        True,
    ),
    "tls-broken": Cause("What answers for {host} does not speak TLS.", (CURL, NETWORK), True),
    "rate": Cause(
        "The Hub has had too many questions from here or from this user.",
        ("Wait some minutes, then try again.", f"Ask as a user, who may ask more. {LOG_IN_ANEW}"),
        False,
    ),
    "broken": Cause("{host} is in trouble itself.", (LATER,), False),
    "http-other": Cause("{host} answers in a way that no Hub does.", (CURL, LATER), False),
    "bad-token": Cause(
        "The Hub does not know this token: it has run out, was taken back, or was not copied whole.",
        ("Look: hf auth whoami", LOG_IN_ANEW, "Without a token public models still work: unset HF_TOKEN"),
        True,
    ),
    "login-needed": Cause("This Hub wants to know who asks, and there is no token.", (LOG_IN_ANEW,), True),
    "permit-denied": Cause(
        "The Hub knows who asks, and gives no permit to read the files.", (LATER, LOG_IN_ANEW), False
    ),
    "permit-refused": Cause(
        "{host}, which holds the files, does not take the permit that the Hub, or its mirror, gives.",
        ("A mirror gives none that is good there: unset HF_ENDPOINT.", LATER),
        True,
    ),
    "gated": Cause(
        "The model wants its terms accepted, or the token may not read it.",
        ("Open the model's page on the Hub, logged in as the token's user, and accept its terms.", LOG_IN_ANEW),
        True,
    ),
    "missing": Cause(
        "The Hub answers, but does not have the model that the diagnosis asks for, or not for this user.",
        ("On a mirror: add the models of `dgxcert cache` to it.", "Else unset HF_ENDPOINT.", LATER),
        True,
    ),
    "no-metadata": Cause(
        "What a download needs to know of a file does not arrive: something on the way takes headers out.",
        (
            "Look: curl -sSI -m 10 https://{host}/hf-internal-testing/tiny-random-gpt2/resolve/main/model.safetensors",
            NETWORK,
        ),
        True,
    ),
    "clock": Cause("The permit to read has run out before it was used: this machine's clock is ahead.", (CLOCK,), True),
    "wrong-bytes": Cause(
        "What arrives is not what the Hub holds: something on the way changes files.",
        ("Download it again on another network and compare: sha256sum FILE", NETWORK),
        True,
    ),
    "client": Cause(
        "Every host answers, and the ordinary client still fails.",
        (
            "Look: HF_DEBUG=1 hf download hf-internal-testing/tiny-random-gpt2 --force-download",
            "Install the client as it is pinned: make setup, or use the container.",
        ),
        True,
    ),
    "no-client": Cause(
        "There is no client to download with.", ("Install the stack: make setup, or use the container.",), True
    ),
    "not-in-cache": Cause(
        "The Hub is switched off by choice, and the cache does not hold what this profile needs.",
        ("Look: dgxcert cache", "Or switch the Hub on: unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE"),
        True,
    ),
    "crashed": Cause("The diagnosis itself ended early.", ("Keep this run's log and report it.",), False),
}

CLIENT_LATE = Cause(
    "The client does not finish a small download, though each host answers.",
    ("Look: HF_DEBUG=1 hf download hf-internal-testing/tiny-random-gpt2 --force-download", NETWORK),
    False,
)
NOT_RESUMED = Cause(
    "A download that was cut once does not end well when it is asked for again.",
    ("Ask whoever runs the network whether a proxy keeps parts of files, or takes Range headers out.",),
    False,
)
SHUT_OFF = (
    "The Hub's page answers, but {host}, which holds the files, does not: models can be looked at, not downloaded."
)
WITHOUT_XET = "Until then: export HF_HUB_DISABLE_XET=1, since the Hub's other way, by its CDN, answers."
SILENT = {"dropped", "late", "refused", "unreachable", "no-name", "dns-silent", "cut"}


def cause_of(step: str, cause: str, *, cdn_answers: bool) -> Cause:
    """The meaning of a failed step. `cdn_answers` says whether files could come another way."""
    if step in ("download", "resume") and cause == "late":
        return CLIENT_LATE
    if step == "resume" and cause == "client":
        return NOT_RESUMED
    known = CAUSES.get(cause, CAUSES["http-other"])
    way_round = (WITHOUT_XET,) if cdn_answers and step in ("cas-address", "cas", "transfer") else ()
    if step in STORAGE and cause in SILENT:
        return Cause(SHUT_OFF, (CURL, NETWORK, *way_round), True)
    return Cause(known.meaning, (*known.remedy, *way_round), known.fails)
