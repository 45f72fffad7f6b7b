"""Hub reach: a model can be downloaded from the Hugging Face Hub, or is in the cache where the Hub is switched off."""

from dgxcert import requirement
from dgxcert.probes.hub import diagnosis as hub


@requirement(
    "HUB-REACHABLE",
    title="Models can be downloaded from the Hugging Face Hub",
    why="Models and data sets come from the Hub: a proxy, a firewall that blocks only the storage hosts, or an expired "
    "token stops every course notebook at its first line.",
    remedy=(
        "Run `make hub` and read which step fails first, and its remedy.",
        "Ask your network administrator to allow *.huggingface.co and *.hf.co on port 443.",
    ),
    takes_s=3,
)
def test_models_can_be_downloaded_or_are_in_the_cache(profile, evidence):
    diagnosis = hub.diagnose(profile.checkpoints)
    diagnosis.record(evidence)
    evidence.advise(*diagnosis.remedy)
    failed = evidence.record("first step that failed", diagnosis.failed, source=diagnosis.summary)
    assert failed == "none"
