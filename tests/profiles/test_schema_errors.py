"""What is wrong with a profile is named by its key, the first three problems on one line."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from dgxcert.profiles import schema_errors


class Disk(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int
    mount: str = "/"


class Host(BaseModel):
    model_config = ConfigDict(extra="forbid")

    disk: Disk
    disks: dict[str, Disk] = {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"disk": {"size": 1, "mout": "/"}}, "unknown key 'disk.mout'; did you mean 'mount'?"),
        ({"disk": {"size": 1}, "disks": {"a": {"size": 1, "mout": "/"}}}, "unknown key 'disks.a.mout'; did you mean"),
        ({"disk": {"size": 1}, "dsks": {}}, "unknown key 'dsks'; did you mean 'disks'?"),
        ({}, "missing key 'disk'"),
        ({"disk": 3}, "disk: wanted keys and values, found 3"),
        (
            {"disk": {"size": 1, "mount": 1650124001234}},
            "disk.mount: wanted a text, found 1650124001234, which needs quotes to be one",
        ),
        ({"disk": {"size": "big"}}, "disk.size: Input should be a valid integer"),
    ],
)
def test_a_problem_is_named_by_its_key(content: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Host.model_validate(content)
    (message,) = schema_errors.problems(raised.value, Host)
    assert message.startswith(problem)
    (placed,) = schema_errors.problems(raised.value, Host, ("hosts", "spark-07"))
    assert "hosts.spark-07." in placed


def test_three_problems_are_shown() -> None:
    assert schema_errors.summary(["a", "b", "c", "d"]) == "a; b; c."
