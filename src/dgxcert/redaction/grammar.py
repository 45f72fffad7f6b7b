r"""What is secret by its place in a text: after a name such as `password`, in a URL, in a header, in a private key.

No list of token formats: those are in `library` and `makers`. Only the tokens of services that dgxcert itself talks to
are here. No expression takes more than linear time.
"""

import functools
import re
from collections.abc import Callable, Iterator

from dgxcert.redaction import makers, plain

MARK = "[secret]"

STRONG = (
    r"(?:token|passw(?:or)?d|passphrase|secret|credentials?|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|(?:account|subscription|encryption|master|shared|luks)[._-]?key|connection[_-]?string|(?-i:[A-Z0-9]_KEY))"
)
"""Names after which a value is secret, whatever it looks like."""
WEAK = r"(?:(?<![A-Za-z])(?:pass|pwd|auth|login|sid|session|sig|signature|cookie)|(?-i:[A-Z](?:PASS|PWD|AUTH)))"
"""Names after which a value is secret where it looks random."""
END = r"(?:s|_\d{1,3}|_?(?:OLD|NEW|PROD|DEV|VALUE)|_access_key)?(?![\w-])"
"""What may follow such a name. `token_count` and `tokenizer` are others."""
QUOTE = r"(?:\\{0,8}[\"'`]|(?:&amp;|&)(?:quot|apos|\#0*3[49]|\#x2[27]);)"
SIGN = r"(?:[:=]=|=>|->|[:=|]|%3[ADad]|</t[dh]>\s{0,9}<td[^>\n]{0,99}>)"
FOLDED = r"(?:[>|][-+]?\d?[ \t]{0,9}\n\s{0,20})?"
"""How YAML begins a text over several lines."""
ASSIGNED = rf"(?:{QUOTE})?(?:</\w{{1,9}}>)?\s{{0,9}}{SIGN}\s{{0,9}}{FOLDED}"
BARE = r"(?P<bare>[^\s,;\"'`&<|()\[\]{}]{1,999}+)"
VALUE = rf"(?:b?(?P<quote>{QUOTE})(?P<quoted>(?:(?!(?P=quote))(?:\\[^\n]|[^\n])){{1,999}}+)|{BARE}(?![(\[]))"
ARGUMENT = r"[\s\"',]{1,4}"
"""What is between two arguments, on a line or in a list."""
SPACE = r"(?:\s+is\s+|[ \t]+|\s{0,9}\n\s{0,9})"

