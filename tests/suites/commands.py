"""The output and exit code of a command."""

import re


class Result:
    """Exit code and output of a command."""

    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def require_refused(self, *words: str) -> None:
        """Assert that it could not start, and printed one line with these words on standard error."""
        assert (self.code, self.out) == (3, "")
        assert re.fullmatch(r"dgxcert: [^\n]+\n", self.err), self.err
        assert [word for word in words if word not in self.err] == [], self.err
