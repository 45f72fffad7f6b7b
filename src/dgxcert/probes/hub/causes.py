"""What a failed step of the diagnosis means and what to do about it, by step and cause.

A cause `fails` the requirement where the diagnosis has measured something wrong in this environment: an invalid
setting, a token that the Hub rejects, a storage host that is blocked while the Hub answers. Where nothing answers, or
the Hub itself has an outage, nothing is known about the environment: inconclusive.
"""

from dataclasses import dataclass

STORAGE = ("cas", "transfer", "cdn")
"""Steps about the hosts that hold the files; they run only after the Hub itself has answered."""


@dataclass(frozen=True)
class Cause:
    """The meaning of a failure in one sentence, and the steps of its remedy; {host} is the host contacted."""

    meaning: str
    remedy: tuple[str, ...]
    fails: bool


NETWORK = "Ask your network administrator to allow HTTPS from this machine to {host}."
PROXY = "Behind a proxy, set it: export HTTPS_PROXY=http://PROXY:PORT (ask your network administrator for the address)."
CURL = "Test the connection: curl -sS -m 10 -o /dev/null -w '%{{http_code}}\\n' https://{host}/"
CURL_MODEL = "Look at the page that answers: curl -sS -m 10 https://{host}/api/models/gpt2 | head -20"
LATER = "Try again in a few minutes; https://status.huggingface.co shows outages of the Hub."
LOG_IN = (
    "Create a token at https://huggingface.co/settings/tokens, then: export HF_TOKEN=TOKEN; "
    "or, where huggingface_hub is installed: hf auth login"
)
PORTAL = "Open http://example.com in a browser on this network; if a log-in page appears, log in there."
CLOCK = "Check the clock: timedatectl; then turn on time synchronisation: sudo timedatectl set-ntp true"
DEBUG_DOWNLOAD = (
    "In `make shell`, run the download with debug output: HF_DEBUG=1 hf download hf-internal-testing/tiny-random-gpt2"
)
TRUST = (
    "Ask your network administrator for the certificate of the authority, as a PEM file.",
    "Trust it: export SSL_CERT_FILE=/path/ca.pem REQUESTS_CA_BUNDLE=/path/ca.pem; where only some hosts are inspected, "
    "the file must hold the public authorities as well.",
)