Judge = Callable[[str, bool], bool]
NAMED: tuple[tuple[str, str, Judge], ...] = (
    (rf"{STRONG}{END}{ASSIGNED}", VALUE, plain.is_value),
    # curl --token, set -password, ["curl", "--token", "x"]
    (rf"--?[\w-]{{0,20}}?{STRONG}(?:[ =]|[\"'],)\s{{0,9}}", VALUE, plain.is_value),
    (
        rf"\b(?:docker|podman|nerdctl|helm|oras|skopeo|crane){ARGUMENT}(?:[^\n]{{0,99}}?{ARGUMENT})?login{ARGUMENT}[^\n]{{0,200}}?"
        rf"-p{ARGUMENT}",
        BARE,
        plain.is_value,
    ),
    (rf"\bsshpass{ARGUMENT}-p(?:{ARGUMENT})?", BARE, plain.is_value),
    (r"\b(?:login|authenticate|set_token|set_password)\(\s{0,9}(?:\w{1,20}\s?=\s?)?", VALUE, plain.is_random),
    (r"Client(?:V\d)?\(\s{0,9}", VALUE, plain.is_very_random),
    (r"(?:\bpassw(?:or)?d[ \t]{1,9}|\bwandb\s{1,9}login\s{1,9})", BARE, plain.is_random),
    (rf"<(?:\w{{1,20}}[:_-])?{STRONG}>\s{{0,9}}", BARE, plain.is_value),
    (r"type=[\"']?password[\"']?\s(?:[^>\n]{0,200}?\s)?value=", VALUE, plain.is_value),
    (rf"proxy{ASSIGNED}{QUOTE}?[^\s:/@\"']{{1,99}}:", r"(?P<bare>[^\s/@\"']{1,200})(?=@)", plain.is_any),
    (rf"{WEAK}{END}{ASSIGNED}", VALUE, plain.is_random),
    (rf"(?:{STRONG}|{WEAK}){END}{SPACE}", BARE, plain.is_very_random),  # netrc, a table, a sentence
    (r"(?<=\s)(?:-u|--user|--proxy-user)[ =][^\s:]{1,99}:", r"(?P<bare>\S{3,999})", plain.is_value),
    (r"\bmysql[\w-]{0,20}\s(?:[^\n]{0,200}?\s)?-p", r"(?P<bare>[^\s\"']{6,999})", plain.is_random),
)
QUERY = (
    r"[\w.-]{0,40}(?:token|secret|password|passwd|pwd|apikey|api_key|signature|credential)|sig"
    r"|X-Amz-[\w-]{1,20}|X-Goog-[\w-]{1,20}|Policy|Key-Pair-Id"
)
SCHEMES = "bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256"
KEPT = r"(?!\[secret\])"
PLACES: tuple[tuple[str, str], ...] = (
    # Private keys, also where their end is missing.
    (
        r"(?s)()-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z0-9 ]{0,40}KEY(?: BLOCK)?-----|\Z)",
        "",
    ),
    (r"(?s)()PuTTY-User-Key-File-\d:.*?(?:Private-MAC: \w+|\Z)", ""),
    # Headers of HTTP.
    (
        rf"(?i)((?:proxy-)?authorization[\"'&;\w#]{{0,12}}\s{{0,4}}[:=,]\s{{0,4}}[\"'&;#\\]{{0,4}}(?:quot;|39;|34;)?"
        rf"(?:b['\"])?(?:(?:{SCHEMES})(?:\s+|%20|\+)|(?=[^\s\"'<&\\]{{0,99}}\d)(?=[^\s\"'<&\\]{{8}})))"
        rf"{KEPT}(?![*<.…])[^\s\"'<&\\]{{3,4000}}",
        "",
    ),
    (rf"(?i)\b((?:bearer|basic)(?:\s|%20)){KEPT}(?=[\w.~+/-]{{0,999}}\d)[\w.~+/-]{{8,4000}}={{0,2}}", ""),
    (rf"(?i)((?:set-)?cookie\d?[\"']?\s{{0,4}}:\s{{0,4}}[\"']?){KEPT}(?=[^\n\"']{{0,99}}=)[^\n\"']{{4,4000}}", ""),
    (
        rf"(?i)(x-(?:api-key|auth-token|amz-security-token|vault-token)[\"']?\s{{0,4}}:\s{{0,4}}[\"']?){KEPT}[^\s\"']{{3,4000}}",
        "",
    ),
    # URLs. A password may hold "/" and "@" unescaped; what follows a colon may be a port, and "@" a revision of git.
    (
        r"(:(?:\\?/){2})(?!\[secret\]@|[A-Z]+:[A-Z]+@)[^\s/@:\"'<>]{0,200}:(?!\d{1,5}(?:/|$|\s))[^\s\"'<>]{1,400}@",
        "@",
    ),
    (r"(:(?:\\?/){2})(?!\[secret\]@|(?:git|hg|user|USER)@)[^\s/@:\"'<>]{1,400}@", "@"),
    (rf"(?i)([?&#;](?:amp;)?(?:{QUERY})=){KEPT}[^\s&\"'<>]{{4,4000}}", ""),
    (rf"(?i)([?&#;](?:amp;)?(?:key|auth|code|sid|access)=){KEPT}(?=[^\s&\"'<>]{{0,99}}\d)[^\s&\"'<>]{{8,4000}}", ""),
    (r"(?i)(\bresponse=\\{0,4}[\"']?)[0-9a-f]{32,128}\b", ""),  # of Digest
    # Hugging Face, NVIDIA, Google (whose storage the Hub's mirrors use), and a JSON Web Token with its signature.
    (
        r"\b()(?:hf_(?!x{8})[A-Za-z0-9]{16,}|api_org_[A-Za-z]{20,}|nvapi-[\w-]{16,}|AIza[\w-]{30,}|ya29\.[\w-]{20,})",
        "",
    ),
    (r"\b()eyJ[\w-]{8,8000}={0,2}\.[\w-]{4,8000}={0,2}(?:\.[\w+/=-]{0,8000}){0,3}", ""),
)
PLACES_NEED: tuple[tuple[str, ...], ...] = (
    *(("private key",), ("putty",), ("authorization",), ("bearer", "basic"), ("cookie",), ("x-",), ("/",), ("/",)),
    *(("=",), ("=",), ("response=",), ("hf_", "api_org_", "nvapi-", "aiza", "ya29."), ("eyj",)),
)
NAMED_NEED: tuple[tuple[str, ...], ...] = (
    *((), ("-",), ("login",), ("sshpass",), ("login(", "authenticate(", "set_token(", "set_password("), ("client",)),
    *(("passw", "wandb"), ("<",), ("password",), ("proxy",), (), (), ("-u",), ("mysql",)),
)
"""In lower case, of what a text needs one where an expression matches; looking is many times as fast.

Empty where a name has to be found: those are tried at each of NAMES alone.
"""
NAMES = re.compile(
    r"t(?=oken)|p(?=ass|wd|rivate)|s(?=ecret|ubscription|hared|id|ess|ig)|c(?=redential|onnection|ookie)"
    r"|a(?=pi|ccess|ccount|uth)|e(?=ncryption)|m(?=aster)|l(?=uks|ogin)|_(?=key)"
)
"""Where a name may begin; before a part of a name in upper case, as in `LABPASS` and `LAB_KEY`, one earlier."""
WORDS = (
    "token",
    "pass",
    "secret",
    "credential",
    "key",
    "auth",
    "connection",
    "pwd",
    "login",
    "sid",
    "sess",
    "sig",
    "cookie",
    "proxy",
)
SIGNS = ("://", ":\\/", "-u ", "--user", "--proxy-user", "bearer", "basic", "mysql")
LONG = re.compile(r"[A-Za-z0-9_-]{18}|[?&#;]\w")


