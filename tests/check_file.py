"""A file of checks as a module, so that a test can call its requirements with devices and evidence of its own."""

import importlib.util
from types import ModuleType

from paths import CHECKS


def load(name: str) -> ModuleType:
    """The module of a file below `checks/`: `load("gpu/test_state")`."""
    spec = importlib.util.spec_from_file_location(f"checks_{name.replace('/', '_')}", CHECKS / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"checks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