CAUSES = {
    "endpoint": Cause(
        "HF_ENDPOINT is not a valid URL.",
        (
            "Use the public Hub: unset HF_ENDPOINT",
            "Or write the URL of your mirror in full: export HF_ENDPOINT=https://HOST",
        ),
        True,
    ),
    "variable": Cause(
        "A variable keeps the client from downloading.", ("List what is set: env | grep -E '^(HF_|HUGGING)'",), True
    ),
    "mirror-redirects": Cause(
        "This mirror, {host}, only sends on to another address, and for files the client does not follow.",
        ("Use the public Hub: unset HF_ENDPOINT",),
        True,
    ),
    "netrc": Cause(
        "The netrc file has an entry for {host}, which the client sends in the token's place, and the Hub rejects it.",
        (
            "Look for the entry, whose password is shown: grep -n machine ${{NETRC:-~/.netrc}}",
            "Take the Hub's entry out of ~/.netrc with an editor, or use the netrc file for nothing here: "
            "export NETRC=/dev/null",
        ),
        True,
    ),
    "bad-url": Cause(
        "The Hub's response names an invalid URL.", ("Report it to the administrator of this mirror of the Hub.",), True
    ),
    "proxy-url": Cause(
        "The proxy variable is not a valid URL.",
        (
            "Write it in full: export HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT",
            "In the password, write @ as %40, / as %2F, # as %23, ? as %3F and : as %3A",
        ),
        True,
    ),
    "certificate-file": Cause(
        "The file of trusted certificates holds none, so the client trusts no host.",
        (
            "Look at the file: ls -l $SSL_CERT_FILE $REQUESTS_CA_BUNDLE",
            "Name an existing PEM file, or name none: "
            "unset SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE",
        ),
        True,
    ),
    "token-file": Cause(
        "There is a token, but this user may not read its file.",
        (
            "Look at its owner: ls -l ${{HF_TOKEN_PATH:-~/.cache/huggingface/token}}",
            "Change the owner to this user, or log in again: hf auth login",
        ),
        True,
    ),
    "unknown-host": Cause(
        "The name {host} does not resolve: this network has no access to the Internet, or its DNS server does not "
        "resolve public names.",
        ("Query the name: getent hosts {host}; resolvectl status", PROXY, NETWORK),
        False,
    ),
    "dns-timeout": Cause(
        "The DNS server does not answer.",
        (
            "Look at the configuration: cat /etc/resolv.conf; resolvectl query {host}",
            "Fix the network's DNS server, or configure another one.",
        ),
        False,
    ),
    "connect-timeout": Cause(
        "{host} does not answer: packets to it are dropped, usually by a firewall.", (CURL, PROXY, NETWORK), False
    ),
    "timeout": Cause(
        "{host} accepts the connection and then does not answer in time: something between drops the packets that "
        "follow, or the Hub has an outage.",
        (CURL, NETWORK, LATER),
        False,
    ),
    "out-of-time": Cause(
        "The earlier steps took so long that no time was left: the network is slow, but no fault was measured.",
        ("Run it again: make hub", NETWORK),
        False,
    ),
    "ipv6-lost": Cause(
        "IPv6 leads nowhere from here and IPv4 works: Python's clients wait for IPv6 first, with every new connection.",
        (
            "Compare: curl -6 -sS -m 10 -o /dev/null https://{host}/; curl -4 -sS -m 10 -o /dev/null https://{host}/",
            "Prefer IPv4, for all programs of this machine: "
            "echo 'precedence ::ffff:0:0/96 100' | sudo tee -a /etc/gai.conf",
            "Ask your network administrator to route IPv6, or to stop announcing it.",
        ),
        False,
    ),
    "ipv4-lost": Cause(
        "IPv4 leads nowhere from here and IPv6 works: Python's clients wait for IPv4 first, with every new connection.",
        (
            "Compare: curl -4 -sS -m 10 -o /dev/null https://{host}/; curl -6 -sS -m 10 -o /dev/null https://{host}/",
            "Look at what makes IPv4 come first: cat /etc/gai.conf; getent ahosts {host}",
            "Ask your network administrator to allow IPv4 to {host}, or to take its IPv4 address out of the DNS.",
        ),
        False,
    ),
    "address-lost": Cause(
        "One of the addresses of {host} does not answer and another does: Python's clients wait for each in turn.",
        ("List them: getent ahosts {host}", "Look for one that is fixed: cat /etc/hosts", NETWORK),
        False,
    ),
    "no-room-in-tmp": Cause(
        "There is no room in TMPDIR for the diagnosis, which downloads into a cache of its own there: none was tried.",
        (
            "Look at the room: df -h ${{TMPDIR:-/tmp}}; df -i ${{TMPDIR:-/tmp}}",
            "Name a folder with a gigabyte: export TMPDIR=/path/to/folder",
        ),
        False,
    ),
    "no-tmp": Cause(
        "There is no folder for temporary files that this user may write to, so no download was tried.",
        (
            "Look at the folders: ls -ld /tmp /var/tmp $TMPDIR",
            "Name one that is yours: export TMPDIR=/path/to/folder",
        ),
        False,
    ),
    "refused": Cause("{host} refuses connections.", (CURL, PROXY, NETWORK), False),
    "unreachable": Cause(
        "There is no route from this machine to {host}.",
        ("Look at the route: ip route get 1.1.1.1", PROXY, NETWORK),
        False,
    ),
    "connection-closed": Cause(
        "The connection to {host} is closed while it is in use: a device on the network inspects and ends it.",
        (CURL, NETWORK),
        False,
    ),
    "slow": Cause(
        "{host} answers, but far too slowly to download a model.",
        ("Measure the speed: curl -o /dev/null -w '%{{speed_download}}\\n' https://{host}/", NETWORK, LATER),
        False,
    ),
    "proxy-socks": Cause(
        "The proxy is a SOCKS proxy, which the diagnosis itself does not support: what follows was not tested.",
        ("Set the HTTP port of the same proxy, if it has one: export HTTPS_PROXY=http://PROXY:PORT",),
        False,
    ),
    "cache-locked": Cause(
        "This user may not write to a folder or a lock of the client's cache, as where it belongs to somebody else: "
        "what is downloaded cannot be stored.",
        ("If the folder is not yours to change, ask its owner for write permission, or keep using one of your own.",),
        True,
    ),
    "cache-read-only": Cause(
        "The client's cache is on a file system that is mounted read-only.",
        ("If a disk error made it read-only, do not remount it: save what matters, then replace the disk.",),
        True,
    ),
    "cache-full": Cause(
        "The client's cache has no room: the disk, its inodes or this user's quota are used up.",
        (
            "List the models in it, in `make shell`: hf cache scan (stack course) or hf cache ls (stack current)",
            "Remove those that nobody needs, in `make shell`: hf cache delete (stack course) or hf cache rm MODEL "
            "(stack current)",
        ),
        True,
    ),
    "cache-broken": Cause(
        "The client's cache cannot be used: a link that leads nowhere, a file in its place, or a file system that is "
        "lost.",
        ("If the file system itself fails, read the kernel's messages: sudo dmesg | tail -50",),
        True,
    ),
    "cache-no-locks": Cause(
        "The file system of the client's cache cannot lock files, so that a download ends with an error or waits "
        "forever.",
        ("Ask the administrator of the file server to switch on file locking.",),
        True,
    ),
    "cache-lock-held": Cause(
        "Another process holds a lock in the cache and downloads nothing: a download of the same file waits for it "
        "without end.",
        ("Ask the owner of that process whether it is still needed.",),
        False,
    ),
    "cache-late": Cause(
        "A folder of the client's cache does not answer: it is on a file server that is gone or overloaded.",
        ("Ask the administrator of the file server.",),
        False,
    ),
    "proxy-unreachable": Cause(
        "The configured proxy {host} does not answer.",
        (
            "Look at the configuration: env | grep -i _proxy",
            "Ask your network administrator for the proxy's address: export HTTPS_PROXY=http://PROXY:PORT",
            "Without a proxy: unset HTTPS_PROXY https_proxy ALL_PROXY all_proxy HTTP_PROXY http_proxy",
        ),
        False,
    ),
    "proxy-refuses": Cause(
        "The proxy {host} answers and refuses this connection.",
        ("Ask the administrator of the proxy {host} to allow the Hub's hosts: *.huggingface.co and *.hf.co.",),
        True,
    ),
    "proxy-login": Cause(
        "The proxy {host} requires a user name and a password.",
        ("Set both: export HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT, and HTTP_PROXY likewise",),
        True,
    ),
    "blocked": Cause(
        "A filter on the network blocks the request: the response is a page of its own, not the Hub's.",
        (CURL_MODEL, NETWORK, PROXY),
        True,
    ),
    "captive-portal": Cause(
        "Something on the network answers in the Hub's place, as a captive portal with its log-in page does.",
        (PORTAL, CURL_MODEL, NETWORK),
        True,
    ),
    "tls-expired": Cause(
        "The certificate of {host} has expired, or this machine's clock is ahead.",
        (CLOCK, "If the clock is right, ask the administrator of {host}, or of the network, for a new certificate."),
        True,
    ),
    "certificate-expired": Cause(
        "The certificate of {host} has expired; this machine's clock is right.",
        ("Ask the administrator of {host}, or of the network, for a new certificate.",),
        True,
    ),
    "certificate-of-the-future": Cause(
        "The certificate of {host} is not valid yet; this machine's clock is right.",
        ("Ask the administrator of {host}, or of the network, for a certificate that is valid now.",),
        True,
    ),
    "clock-ahead": Cause(
        "This machine's clock is ahead, so that the certificate of {host} counts as expired.", (CLOCK,), True
    ),
    "clock-behind": Cause(
        "This machine's clock is behind, so that the certificate of {host} is not valid yet.", (CLOCK,), True
    ),
    "tls-not-yet-valid": Cause("This machine's clock is behind: the certificate is not yet valid.", (CLOCK,), True),
    "tls-wrong-host": Cause(
        "The certificate belongs to another host than {host}.",
        (CURL, "Ask your network administrator which device answers for {host}."),
        True,
    ),
    "tls-untrusted": Cause(
        "The certificate of {host} is not from a trusted authority: a device on the network inspects TLS traffic.",
        TRUST,
        True,
    ),
    "not-tls": Cause("The server that answers for {host} does not speak TLS.", (CURL, NETWORK), True),
    "rate-limited": Cause(
        "The Hub has received too many requests from this address or this user.",
        ("Wait a few minutes, then try again.", f"Log in: the limit for users is higher. {LOG_IN}"),
        False,
    ),
    "server-error": Cause("{host} reports an error of its own.", (LATER,), False),
    "unexpected-response": Cause("{host} answers with something that no Hub sends.", (CURL, LATER), False),
    "bad-token": Cause(
        "The Hub rejects this token: it has expired, was revoked, or was not copied completely.",
        (
            "Check the token, in `make shell`: hf auth whoami",
            LOG_IN,
            "Without a token public models still work: unset HF_TOKEN; hf auth logout",
        ),
        True,
    ),
    "token-expired": Cause(
        "The token has expired.",
        (LOG_IN, "Without a token public models still work: unset HF_TOKEN; hf auth logout"),
        True,
    ),
    "token-scope": Cause(
        "The token is known, and its permissions do not include gated repositories.",
        (
            "Open https://huggingface.co/settings/tokens, choose the token, and tick its permission "
            '"Read access to contents of all public gated repos you can access".',
            "Or create a token of the type Read there, then: export HF_TOKEN=TOKEN",
            "Accept the model's terms on its page as well, if that was not done.",
        ),
        True,
    ),
    "gated-pending": Cause(
        "The request for this gated model waits for a decision of its authors.",
        ("Look at its state at https://huggingface.co/settings/gated-repos, and ask the authors on the model's page.",),
        True,
    ),
    "gated-rejected": Cause(
        "The authors of this gated model have rejected the request.",
        ("Look at https://huggingface.co/settings/gated-repos, or use another model.",),
        True,
    ),
    "private": Cause(
        "The Hub has no such repository, or it is private and this token may not see it.",
        (
            "Compare the name with the address of its page on the Hub, and look who you are: hf auth whoami",
            "With a token of another user, or a fine-grained one: give it read access to this repository at "
            "https://huggingface.co/settings/tokens",
        ),
        True,
    ),
    "no-room": Cause(
        "The files of this repository are larger than the room in the cache.",
        (
            "Look at the room: df -h ~/.cache/huggingface",
            "Keep models on a larger disk: export HF_HOME=/path/to/folder",
        ),
        True,
    ),
    "login-required": Cause("This Hub requires a log-in, and there is no token.", (LOG_IN,), True),
    "read-token-denied": Cause(
        "The Hub accepts the token, but issues no Xet read token for the files.", (LATER, LOG_IN), False
    ),
    "read-token-refused": Cause(
        "{host}, which holds the files, refuses the Xet read token that the Hub, or its mirror, has issued.",
        ("If HF_ENDPOINT names a mirror, use the public Hub: unset HF_ENDPOINT", LATER),
        True,
    ),
    "gated": Cause(
        "The model is gated, and its terms are not accepted yet.",
        ("Open the model's page on the Hub, logged in as the token's user, and accept its terms.", LOG_IN),
        True,
    ),
    "not-found": Cause(
        "The Hub answers, but does not have the model that the diagnosis requests, or not for this user.",
        ("On a mirror, add the models that `make cache` lists.", "Or use the public Hub: unset HF_ENDPOINT", LATER),
        True,
    ),
    "no-metadata": Cause(
        "The commit or the hash of the file does not arrive: a device on the network removes HTTP headers.",
        (
            "Look at the headers: curl -sSI -m 10 "
            "https://{host}/hf-internal-testing/tiny-random-gpt2/resolve/main/model.safetensors",
            NETWORK,
        ),
        True,
    ),
    "clock": Cause("The Xet read token had expired before it was used: this machine's clock is ahead.", (CLOCK,), True),
    "wrong-bytes": Cause(
        "The file that arrives differs from the file on the Hub: something on the network changes files.",
        ("Download it again on another network and compare the hashes: sha256sum FILE", NETWORK),
        True,
    ),
    "no-hash": Cause(
        "The file arrives with its size, and {host} gives no hash of it: its content is not verified.",
        (
            "Download from the Hub itself once, without the mirror: env -u HF_ENDPOINT make hub",
            "Ask whoever runs the mirror to pass on the Hub's ETag, which is the file's SHA-256.",
        ),
        False,
    ),
    "client": Cause(
        "Every host answers, and a download with huggingface_hub still fails.",
        (
            f"{DEBUG_DOWNLOAD} --force-download",
            "Install the pinned version of the client: make setup, or use the container.",
        ),
        True,
    ),
    "no-client": Cause(
        "huggingface_hub is not installed or does not import.",
        ("Install the pinned packages: make setup, or use the container.",),
        True,
    ),
    "not-in-cache": Cause(
        "The Hub is switched off by a variable, and the cache does not hold what this profile needs.",
        (
            "List what is missing: make cache",
            "Or switch the Hub on: unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE",
        ),
        True,
    ),
    "unverified": Cause(
        "The Hub is switched off by a variable; the cache holds what this profile needs, and no hash of it.",
        (
            "Compare the files with those of a machine that has downloaded them: sha256sum FILE",
            "Or switch the Hub on: unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE",
        ),
        False,
    ),
    "crashed": Cause("The diagnosis itself ended early.", ("Keep the log of this run and report it.",), False),
}