@functools.cache
def _in_place() -> list[tuple[re.Pattern[str], str]]:
    """PLACES with what they are replaced by. Compiled when first needed: most commands print nothing of the kind."""
    return [(re.compile(expression), rf"\1{MARK}{after}") for expression, after in PLACES]


@functools.cache
def _named() -> list[tuple[re.Pattern[str], Judge]]:
    return [(re.compile(f"(?P<before>{before}){value}", re.IGNORECASE), judge) for before, value, judge in NAMED]


def may_hold(text: str) -> bool:
    """Whether `redact` has to look at a text: most strings of a record have none of what it starts from."""
    lower = text.lower()
    return any(word in lower for word in (*WORDS, *SIGNS)) or LONG.search(text) is not None


def redact(text: str) -> tuple[str, int]:
    """A text without what its place tells to be secret, and how often something was redacted.

    >>> redact("GET https://ada:pa/ss@hub.example/x?sig=8f1c HF_TOKEN=x7Qm2k, eos_token='</s>'")
    ("GET https://[secret]@hub.example/x?sig=[secret] HF_TOKEN=[secret], eos_token='</s>'", 3)
    """
    if not may_hold(text):
        return text, 0
    count, folded = 0, plain.folded(text)
    for (expression, mark), needed in zip(_in_place(), PLACES_NEED, strict=True):
        if any(word in folded for word in needed):
            text, found = expression.subn(mark, text)
            count += found
    for (expression, judge), needed in zip(_named(), NAMED_NEED, strict=True):
        if not needed or any(word in folded for word in needed):
            spans = list(_values(_matches(expression, text, anywhere=bool(needed)), judge))
            text, count = _marked(text, spans), count + len(spans)
    spans = makers.spans(text)
    return _marked(text, spans), count + len(spans)


def _matches(expression: re.Pattern[str], text: str, *, anywhere: bool) -> Iterator[re.Match[str]]:
    """What `finditer` finds; unless `anywhere`, by a look at the places alone where a name may begin."""
    folded = plain.folded(text)
    if anywhere or len(folded) != len(text):
        yield from expression.finditer(text)
        return
    end = 0
    for name in NAMES.finditer(folded):
        at = name.start()
        for begin in (at - 1, at) if text[at] in "_PA" else (at,):
            if begin >= end and (match := expression.match(text, begin)):
                yield match
                end = match.end()


def _values(matches: Iterator[re.Match[str]], judge: Judge) -> Iterator[tuple[int, int]]:
    for match in matches:
        quoted = bool(match.groupdict().get("quoted"))
        name = "quoted" if quoted else "bare"
        if judge(match.group(name), quoted):
            yield match.span(name)


def _marked(text: str, spans: list[tuple[int, int]]) -> str:
    for begin, end in reversed(spans):
        text = f"{text[:begin]}{MARK}{text[end:]}"
    return text
