"""Hub reach: models can be fetched from the Hugging Face Hub here, or are here where the Hub is switched off."""

from dgxcert import requirement
from dgxcert.probes.hub import diagnosis as hub


@requirement(
    "HUB-REACHABLE",
    why="Models and data sets come from the Hub: a proxy, a firewall that lets its page through and not its files, or "
    "a token that has run out stops every course notebook at its first line.",
    remedy=(
        "Run `python -m dgxcert.probes.hub` and read which step fails first, and what is to be done about it.",
        "Ask whoever runs the network to let this machine reach *.huggingface.co and *.hf.co on port 443.",
    ),
    takes_s=6,
)
def test_models_come_from_the_hub_or_are_in_the_cache(profile, evidence):
    diagnosis = hub.diagnose(profile.checkpoints)
    diagnosis.keep(evidence)
    evidence.advise(*diagnosis.remedy)
    failed = evidence.record("first step that failed", diagnosis.failed, source=diagnosis.says)
    assert failed == "none"
