"""Hub reach: the Hugging Face Hub answers from this machine."""

from dgxcert import requirement
from dgxcert.probes import hub


@requirement(
    "HUB-REACHABLE",
    why="Models and data sets come from the Hub: without it, only what is already in the cache can be used.",
    remedy=(
        "Run `curl -sS https://huggingface.co/api/models/openai-community/gpt2` and read what answers.",
        "An answer that is not the Hub's: a proxy or a log-in page stands before it; ask whoever runs the network.",
    ),
    takes_s=2,
)
def test_the_hub_answers(evidence):
    answer = hub.read()
    status = evidence.record("HTTP status", answer.status, source=f"GET {answer.endpoint}/api/models/{hub.MODEL}")
    model = evidence.record("model named in the answer", answer.model, source="the answer's `id`")
    assert status == 200
    assert model == hub.MODEL
