"""A requirement cannot be declared without a valid id, title, reason and remedy."""

from typing import Any

import pytest

from dgxcert import requirement
from dgxcert.judgement.requirement import Tier
from dgxcert.plan import catalogue

WHOLE: dict[str, Any] = {
    "title": "The driver sees every GPU",
    "why": "training stops",
    "remedy": ("Run `nvidia-smi`.", "Restart: sudo reboot"),
}


def declare(id: str = "GPU-PRESENT", **about: Any) -> Any:
    @requirement(id, **WHOLE | about)
    def test_it() -> None: ...

    return catalogue.declared(test_it)


def test_the_declaration_is_kept_on_the_unchanged_test() -> None:
    def test_it() -> None: ...

    assert requirement("GPU-PRESENT", tier="standard", takes_s=9, budget_s=90, **WHOLE)(test_it) is test_it
    kept = catalogue.declared(test_it)
    assert kept is not None
    assert (kept.id, kept.tier, kept.takes_s, kept.budget_s) == ("GPU-PRESENT", Tier.STANDARD, 9, 90)
    assert (kept.why, kept.remedy) == (WHOLE["why"], WHOLE["remedy"])


def test_a_requirement_is_quick_by_default() -> None:
    assert declare().tier is Tier.QUICK


@pytest.mark.parametrize("id", ["GPU", "BF16-CORRECT", "GPU-CLOCK-UNDER-LOAD", "3D"])
def test_an_id_is_upper_case_words_joined_by_hyphens(id: str) -> None:
    assert declare(id).id == id


@pytest.mark.parametrize(
    "id", ["", "gpu", "Gpu", "GPU_CLOCK", "GPU-", "-GPU", "GPU--CLOCK", "GPU CLOCK", "GPU[0]", "GPU\n"]
)
def test_any_other_id_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="wanted words in capitals joined by '-', like GPU-PRESENT"):
        declare(id)


@pytest.mark.parametrize("remedy", [(), "Restart.", ("Look.", ""), ("  ",)])
def test_a_remedy_has_steps_and_none_of_them_is_empty(remedy: Any) -> None:
    with pytest.raises(ValueError, match="GPU-PRESENT: `remedy` must be a tuple of one or more non-empty steps"):
        declare(remedy=remedy)


@pytest.mark.parametrize("title", ["", " ", "The driver sees every GPU."])
def test_a_title_is_a_sentence_without_its_full_stop(title: str) -> None:
    with pytest.raises(ValueError, match="GPU-PRESENT: `title` must be a sentence, without its full stop"):
        declare(title=title)


@pytest.mark.parametrize("why", ["", " \n"])
def test_a_requirement_names_the_work_that_suffers(why: str) -> None:
    with pytest.raises(ValueError, match="GPU-PRESENT: `why` must say which Hugging Face work suffers"):
        declare(why=why)


@pytest.mark.parametrize("budget_s", [0, 29.9, 30])
def test_the_expected_time_is_below_the_budget(budget_s: float) -> None:
    with pytest.raises(ValueError, match=rf"budget_s {budget_s} must exceed takes_s 30"):
        declare(takes_s=30, budget_s=budget_s)
    assert declare(takes_s=30, budget_s=30.1).budget_s == 30.1


def test_a_tier_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'slow' is not a valid Tier"):
        declare(tier="slow")


@pytest.mark.parametrize("missing", ["title", "why", "remedy"])
def test_title_why_and_remedy_have_no_default(missing: str) -> None:
    with pytest.raises(TypeError, match=missing):
        requirement("GPU-PRESENT", **{name: value for name, value in WHOLE.items() if name != missing})


def test_each_tier_includes_the_ones_before_it() -> None:
    assert Tier.STANDARD.includes(Tier.QUICK)
    assert Tier.STANDARD.includes(Tier.STANDARD)
    assert Tier.QUICK.includes(Tier.QUICK)
    assert not Tier.QUICK.includes(Tier.STANDARD)
