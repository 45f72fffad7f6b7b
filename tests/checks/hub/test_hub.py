"""The checks about the Hub pass where all is well, and each of their comparisons fails alone."""

import hashlib
import shutil
from pathlib import Path
from types import ModuleType

import check_file
import paths
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import diagnosis as hub
from dgxcert.probes.hub.diagnosis import Diagnosis, Step
from dgxcert.probes.hub.model_cache import File, Kept
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.checkpoints import KNOWN, Answer, Checkpoint, Pinned
from dgxcert.workloads.models import checkpoint
from dgxcert.workloads.models.checkpoint import Said

CHECKS = paths.CHECKS / "hub"
GPT2 = KNOWN["gpt2"]


def check(name: str) -> ModuleType:
    return check_file.load(f"hub/{name}")


REACH, CHECKPOINTS = check("test_reach"), check("test_checkpoints")


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def diagnosis(*states: tuple[str, str, str]) -> Diagnosis:
    return Diagnosis(tuple(Step(name, state, cause, "h", "what was seen", 0.1) for name, state, cause in states), 1.0)


WELL = diagnosis(("settings", "ok", ""), ("tls", "skipped", ""), ("download", "ok", ""))


def reach(monkeypatch: pytest.MonkeyPatch, evidence: Recorder, found: Diagnosis) -> None:
    monkeypatch.setattr(hub, "diagnose", lambda needed: found)
    REACH.test_models_come_from_the_hub_or_are_in_the_cache(profiles.load("cpu"), evidence)


def test_a_hub_whose_every_step_goes_well_passes(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    reach(monkeypatch, evidence, WELL)
    assert evidence.compared
    assert not evidence.violated
    assert [kept.name for kept in evidence.kept][:2] == ["Hub, settings", "Hub, tls"]


def test_storage_that_is_shut_off_fails_by_name_with_its_own_remedy(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder
) -> None:
    shut = diagnosis(("http", "ok", ""), ("cas", "failed", "refused"), ("cdn", "ok", ""))
    with pytest.raises(AssertionError):
        reach(monkeypatch, evidence, shut)
    assert [(kept.name, kept.value) for kept, _ in evidence.violated] == [("first step that failed", "cas")]
    assert any("HF_HUB_DISABLE_XET=1" in step for step in evidence.advice)


def test_a_network_that_does_not_answer_is_inconclusive(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    with pytest.raises(Inconclusive, match="step dns") as raised:
        reach(monkeypatch, evidence, diagnosis(("settings", "ok", ""), ("dns", "failed", "no-name")))
    assert any("HTTPS_PROXY" in step for step in raised.value.remedy)
    assert [kept.value for kept in evidence.kept] == ["ok", "failed"]


def test_the_profile_says_what_must_be_in_the_cache(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    asked: list[object] = []
    monkeypatch.setattr(hub, "diagnose", lambda needed: asked.append(needed) or WELL)
    REACH.test_models_come_from_the_hub_or_are_in_the_cache(profiles.load("cpu"), evidence)
    assert asked == [("gpt2", "distilbert-base-uncased")]


@pytest.mark.parametrize("state", ["verified", "wrong", "missing", "unreadable"])
def test_only_verified_files_are_as_pinned(monkeypatch: pytest.MonkeyPatch, evidence: Recorder, state: str) -> None:
    kept = Kept(GPT2, (File("config.json", "verified", "665 bytes"), File("model.safetensors", state, "seen")))
    monkeypatch.setattr(checkpoint, "fetched", lambda repo: kept)
    if state == "verified":
        CHECKPOINTS.test_the_files_of_a_real_checkpoint_are_as_pinned("gpt2", evidence)
        assert evidence.compared
        return
    with pytest.raises(AssertionError):
        CHECKPOINTS.test_the_files_of_a_real_checkpoint_are_as_pinned("gpt2", evidence)
    assert "model.safetensors seen" in evidence.violated[0][0].source


@pytest.mark.parametrize(("said", "well"), [("464 3290 373", True), ("464 3290 374", False)])
def test_only_the_known_tokens_are_an_answer(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, said: str, well: bool
) -> None:
    monkeypatch.setattr(checkpoint, "answer", lambda repo, device: Said(said, "464 3290 373", "greedy"))
    about = CHECKPOINTS.test_a_real_checkpoint_answers_as_it_is_known_to
    if well:
        about("gpt2", Device("cpu", 0, "CPU"), evidence)
        assert evidence.compared
        return
    with pytest.raises(AssertionError):
        about("gpt2", Device("cpu", 0, "CPU"), evidence)
    assert [kept.name for kept, _ in evidence.violated] == ["tokens"]


def test_a_checkpoint_that_cannot_be_fetched_says_nothing_about_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="needs the stack: make setup")

    def refuse(*_: object, **__: object) -> str:
        raise OSError(f"https://cdn/x?Signature=abc with hf_{'a' * 34}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(Inconclusive, match="could not be fetched: OSError") as raised:
        checkpoint.fetched("gpt2")
    assert "Signature" not in raised.value.problem
    assert "hf_aaa" not in raised.value.problem
    assert any("hf download gpt2" in step for step in raised.value.remedy)


def test_an_answer_from_other_files_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Kept(GPT2, (File("model.safetensors", "wrong", "has SHA-256 abc"),))
    monkeypatch.setattr(checkpoint, "fetched", lambda repo: wrong)
    with pytest.raises(Inconclusive, match=r"means nothing: gpt2 at 607a30d783df: model.safetensors has SHA-256 abc"):
        checkpoint.answer("gpt2", Device("cpu", 0, "CPU"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("one_thread")
def test_a_checkpoint_in_the_cache_is_verified_loaded_and_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, evidence: Recorder
) -> None:
    torch = pytest.importorskip("torch", reason="needs the stack: make setup")
    transformers = pytest.importorskip("transformers", reason="needs the stack: make setup")
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--tiny" / "snapshots" / ("0" * 40)
    torch.manual_seed(3)
    shape = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=4096, n_positions=32)
    model = transformers.GPT2LMHeadModel(shape).eval()
    model.save_pretrained(folder)
    shutil.copy(Path(checkpoint.__file__).parent / "data" / "tokenizer.json", folder)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokens = tokenizer("the dog").input_ids
    prompt = len(tokens)
    with torch.no_grad():
        while len(tokens) < prompt + 6:
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    names = ("config.json", "tokenizer.json", "model.safetensors")
    files = {name: Pinned(sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in names}
    known = Answer(prompt="the dog", tokens=tuple(tokens), source="a loop of its own")
    tiny = Checkpoint(repo="tiny", revision="0" * 40, purpose="a test", files=files, answer=known)
    monkeypatch.setitem(KNOWN, "tiny", tiny)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: "")
    CHECKPOINTS.test_the_files_of_a_real_checkpoint_are_as_pinned("tiny", evidence)
    CHECKPOINTS.test_a_real_checkpoint_answers_as_it_is_known_to("tiny", Device("cpu", 0, "CPU"), evidence)
    assert not evidence.violated
    damaged = bytearray((folder / "model.safetensors").read_bytes())
    damaged[-1] ^= 1
    (folder / "model.safetensors").write_bytes(damaged)
    with pytest.raises(AssertionError):
        CHECKPOINTS.test_the_files_of_a_real_checkpoint_are_as_pinned("tiny", evidence)
