"""`python driver.py SUITE ARGUMENT...` is the dgxcert command on a suite of the tests' own."""

import sys
from pathlib import Path

from dgxcert import cli, suite

if __name__ == "__main__":
    where = Path(sys.argv.pop(1)).resolve()
    suite.root = lambda: where
    cli.main()
