"""What an image is built from: the checkout, or the same files from an installed wheel, laid out as in a checkout."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dgxcert.plan import suite

CACHES = shutil.ignore_patterns("__pycache__")


@contextlib.contextmanager
def prepared() -> Iterator[Path]:
    """The folder to build from; one that was made for an installed wheel is removed again. Raises OSError."""
    if not suite.is_installed():
        yield suite.root()
        return
    with tempfile.TemporaryDirectory(prefix="dgxcert-context-") as private:
        context = Path(private) / "context"
        shutil.copytree(suite.root(), context, ignore=CACHES)
        # the package holds the suite inside itself, which is in the context by now
        without = shutil.ignore_patterns("__pycache__", suite.root().name)
        shutil.copytree(suite.PACKAGE, context / "src" / suite.PACKAGE.name, ignore=without)
        yield context
