"""The variable that stops a client is found by trying without it."""

from dgxcert.probes.hub.variables import culprit

ENVIRON = {"HF_HOME": "/a", "HF_HUB_ETAG_TIMEOUT": "1", "HF_XET_CLIENT_READ_TIMEOUT": "1ms", "LANG": "C"}


def test_one_variable_is_named_where_one_is_enough() -> None:
    assert culprit.find(lambda names: "HF_XET_CLIENT_READ_TIMEOUT" in names, ENVIRON) == ("HF_XET_CLIENT_READ_TIMEOUT",)


def test_all_are_named_where_only_all_together_are_enough() -> None:
    assert culprit.find(lambda names: len(names) == 2, ENVIRON) == ("HF_HUB_ETAG_TIMEOUT", "HF_XET_CLIENT_READ_TIMEOUT")


def test_none_is_named_where_it_fails_without_them_too() -> None:
    assert culprit.find(lambda names: False, ENVIRON) == ()
    assert culprit.find(lambda names: True, {"HF_HOME": "/a"}) == ()
