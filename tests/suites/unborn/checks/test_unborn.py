"""A suite that can be listed, but whose process dies before its first requirement."""

import os
import sys

from dgxcert import requirement

if any(argument.startswith("--dgxcert-inside") for argument in sys.argv):
    os._exit(77)


@requirement("UNBORN", title="Unborn", why="a run of nothing must not look like a run", remedy=("look",))
def test_unborn(evidence):
    assert evidence.record("born", True, source="here").holds()
