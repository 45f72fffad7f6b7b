"""What its place tells to be secret is redacted, however it is written; digests, names, paths and numbers are not."""

import random
from pathlib import Path

import pytest
from paths import ROOT

from dgxcert.redaction import grammar, plain, scrubber

SECRET = "Xq7PlantedSecret99zz"

SPELLINGS = """
HF_TOKEN=S
HF_TOKEN='S'
{"api_key": "S"}
&quot;api_key&quot;: &quot;S&quot;
&#34;api_key&#34;: &#34;S&#34;
&#39;WANDB_API_KEY&#39;: &#39;S&#39;
<b>password</b>: S
<td>HF_TOKEN</td><td>S</td>
token = "S"
pass = S
PGPASSWORD=S
passwd=S
pwd=S
machine h login u password S
--token=S
--token S
mysql -pS
curl -u user:S http://h
http://user:S@host/
https://S@github.com/x
http://user:a/S@host/
http://user:a@S@host/
HTTP://ME:S@LAB/
https:\\/\\/user:S@host
https://h/x?token=S
https://h/x?access_token=S&y=1
https://acc.blob.core.windows.net/x?sv=1&sig=S
https://h/x?key=S
https://h/#access_token=S
Authorization: Bearer S
authorization: token S
Authorization: Basic dXNlcjpwYXNzS
{'authorization': 'Bearer S'}
X-Api-Key: S
Cookie: session=S
Set-Cookie: sid=S; Path=/
b'token': b'S'
{\\"token\\": \\"S\\"}
login(token='S')
login('S')
aws_secret_key=S
client_secret=S
credentials=S
auth=S
AccountKey=S==;
mongodb+srv://u:S@h
accessToken=S
apiKey: S
api-key: S
tokens=S
HF_TOKEN_OLD=S
TOKEN_2=S
set -x HF_TOKEN S
| HF_TOKEN | S |
token -> S
the token is S
token%3DS
-----BEGIN OPENSSH PRIVATE KEY----- S -----END OPENSSH PRIVATE KEY-----
-----BEGIN RSA PRIVATE KEY----- S
pypi-AgEIcHlwaS5vcmcS
npm_S0123456789abcdef
AIzaSyA1234567890S
eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.S
nvapi-S
hf_S
sk-ant-S
""".strip().splitlines()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_redacted_by_its_place(spelling: str) -> None:
    redacted, count = grammar.redact(spelling.replace("S", SECRET) if spelling.count("S") == 1 else _planted(spelling))
    assert SECRET not in redacted
    assert count
    assert grammar.redact(redacted) == (redacted, 0), "what is redacted stays as it is"


def _planted(spelling: str) -> str:
    """The spelling with the secret in the place of its last S that stands alone or at a word's end."""
    before, _, after = spelling.rpartition("S")
    return f"{before}{SECRET}{after}"


HEALTHY = (
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "nvcr.io/nvidia/pytorch@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit 89de536a1f0c4b7d9e2f3a4b5c6d7e8f90a1b2c3, tree 0f1e2d3c",
    "GPU-3f2504e0-4f89-41d3-9a0c-0305e82c3301 NVIDIA H200 141GB HBM3e",
    "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDvb3F4/CrBO2bQbnk ada@spark-07 (ED25519)",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq3XQm2kLpx7Qm2kLpx7Qm2kLpx7Qm2kLpx7Qm ada",
    "decode fp16 is 9.8 token/s, required >= 13.0 token/s",
    "tokens: 1234567, max_new_tokens=128, pad_token_id=50256, eos_token='</s>', bos_token: <|begin_of_text|>",
    "from_pretrained('meta-llama/Llama-3.1-8B-Instruct', revision='89de536a1f0c')",
    "git+https://github.com/huggingface/transformers@main ssh://git@github.com/x http://proxy.example:3128/x@y",
    "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_15FillFunctorIlEE",
    '{"key": "DECODE-SPEED[int4]", "event": "finished", "outcome": "passed"}',
    "tokens = model.generate(**inputs); self._token = torch.zeros(1); Authorization: self.settings.authorization",
    "export HF_TOKEN=YOUR_TOKEN, export HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT, --token $HF_TOKEN",
    "signature: /sys/bus/platform/devices/NVDA8800:00/prochot is 1",
    "password: required, token: not set, secret: none, HF_TOKEN_FILE=/run/secrets/hf_token",
    "/cache/models--hf-internal-testing--tiny-random-LlamaForCausalLM/snapshots/3f2504e04f8941d39a0c0305e82c3301abcdef01",
    "serial 1650825001234, VBIOS 96.00.A5.00.01, driver 580.95.05, uuid 6b1d8f2c-0d1f-4c58-9a53-2b1c7f5b9e11",
    "ampere_fp16_s16816gemm_fp16_128x128_ldg8_f2f_stages_32x5_tn, cutlass_80_tensorop_bf16_s16816gemm_relu",
)