CLIENT_TIMEOUT = Cause(
    "huggingface_hub does not finish a small download, although every host answers.",
    (f"{DEBUG_DOWNLOAD} --force-download", NETWORK),
    False,
)
NOT_RESUMED = Cause(
    "A download that is interrupted once does not complete when it is resumed.",
    ("Ask your network administrator whether a proxy caches parts of files or removes Range headers.",),
    False,
)
STORAGE_BLOCKED = (
    "The Hub answers, but {host}, which holds the files, does not: model pages are visible, downloads are blocked."
)
WITHOUT_XET = "Until then, download from the CDN, which answers: export HF_HUB_DISABLE_XET=1"
NO_ANSWER = {
    "connect-timeout",
    "timeout",
    "refused",
    "unreachable",
    "unknown-host",
    "dns-timeout",
    "connection-closed",
}


def cause_of(step: str, cause: str, *, cdn_answers: bool) -> Cause:
    """The meaning of a failed step; `cdn_answers` means that files can be downloaded without Xet.

    >>> cause_of("tcp", "refused", cdn_answers=False).fails
    False
    >>> cause_of("cas", "refused", cdn_answers=True).remedy[-1]
    'Until then, download from the CDN, which answers: export HF_HUB_DISABLE_XET=1'
    """
    if step in ("download", "resume") and cause == "timeout":
        return CLIENT_TIMEOUT
    if step == "resume" and cause == "client":
        return NOT_RESUMED
    known = CAUSES.get(cause, CAUSES["unexpected-response"])
    workaround = (WITHOUT_XET,) if cdn_answers and step in ("cas-address", "cas", "transfer") else ()
    if step in STORAGE and cause in NO_ANSWER:
        return Cause(STORAGE_BLOCKED, (CURL, NETWORK, *workaround), True)
    return Cause(known.meaning, (*known.remedy, *workaround), known.fails)
