"""The options of a run: whether they select the whole standard tier, and the names of stages and image."""

import pytest

from dgxcert.judgement.requirement import Stage
from dgxcert.machine.runtime import Runtime
from dgxcert.plan.options import Options


@pytest.mark.parametrize(
    ("options", "whole"),
    [({}, True), ({"tier": "quick"}, False), ({"only": ("gpu",)}, False), ({"tier": "standard", "only": ()}, True)],
)
def test_only_the_whole_standard_tier_is_whole(options: dict[str, object], whole: bool) -> None:
    assert Options.model_validate({"profile": "mine"} | options).whole is whole


@pytest.mark.parametrize(("runtime", "name"), [(Runtime.DOCKER, "container"), (Runtime.NATIVE, "native")])
def test_the_work_stage_is_named_by_its_runtime_and_the_others_by_themselves(runtime: Runtime, name: str) -> None:
    options = Options(profile="cpu", runtime=runtime)
    assert [options.stage_name(stage) for stage in Stage] == ["host", "image", name, "after"]


def test_the_image_is_named_after_its_stack_unless_the_user_names_it() -> None:
    assert Options(profile="cpu", stack="current").image_reference == "dgxcert:current"
    assert Options(profile="cpu", stack="current", image="mine:1").image_reference == "mine:1"