@pytest.mark.parametrize("text", HEALTHY)
def test_what_a_report_is_made_of_stays(text: str) -> None:
    assert scrubber.text(text) == text


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "measurements").rglob("run.json")), ids=str)
def test_the_record_of_a_real_machine_stays_byte_for_byte(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert scrubber.json_text(text) == text


@pytest.mark.parametrize(
    "page", ["README.md", "docs/requirements.md", "docs/faults.yaml", "docs/commands.md", "docs/hub.md"]
)
def test_the_pages_of_this_project_stay(page: str) -> None:
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        assert scrubber.text(line) == line


def test_a_hostile_text_takes_no_longer_than_its_length() -> None:
    hostile = (
        "a" * 50_000,
        "token" * 10_000,
        "://a" * 15_000,
        "_" * 50_000,
        "a-" * 25_000,
        '\\"' * 25_000,
        "eyJa." * 10_000,
    )
    for text in (*hostile, "authorization=token " * 2500, "-----BEGIN A PRIVATE KEY-----" * 1500, "mysql -" * 5000):
        scrubber.text(text)


NAMES = "token SECRET_KEY credentials api_key private_key account.key A_KEY LABPASS MYPWD XAUTH pass sid session cookie"
ODD_NAMES = "login pa\u017fsword to\u212aen s\u0130d \u0130 accessecret tokensecret eos_token token_count"
VALUES = "x7Qm2kLpAa9 hunter2x 123456 </s> [secret] $VAR hf_aB3aB3aB3aB3aB3aB3 eyJhbGciOi.eyJzdWIiOi.x7Qm"
PLACES = (
    *("=", ": ", "->", " ", "\n", '="', '"', "|", " is ", "--", "-u ada:", "&", "://ada:", "@", "_", "-", "A", "a"),
    *("Authorization: Bearer ", "Cookie: a=", "proxy=ada:", "docker login -p ", "sshpass -p ", "mysql -p", "login('"),
    *("passwd ", "wandb login ", "Client('", "<", "type=password value=", "response=", "x-api-key: ", "?", "bearer "),
    *("-----BEGIN PRIVATE KEY-----", "PuTTY-User-Key-File-3:"),
)


def test_what_is_not_looked_at_has_nothing_that_would_be_found() -> None:
    dice = random.Random(7)
    kinds = ((*NAMES.split(), *ODD_NAMES.split()), VALUES.split(), PLACES, PLACES)
    for _ in range(1000):
        text = "".join(dice.choice(dice.choice(kinds)) for _ in range(dice.randint(1, 14)))
        for (expression, _judge), needed in zip(grammar._named(), grammar.NAMED_NEED, strict=True):
            found = [match.span() for match in expression.finditer(text)]
            assert [match.span() for match in grammar._matches(expression, text, anywhere=bool(needed))] == found
            assert not (found and needed) or any(word in plain.folded(text) for word in needed)
        for (expression, _mark), needed in zip(grammar._in_place(), grammar.PLACES_NEED, strict=True):
            assert not expression.search(text) or any(word in plain.folded(text) for word in needed)
